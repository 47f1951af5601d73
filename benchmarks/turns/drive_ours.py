"""Says scenes to our ReplyOnPause in virtual time; see ``run.py``."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from scenes import FRAME_S, place

from fastrtc import ReplyOnPause, Stream, get_current_context, get_smart_turn_model
from fastrtc.testing import MemoryClient, run

TOGETHER = 25


def main(folder: Path, with_smart_turn: bool) -> None:
    """Writes for each scene when replies began, and which audio they were given."""
    names = sorted(folder.glob("scene-*.npy"))
    results: dict[str, Any] = {}
    for first in range(0, len(names), TOGETHER):
        results.update(run(talk(names[first : first + TOGETHER], with_smart_turn)))
    print(json.dumps(results))


async def talk(names: list[Path], with_smart_turn: bool) -> dict[str, Any]:
    """So many clients at once."""
    received: dict[str, list[Any]] = {name.stem: [] for name in names}
    tone = (3000 * np.sin(np.arange(4800) / 8)).astype(np.int16)

    def reply(audio: tuple[int, Any]) -> Any:
        received[get_current_context().webrtc_id].append(audio[1].reshape(-1))
        yield 24_000, tone

    handler = ReplyOnPause(reply, end_of_turn=get_smart_turn_model() if with_smart_turn else None)
    stream = Stream(handler, modality="audio", mode="send-receive", concurrency_limit=None)

    async def one(name: Path) -> tuple[str, Any]:
        scene = np.load(name)
        async with MemoryClient(stream, name.stem) as client:
            start_s = asyncio.get_running_loop().time()
            await client.send_audio(scene)
            # A frame of the client's is sent when it begins; a microphone has it when it ends.
            begins = [played.at_s - start_s + FRAME_S for played in client.played]
        return name.stem, {
            "replies_s": begins,
            "given": [place(scene, heard) for heard in received[name.stem]],
        }

    return dict(await asyncio.gather(*(one(name) for name in names)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), "smart-turn" in sys.argv[2:])
