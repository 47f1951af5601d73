"""A number to call: ``uvicorn telephone:app``, or ``python telephone.py`` for a temporary number.

Point a provider's webhook at ``https://your-host/telephone/incoming`` (docs/telephone.md), or set
``HF_TOKEN`` for the temporary one.
"""

from fastapi import FastAPI

from fastrtc import ReplyOnPause, Stream, get_tts_model

voice = get_tts_model("espeak")


def reply(audio, name="caller"):
    """Called when the caller pauses; on the telephone inputs have their defaults."""
    rate_hz, samples = audio
    seconds = samples.shape[1] / rate_hz
    yield from voice.stream_tts_sync(f"Hello {name}. You spoke for {seconds:.0f} seconds.")


stream = Stream(ReplyOnPause(reply), modality="audio", mode="send-receive", concurrency_limit=10)
app = FastAPI()
stream.mount(app)

if __name__ == "__main__":
    stream.fastphone()
