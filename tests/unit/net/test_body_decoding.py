"""A body that a server compressed although nobody asked for it."""

from __future__ import annotations

import gzip
import zlib

import pytest
import zstandard
from ollama_openai_proxy.net import body_decoding
from ollama_openai_proxy.net.body_decoding import decoded

from tests.bodies import Kept, PushedBody

CONTENT = b"data: {}\n\n" * 100
PACKED = {
    "gzip": gzip.compress(CONTENT),
    " X-GZIP": gzip.compress(CONTENT),
    "deflate": zlib.compress(CONTENT),
    "zstd": zstandard.compress(CONTENT),
}


@pytest.mark.parametrize("coding", PACKED)
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
async def test_content_comes_as_it_was_before_it_was_packed(coding: str, size: int) -> None:
    inner, sink = PushedBody(), Kept()
    decoded(inner, coding).start(sink)
    packed = PACKED[coding]
    for start in range(0, len(packed), size):
        inner.write(packed[start : start + size])
    inner.end()
    assert (sink.data, sink.ends) == (CONTENT, [None])


@pytest.mark.parametrize("coding", PACKED)
async def test_a_damaged_coding_ends_the_body_once(coding: str) -> None:
    inner, sink = PushedBody(), Kept()
    decoded(inner, coding).start(sink)
    for _ in range(2):
        inner.write(b"nonsense that is packed in no way at all")
    assert [type(end) for end in sink.ends] == [ValueError]
    assert inner.calls == ["start", "close"]


@pytest.mark.parametrize("coding", PACKED)
async def test_a_read_that_unpacks_to_too_much_ends_the_body_once(coding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_decoding, "MOST_UNPACKED", len(CONTENT) - 1)
    inner, sink = PushedBody(), Kept()
    decoded(inner, coding).start(sink)
    inner.write(PACKED[coding])
    inner.write(PACKED[coding])
    inner.end()
    assert sink.data == b""
    assert [str(end) for end in sink.ends] == ["the content unpacks to too much"]


@pytest.mark.parametrize("coding", ["", "identity", "br"])
async def test_other_bodies_stay(coding: str) -> None:
    body = PushedBody()
    assert decoded(body, coding) is body
