# make demo | test | check | bench. Each sets up what it needs first and is quick when nothing changed.

SHELL  := /bin/sh
VENV   := .venv
BIN    := $(VENV)/bin
PYTHON ?= python3
HOST   ?= 127.0.0.1
PORT   ?= 8000
NICE   := nice -n 5
TSC    := .tools/node_modules/.bin/tsc
REACT  := .tools/node_modules/react-dom/package.json
PIPECAT := .tools/pipecat/.installed
NPM    := npm install --silent --no-audit --no-fund --no-package-lock --prefix .tools
CARGO_TOOLS := cargo build --workspace --bins --release --quiet
RUST   := Cargo.toml Cargo.lock $(shell find rust -name '*.rs' -o -name Cargo.toml)

export PATH := $(CURDIR)/$(BIN):$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_QUIET := 1
unexport PYTHONPATH

.PHONY: demo test test-rust test-python tools check check-python check-rust check-client bench setup clean

demo: setup
	@GRADIO_ANALYTICS_ENABLED=False $(BIN)/python examples/demo/app.py --host $(HOST) --port $(PORT)

# Compilers have the processors while packages are fetched; tests have the machine to themselves.
test:
	@$(MAKE) --no-print-directory --jobs 2 tools check
	@$(MAKE) --no-print-directory --jobs 1 test-rust test-python

# Without the border to Python, so that no libpython is linked, but with its dependency: all that
# the extension was built from can be used again.
test-rust: setup .tools/browser
	@PYO3_BUILD_EXTENSION_MODULE=1 $(NICE) cargo test --workspace --release --quiet \
		--no-default-features --features fastrtc-core/pyo3

tools: setup .tools/browser $(TSC) $(REACT) $(PIPECAT)

test-python: setup .tools/browser $(REACT) $(PIPECAT)
ifdef ARGS
	@$(BIN)/python -m pytest $(ARGS)
else
	@$(NICE) $(CARGO_TOOLS)
	@$(BIN)/python -m pytest -m "not e2e" --numprocesses 2
	@$(BIN)/python -m pytest -m "e2e and together" --numprocesses 2 --dist loadfile
	@$(BIN)/python -m pytest -m patient --numprocesses 3
	@$(BIN)/python -m pytest -m "e2e and not together and not patient"
endif

check: check-python check-rust check-client

check-python: setup
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy

check-rust: setup
	@cargo fmt --all --check
	@PYO3_BUILD_EXTENSION_MODULE=1 $(NICE) cargo clippy --workspace --all-targets --release --quiet -- -D warnings

check-client: $(TSC)
	@$(TSC) --project src/fastrtc/ui/client/jsconfig.json

bench: setup .tools/browser
	@$(NICE) $(CARGO_TOOLS)
	@$(BIN)/python benchmarks/run.py $(ARGS)

setup: $(VENV)/.built

# The virtualenv with what building needs.
$(VENV)/.created: | .tools/toolchain
	@"$(PYTHON)" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' || { \
		echo "please install Python 3.11 or newer with its venv module (Debian: python3-venv)" >&2; exit 1; }
	@"$(PYTHON)" -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet 'maturin>=1.9,<2' 'cmake>=3.20'
	@touch $@

# What the package needs, and the tools for developing it.
$(VENV)/.requirements: pyproject.toml | $(VENV)/.created
	@echo "installing what fastrtc needs into $(VENV)"
	@$(BIN)/python .ci/requirements dev > $(VENV)/requirements.txt
	@$(BIN)/python -m pip install --quiet --requirement $(VENV)/requirements.txt
	@touch $@

$(VENV)/.extension: pyproject.toml $(RUST) | $(VENV)/.created
	@echo "building the media plane (minutes the first time)"
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(NICE) $(BIN)/maturin develop --profile release --quiet --skip-install
	@touch $@

# The package, editable.
$(VENV)/.built: $(VENV)/.extension $(VENV)/.requirements
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(NICE) $(BIN)/maturin develop --profile release --quiet
	@touch $@

.tools/toolchain:
	@.ci/system-packages "cc=gcc libc6-dev"
	@command -v cargo >/dev/null || { echo "please install Rust 1.89 or newer with rustup" >&2; exit 1; }
	@mkdir -p $(@D) && touch $@

.tools/browser:
	@PATH="$$PATH:/usr/sbin" .ci/system-packages chromium=chromium firefox-esr=firefox-esr \
		turnserver=coturn nginx=nginx-light openssl=openssl
	@mkdir -p $(@D) && touch $@

$(TSC):
	@.ci/system-packages npm=npm
	@$(NPM) typescript@5.9
	@touch $@

# For examples/react, whose page has it from a CDN otherwise.
$(REACT): | $(TSC)
	@.ci/system-packages npm=npm
	@$(NPM) react@19 react-dom@19
	@touch $@

# Its telephone serializers, and of its many dependencies only what they load.
$(PIPECAT): | setup
	@$(BIN)/python -m pip install --quiet --no-deps --upgrade --target $(@D) pipecat-ai==1.14.0 \
		aiofiles==25.1.0 docstring_parser==0.18.0 loguru==0.7.3 loudness==0.2.0 sentencex==1.0.32 \
		soxr==1.0.0 wait_for2==0.4.1
	@touch $@

clean:
	@rm -rf $(VENV) .tools target
