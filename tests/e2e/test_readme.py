"""The README's first handler, served as the README says and called from a real Chromium."""

import re
from collections.abc import Callable
from pathlib import Path

from e2e import sound
from e2e.browser import Chromium, Tab
from e2e.server import TESTS, Server

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_first_handler_of_the_readme_answers(
    chromium: Chromium, open_tab: Callable[[str], Tab], tmp_path: Path
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    (tmp_path / "first.py").write_text(code)
    original = sound.speech("austen-0880.wav")
    chromium.set_microphone(sound.to_int16(original))
    with Server("first:app", {"PYTHONPATH": f"{tmp_path}:{TESTS}"}) as server:
        call = open_tab(server.url).connect()
        call.wait()
        heard = sound.to_sound(call.record(2 * len(original) / sound.RATE_HZ + 1))
    fidelity = sound.compare(original, heard)
    assert fidelity.dropouts == 0, fidelity
