"""JSON, errors and time stamps as Ollama writes them: ASCII, in one line, whatever text they carry."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.schemas.ollama.json_encoding import encode_json, error_body, timestamp

texts = st.text() | st.text(st.sampled_from('\u2028\u2029\x85\x0b\x0c\x1c\x1d\x1e\r\n"\\<>&é😀\ud83d'))


def is_one_ascii_line(frame: bytes) -> bool:
    return frame.isascii() and frame.count(b"\n") == 1 and len(frame.decode().splitlines()) == 1


def test_an_error_is_an_object_with_a_text() -> None:
    assert error_body("no <é>") == b'{"error":"no <\\u00e9>"}'


@given(texts)
def test_any_error_is_one_ascii_line(text: str) -> None:
    assert is_one_ascii_line(error_body(text) + b"\n")
    assert json.loads(error_body(text)) == {"error": text}


def test_what_is_no_json_is_never_sent() -> None:
    with pytest.raises(ValueError, match="JSON"):
        encode_json({"logprob": float("-inf")})


# ── times


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
        (1_500_000_000, "1970-01-01T00:00:01.5Z"),
        (10_000_000_000, "1970-01-01T00:00:10Z"),
        (1_795_232_316_628_300_000, "2026-11-21T03:38:36.6283Z"),
    ],
)
def test_a_time_has_no_trailing_zeros(nanoseconds: int, text: str) -> None:
    assert timestamp(nanoseconds) == text


@given(st.integers(0, 9_000_000_000 * 10**9))
def test_any_time_can_be_read_back(nanoseconds: int) -> None:
    microseconds = nanoseconds // 1000
    read_back = datetime.fromisoformat(timestamp(microseconds * 1000))
    assert (read_back - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) == microseconds
