"""An echo that also answers texts, and hangs up when it is told "bye"."""

import json
from typing import Any

from fastapi import FastAPI

from e2e.apps.echo import Echo
from fastrtc import CloseStream, Stream


class Talkative(Echo):
    """Texts come back as JSON."""

    leaving = False

    async def on_message(self, text: str) -> None:
        if text == "bye":
            self.leaving = True
        else:
            await self.send_message(json.dumps({"heard": json.loads(text)}))

    async def emit(self) -> Any:
        if self.leaving:
            return CloseStream("It was a pleasure.")
        return await super().emit()

    def copy(self) -> "Talkative":
        return Talkative()


stream = Stream(Talkative(), modality="audio", mode="send-receive", concurrency_limit=10)
app = FastAPI()
stream.mount(app)
