"""Answers only what follows "computer"; offline. ``uvicorn stopwords:app``."""

from fastapi import FastAPI

from fastrtc import ReplyOnStopWords, Stream, get_tts_model

voice = get_tts_model("espeak")


def reply(audio):
    """Called at the pause after the word was heard; pages are told by a message "stopword"."""
    yield from voice.stream_tts_sync("Yes?")


handler = ReplyOnStopWords(reply, stop_words=["computer"])
stream = Stream(handler, modality="audio", mode="send-receive", concurrency_limit=4)
app = FastAPI()
stream.mount(app)
