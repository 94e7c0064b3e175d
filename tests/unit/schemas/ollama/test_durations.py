"""`keep_alive` takes Go's durations."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.schemas.ollama.durations import parse_duration, parse_keep_alive


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("0", 0), ("-0", 0), ("+0", 0), ("0s", 0), ("5m", 300), ("5m0s", 300), ("+5m", 300), ("-1m", -60)),
        *(("300ms", 0.3), ("1.5h", 5400), ("2h45m10s", 9910), (".5s", 0.5), ("1.m", 60), ("1us", 1e-6), ("1µs", 1e-6)),
        *(("1μs", 1e-6), ("1ns", 1e-9), ("10m10m", 1200)),
    ],
)
def test_a_duration_is_a_number_of_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("5", 'missing unit in duration "5"'),
        ("1m5", 'missing unit in duration "1m5"'),
        ("1.5", 'missing unit in duration "1.5"'),
        ("1x", 'unknown unit "x" in duration "1x"'),
        ("1 m", 'unknown unit " m" in duration "1 m"'),
        ("1é", 'unknown unit "\\xc3\\xa9" in duration "1\\xc3\\xa9"'),
        ("abc", 'invalid duration "abc"'),
        ("", 'invalid duration ""'),
        ("-", 'invalid duration "-"'),
        (".", 'invalid duration "."'),
        ("--5m", 'invalid duration "--5m"'),
        ("5m.", 'invalid duration "5m."'),
        (" 5m", 'invalid duration " 5m"'),
        ("9999999999h", 'invalid duration "9999999999h"'),
        ('a"b\\c\n', 'invalid duration "a\\"b\\\\c\\x0a"'),
    ],
)
def test_what_is_no_duration_is_refused_in_gos_words(text: str, error: str) -> None:
    with pytest.raises(ValueError, match=r"^time: ") as caught:
        parse_duration(text)
    assert str(caught.value) == f"time: {error}"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        *((0, 0), (0.0, 0), (300, 300), (0.5, 0.5), ("0s", 0), ("5m", 300)),
        *((-1, math.inf), (-3.14, math.inf), ("-1m", math.inf), (1e300, math.inf), (10**400, math.inf)),
    ],
)
def test_keep_alive_takes_numbers_and_texts_and_is_endless_below_zero(value: object, seconds: float) -> None:
    assert parse_keep_alive(value) == seconds


@pytest.mark.parametrize(
    ("value", "go_type"),
    [(True, "bool"), (False, "bool"), ([1], "[]interface {}"), ({"a": 1}, "map[string]interface {}"), (None, "interface {}")],
)
def test_keep_alive_of_another_type_is_unsupported(value: object, go_type: str) -> None:
    with pytest.raises(ValueError, match="Unsupported") as caught:
        parse_keep_alive(value)
    assert str(caught.value) == f"Unsupported type: '{go_type}'"


@given(st.text() | st.text("0123456789.hmsnuµ+- "))
def test_any_text_is_a_duration_or_refused(text: str) -> None:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        told = str(error)
    else:
        told = "time: fine" if math.isfinite(seconds) else ""
    assert told.startswith("time: ")
