"""A real nginx with the configuration of docs/deployment.md: HTTPS, a prefix that is cut off."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from e2e.server import free_port

DOCS = Path(__file__).parents[1] / "docs" / "deployment.md"


def make_certificate(folder: Path) -> Path:
    """For "localhost"; the key is beside it."""
    made = folder / "host.pem"
    command = [
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        *("-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext"),
        *("subjectAltName=DNS:localhost", "-keyout", str(made.with_suffix(".key"))),
        *("-out", str(made)),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return made


@contextmanager
def nginx(upstream: str, certificate: Path) -> Iterator[str]:
    """``host:port`` of a proxy with the documented configuration."""
    executable = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin:/usr/local/sbin")
    assert executable is not None, "nginx is missing; install Debian's package nginx-light"
    documented = re.search(r"```nginx\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert documented is not None
    port = free_port()
    site = documented[1]
    for told, here in {
        "443 ssl": f"127.0.0.1:{port} ssl",
        "/etc/ssl/your.host.pem": str(certificate),
        "/etc/ssl/your.host.key": str(certificate.with_suffix(".key")),
        "127.0.0.1:8000": upstream,
    }.items():
        assert told in site
        site = site.replace(told, here)
    folder = certificate.parent
    paths = "".join(
        f"{kind}_temp_path {folder / kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"daemon off; master_process off; pid {folder / 'pid'}; error_log stderr;\n"
        f"events {{}} http {{ access_log off;\n{paths}{site} }}"
    )
    process = subprocess.Popen(
        [executable, "-e", "stderr", "-p", str(folder), "-c", str(configuration)],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for _ in range(1000):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, process.stderr and process.stderr.read()
                time.sleep(0.01)
        yield f"localhost:{port}"
    finally:
        process.terminate()
        process.communicate(timeout=10)
