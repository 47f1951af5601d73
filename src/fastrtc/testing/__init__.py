"""Test a handler without a network and without waiting: an in-memory client in virtual time.

:func:`run` runs a coroutine on a loop whose clock jumps over waits; :class:`MemoryClient` is one
client of a Stream on it. A conversation of minutes takes milliseconds, the same each time::

    from fastrtc.testing import MemoryClient, run

    async def conversation():
        async with MemoryClient(stream) as client:
            await client.send_audio(question)         # int16, at the handler's input rate
            await client.listen(2.0)                  # two virtual seconds
            assert client.heard().any()

    run(conversation())

``fastrtc.testing.contract`` holds the suite that every transport has to pass.
"""

from fastrtc.testing.client import MemoryClient
from fastrtc.testing.clock import VirtualClockLoop, run

__all__ = ["MemoryClient", "VirtualClockLoop", "run"]
