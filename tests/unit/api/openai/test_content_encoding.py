"""A body is unpacked however its client packed it, but not without end."""

import gzip
import zlib

import pytest
import zstandard
from ollama_openai_proxy.api.openai import content_encoding as content
from ollama_openai_proxy.api.openai.content_encoding import plain_content
from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.net.http_messages import Request

BODY = b'{"model":"m"}' * 100
# Without the time of day, so that the tests have the same names in each process that collects them.
GZIPPED = gzip.compress(BODY, mtime=0)


def unpacked(body: bytes, coding: str | None) -> bytes:
    headers = {} if coding is None else {"content-encoding": coding}
    return plain_content(Request("POST", "/v1/responses", headers, body))


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        *((None, BODY), ("", BODY), ("identity", BODY)),
        *(("gzip", GZIPPED), (" GZip ", GZIPPED), ("deflate", zlib.compress(BODY))),
        ("zstd", zstandard.compress(BODY)),
        ("zstd", zstandard.ZstdCompressor(write_content_size=False).compress(BODY)),
        ("gzip", GZIPPED + b"\0\0"),
    ],
)
def test_a_body_is_what_it_was_before_it_was_packed(coding: str | None, packed: bytes) -> None:
    assert unpacked(packed, coding) == BODY


@pytest.mark.parametrize("coding", ["br", "compress", "x", "gzip, gzip"])
def test_a_coding_that_is_not_known_is_refused(coding: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        unpacked(BODY, coding)
    assert (caught.value.status, caught.value.message) == (415, f'the content coding "{coding}" is not known')


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
def test_what_is_not_packed_as_it_says_is_refused_and_not_quoted(coding: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        unpacked(BODY, coding)
    assert (caught.value.status, caught.value.message) == (400, f"the body is no valid {coding}")


@pytest.mark.parametrize(("coding", "packed"), [("gzip", GZIPPED), ("deflate", zlib.compress(BODY))])
@pytest.mark.parametrize("end", [-1, -5, 0])
def test_half_a_body_is_refused(coding: str, packed: bytes, end: int) -> None:
    with pytest.raises(InvalidRequest) as caught:
        unpacked(packed[:end], coding)
    assert caught.value.status == 413


@pytest.mark.parametrize(
    ("coding", "packed"),
    [("gzip", GZIPPED), ("deflate", zlib.compress(BODY)), ("zstd", zstandard.compress(BODY))],
)
def test_there_is_an_end_to_unpacking(monkeypatch: pytest.MonkeyPatch, coding: str, packed: bytes) -> None:
    monkeypatch.setattr(content, "MOST", len(BODY))
    assert unpacked(packed, coding) == BODY
    monkeypatch.setattr(content, "MOST", len(BODY) - 1)
    with pytest.raises(InvalidRequest) as caught:
        unpacked(packed, coding)
    assert caught.value.status == 413
