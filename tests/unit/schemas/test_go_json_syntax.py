"""What is no JSON is refused in the words of Go's decoder."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.schemas.go_json_syntax import TOO_DEEP, quoted, syntax_error


@pytest.mark.parametrize(
    "body",
    [
        *(b"{", b'{"a"', b'{"a":', b'{"a":1', b'{"a":1,', b"[", b"[1", b"[1,", b'"abc', b'{"a":"x', b'{"a":"\\', b'{"a":"\\u1'),
        *(b"tru", b'{"a":tr', b"-", b'{"a":1.', b'{"a":1e', b'{"a":1e+'),
    ],
)
def test_a_cut_text_ends_unexpectedly(body: bytes) -> None:
    assert syntax_error(body) == "unexpected EOF"


@pytest.mark.parametrize(
    ("body", "character", "context"),
    [
        (b'{"a":1,}', "}", "looking for beginning of object key string"),
        (b"{a:1}", "a", "looking for beginning of object key string"),
        (b"{'a':1}", "\\'", "looking for beginning of object key string"),
        (b"{,}", ",", "looking for beginning of object key string"),
        (b"[1,]", "]", "looking for beginning of value"),
        (b"[,]", ",", "looking for beginning of value"),
        (b"}", "}", "looking for beginning of value"),
        (b'{"a":}', "}", "looking for beginning of value"),
        (b'{"a":NaN}', "N", "looking for beginning of value"),
        (b'{"a":+1}', "+", "looking for beginning of value"),
        (b'{"a":.5}', ".", "looking for beginning of value"),
        (b"\\", "\\\\", "looking for beginning of value"),
        (b"\x00", "\\x00", "looking for beginning of value"),
        (b"\x0b{}", "\\v", "looking for beginning of value"),
        (b"\xef\xbb\xbf{}", "ï", "looking for beginning of value"),
        (b"\xff{}", "ÿ", "looking for beginning of value"),
        (b"\x80", "\\u0080", "looking for beginning of value"),
        ('{"a":é}'.encode(), "Ã", "looking for beginning of value"),
        (b'{"a" 1}', "1", "after object key"),
        (b'{"a"}', "}", "after object key"),
        (b'{"a":1 "b":2}', '"', "after object key:value pair"),
        (b'{"a":1;}', ";", "after object key:value pair"),
        (b'{"a":01}', "1", "after object key:value pair"),
        (b'{"a":{}]', "]", "after object key:value pair"),
        (b"[1 2]", "2", "after array element"),
        (b'{"a":[1,2}', "}", "after array element"),
        (b"trux", "x", "in literal true (expecting 'e')"),
        (b'{"a":nulx', "x", "in literal null (expecting 'l')"),
        (b'{"a":fals}', "}", "in literal false (expecting 'e')"),
        (b'{"a":-x}', "x", "in numeric literal"),
        (b'{"a":-Infinity}', "I", "in numeric literal"),
        (b'{"a":1.}', "}", "after decimal point in numeric literal"),
        (b'{"a":-0.x}', "x", "after decimal point in numeric literal"),
        (b'{"a":1e}', "}", "in exponent of numeric literal"),
        (b'{"a":1E-x}', "x", "in exponent of numeric literal"),
        (b'{"a":"\x01"}', "\\x01", "in string literal"),
        (b'{"a":"\n"}', "\\n", "in string literal"),
        (b'{"\t":1}', "\\t", "in string literal"),
        (b'{"a":"\\x"}', "x", "in string escape code"),
        (b'{"a":"\\u12G4"}', "G", "in \\u hexadecimal character escape"),
        (b'{"a":"\\u"}', '"', "in \\u hexadecimal character escape"),
    ],
)
def test_a_stray_character_is_named_with_what_it_stands_in(body: bytes, character: str, context: str) -> None:
    assert syntax_error(body) == f"invalid character '{character}' {context}"


def test_nesting_beyond_gos_limit_is_named() -> None:
    assert syntax_error(b"[" * 10_001) == TOO_DEEP


_SCRAPS = st.sampled_from(
    ['{"a":', "[", "]", "}", ",", ":", '"x"', '"\\u00e9"', '"\\', "1", "-0.5e3", "0", "true", "null", " "]
)


@given(st.lists(_SCRAPS, max_size=12).map("".join) | st.text(max_size=6))
def test_python_and_go_agree_on_what_is_json(text: str) -> None:
    if not text.strip(" \t\r\n"):
        return
    start = len(text) - len(text.lstrip(" \t\r\n"))
    try:
        value, _ = json.JSONDecoder().raw_decode(text, start)
    except ValueError:
        assert syntax_error(text.encode()) is not None
    else:
        # A number at the top may be followed by what Go would take for its continuation.
        assert isinstance(value, int | float) or syntax_error(text.encode()) is None


@given(st.text(), st.dictionaries(st.text(), st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()))
def test_nothing_is_wrong_with_json(text: str, value: dict[str, object]) -> None:
    assert syntax_error(json.dumps([text, value]).encode()) is None
    assert syntax_error(json.dumps([text, value], ensure_ascii=False, indent=1).encode("utf-8", "surrogatepass")) is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("xhigh", '"xhigh"'),
        ("", '""'),
        ('a"b\\c', '"a\\"b\\\\c"'),
        ("\a\b\f\n\r\t\v", '"\\a\\b\\f\\n\\r\\t\\v"'),
        ("é😀'", '"é😀\'"'),
        ("\x01\x7f", '"\\x01\\x7f"'),
        ("\u200b\U000e0001", '"\\u200b\\U000e0001"'),
    ],
)
def test_a_text_is_quoted_as_go_quotes_it(text: str, shown: str) -> None:
    assert quoted(text) == shown
