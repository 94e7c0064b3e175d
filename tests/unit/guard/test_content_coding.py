"""A body is unpacked however its client packed it, in steps that a limit can stop."""

from __future__ import annotations

import functools
import gzip
import zlib
from itertools import islice
from typing import TYPE_CHECKING

import brotli
import pytest
import zstandard
from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.guard.content_coding import CODINGS, coding_of, unpack
from ollama_openai_proxy.net.http_messages import Request

if TYPE_CHECKING:
    from collections.abc import Callable

BODY = b'{"model":"m"}' * 100
# Without the time of day, so that the tests have the same names in each process that collects them.
PACKED = {
    "gzip": gzip.compress(BODY, mtime=0),
    "x-gzip": gzip.compress(BODY, mtime=0),
    "deflate": zlib.compress(BODY),
    "zstd": zstandard.compress(BODY),
    "br": brotli.compress(BODY),
}
MIB = 1 << 20


def unpacked(body: bytes, coding: str) -> bytes:
    return b"".join(unpack(body, coding))


@pytest.mark.parametrize(
    ("header", "coding"),
    [(None, ""), ("", ""), ("identity", ""), (" Identity ", ""), (" GZip ", "gzip"), ("br", "br"), ("gzip, br", "gzip, br")],
)
def test_the_coding_is_that_of_the_header(header: str | None, coding: str) -> None:
    assert coding_of(Request("POST", "/", {} if header is None else {"content-encoding": header})) == coding


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        *PACKED.items(),
        ("zstd", zstandard.ZstdCompressor(write_content_size=False).compress(BODY)),
        ("gzip", PACKED["gzip"] + b"\0\0"),
    ],
)
def test_a_body_is_what_it_was_before_it_was_packed(coding: str, packed: bytes) -> None:
    assert unpacked(packed, coding) == BODY


@pytest.mark.parametrize("coding", sorted(CODINGS))
def test_a_large_body_too(coding: str) -> None:
    body = bytes(range(256)) * 8000
    packed = {"zstd": zstandard.compress, "br": brotli.compress, "deflate": zlib.compress}.get(coding, gzip.compress)(body)
    assert unpacked(packed, coding) == body


@pytest.mark.parametrize("coding", ["compress", "x", "gzip, gzip"])
def test_a_coding_that_is_not_known_is_refused(coding: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        unpacked(BODY, coding)
    assert (caught.value.status, caught.value.message) == (415, f'the content coding "{coding}" is not known')


@pytest.mark.parametrize("coding", sorted(CODINGS))
@pytest.mark.parametrize("end", [-1, -5, 0])
def test_half_a_body_is_refused(coding: str, end: int) -> None:
    with pytest.raises(InvalidRequest) as caught:
        unpacked(PACKED[coding][:end], coding)
    assert (caught.value.status, caught.value.message) == (400, f"the body is no valid {coding}")


@pytest.mark.parametrize("coding", sorted(CODINGS))
def test_what_is_not_packed_as_it_says_is_refused_and_not_quoted(coding: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        unpacked(BODY, coding)
    assert (caught.value.status, caught.value.message) == (400, f"the body is no valid {coding}")


BOMBS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.compress,
    "br": functools.partial(brotli.compress, quality=5),
}


@pytest.mark.parametrize("coding", BOMBS)
def test_each_step_unpacks_a_little(coding: str) -> None:
    packed = BOMBS[coding](bytes(64 * MIB))
    assert len(packed) < 70_000
    for part in islice(unpack(packed, coding), 3):
        assert 0 < len(part) <= 8 * MIB


def test_a_frame_of_zstd_that_wants_much_memory_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=27, compression_level=1)
    stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    data = stream.compress(bytes(MIB)) + stream.flush()
    with pytest.raises(InvalidRequest):
        unpacked(data, "zstd")
