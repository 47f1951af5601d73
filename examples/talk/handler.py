"""What answers the caller."""

from phrases import GRAMMAR, answer

from fastrtc import (
    AdditionalOutputs,
    ReplyOnPause,
    get_stt_model,
    get_tts_model,
)

ears = get_stt_model("pocketsphinx", grammar=GRAMMAR)
voice = get_tts_model("espeak")


def reply(audio):
    """Called when the speaker pauses."""
    heard = ears.stt(audio)
    said = answer(heard)
    yield AdditionalOutputs(heard, said)
    yield from voice.stream_tts_sync(said)


handler = ReplyOnPause(reply)
