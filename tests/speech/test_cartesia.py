"""Cartesia's client against a real HTTP server that speaks /tts/bytes as documented."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest

from fastrtc.errors import ConfigurationError, SpeechError
from fastrtc.speech.cartesia import CartesiaTTSModel, CartesiaTTSOptions
from fastrtc.speech.tts import get_tts_model
from speech.http_service import Answer, Request, Service, http_service

KEY = "sk_car_test"
TEXT = "Hello there. Dr. Smith is in. Goodbye!"
SENTENCES = ["Hello there.", "Dr. Smith is in.", "Goodbye!"]


def sound(sentence: str) -> np.ndarray:
    """What the service makes of a sentence."""
    return np.arange(len(sentence) * 100, dtype="<i2")


def speak(request: Request) -> Answer:
    """The documented answers, in pieces of an odd number of bytes."""
    if request.path != "/tts/bytes":
        return 404, [b"not found"], True
    if request.headers.get("x-api-key") != KEY:
        return 401, [b"Unauthorized"], True
    if request.headers.get("cartesia-version") is None:
        return 400, [b"Missing Cartesia-Version"], True
    wanted = request.body["output_format"]
    assert wanted["container"] == "raw"
    assert wanted["encoding"] == "pcm_s16le"
    if request.body["transcript"] == "Too much.":
        return 429, [json.dumps({"error": "concurrency limit"}).encode()], True
    pcm = sound(request.body["transcript"]).tobytes()
    pieces = [pcm[start : start + 333] for start in range(0, len(pcm), 333)]
    cut = request.body["transcript"] == "Cut off."
    return 200, pieces[:1] if cut else pieces, not cut


@pytest.fixture
def service() -> Iterator[Service]:
    with http_service(speak) as running:
        yield running


def test_the_whole_text_is_said_sentence_by_sentence(service: Service) -> None:
    model = get_tts_model("cartesia", cartesia_api_key=KEY, base_url=service.url)
    rate_hz, samples = model.tts(TEXT)
    assert rate_hz == 22_050
    assert samples.dtype == np.int16
    assert np.array_equal(samples, np.concatenate([sound(sentence) for sentence in SENTENCES]))
    assert [request.body["transcript"] for request in service.requests] == SENTENCES


async def test_the_async_stream_passes_samples_on_as_they_come(service: Service) -> None:
    model = CartesiaTTSModel(KEY, service.url)
    how = CartesiaTTSOptions(sample_rate=16_000, voice="abc", language="de", model="sonic-3")
    pieces = [piece async for piece in model.stream_tts(TEXT, how)]
    assert len(pieces) > len(SENTENCES)
    assert {rate_hz for rate_hz, _ in pieces} == {16_000}
    assert np.array_equal(
        np.concatenate([samples for _, samples in pieces]),
        np.concatenate([sound(sentence) for sentence in SENTENCES]),
    )
    request = service.requests[0]
    assert request.headers["cartesia-version"] == "2024-06-10"
    assert request.body == {
        "model_id": "sonic-3",
        "transcript": SENTENCES[0],
        "voice": {"mode": "id", "id": "abc"},
        "language": "de",
        "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 16_000},
    }


@pytest.mark.parametrize(
    ("model", "where"),
    [("sonic-2", "controls"), ("sonic-english", "controls"), ("sonic-3", "generation")],
)
def test_emotion_goes_where_the_model_looks_for_it(
    service: Service, model: str, where: str
) -> None:
    how = CartesiaTTSOptions(model=model, emotion=["excited"])
    CartesiaTTSModel(KEY, service.url).tts("Hello.", how)
    body = service.requests[0].body
    if where == "controls":
        assert body["voice"]["__experimental_controls"] == {"emotion": ["excited"]}
        assert "generation_config" not in body
    else:
        assert body["generation_config"] == {"emotion": "excited"}
        assert "__experimental_controls" not in body["voice"]


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("wrong", "Hello.", r"401 .*API key is not accepted.*Unauthorized"),
        (KEY, "Too much.", r"429 .*too many requests.*concurrency limit"),
        (KEY, "Cut off.", r"not reached.*RemoteProtocolError"),
    ],
)
async def test_a_refusal_is_an_error_that_names_it_and_not_the_key(
    service: Service, key: str, text: str, message: str
) -> None:
    model = CartesiaTTSModel(key, service.url)
    with pytest.raises(SpeechError, match=message) as sync_error:
        model.tts(text)
    with pytest.raises(SpeechError, match=message) as async_error:
        _ = [piece async for piece in model.stream_tts(text)]
    for caught in (sync_error, async_error):
        assert key not in str(caught.value)


async def test_a_service_that_is_not_there_is_an_error() -> None:
    with http_service(speak) as gone:
        url = gone.url
    with pytest.raises(SpeechError, match=r"not reached.*ConnectError"):
        CartesiaTTSModel(KEY, url).tts("Hello.")


async def test_closing_the_stream_ends_the_request(service: Service) -> None:
    stream = CartesiaTTSModel(KEY, service.url).stream_tts(TEXT)
    await anext(stream)
    await stream.aclose()
    assert len(service.requests) == 1


def test_the_key_may_come_from_the_environment(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CARTESIA_API_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="CARTESIA_API_KEY"):
        get_tts_model("cartesia")
    monkeypatch.setenv("CARTESIA_API_KEY", KEY)
    assert len(CartesiaTTSModel(base_url=service.url).tts("Hello.")[1])
