"""The browser client's modules that need no browser, tested by node itself."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from fastrtc.server.client_files import CLIENT

TESTS = Path(__file__).with_name("client") / "modules.test.js"


def test_the_modules_in_node(tmp_path: Path) -> None:
    node = shutil.which("node")
    assert node is not None, "node is missing; install Debian's package npm"
    for module in (*CLIENT.glob("*.js"), TESTS):
        shutil.copy(module, tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    ran = subprocess.run(
        [node, "--test", "--test-reporter=tap", TESTS.name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    passed = re.search(r"^# pass (\d+)$", ran.stdout, re.MULTILINE)
    assert passed is not None
    assert int(passed[1]) > 20
