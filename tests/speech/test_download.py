"""Files of models come whole into the cache, once, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastrtc.errors import MissingModel
from fastrtc.speech.download import cache_folder, cached_file
from speech.http_service import Answer, Request, http_service

CONTENT = [b"first half, ", b"second half"]


def serve(request: Request) -> Answer:
    if request.path == "/whole.bin":
        return 200, CONTENT, True
    if request.path == "/cut.bin":
        return 200, CONTENT[:1], False
    return 503, [b"try later"], True


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FASTRTC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_file_is_downloaded_once(cache: Path) -> None:
    with http_service(serve) as server:
        first = cached_file(f"{server.url}/whole.bin", "")
        assert cached_file(f"{server.url}/whole.bin", "") == first
        assert len(server.requests) == 1
    assert first.parent == cache
    assert first.read_bytes() == b"".join(CONTENT)


@pytest.mark.parametrize(
    ("name", "message"), [("cut.bin", "RemoteProtocolError"), ("absent.bin", "503")]
)
def test_what_is_not_whole_is_not_kept(cache: Path, name: str, message: str) -> None:
    with http_service(serve) as server, pytest.raises(MissingModel, match=message) as caught:
        cached_file(f"{server.url}/{name}", "Do something else.")
    assert str(caught.value).endswith("Do something else.")
    assert list(cache.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_named(cache: Path) -> None:
    cache.write_text("a file, not a folder")
    with pytest.raises(MissingModel, match=r"FileExistsError.*cache"):
        cached_file("http://127.0.0.1:9/file.bin", "")


def test_the_usual_place_is_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FASTRTC_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/fastrtc")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "fastrtc"
