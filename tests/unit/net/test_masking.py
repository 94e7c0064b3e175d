"""The proxy's keys in what servers send."""

from __future__ import annotations

import html
import json
from urllib.parse import quote

import pytest
from ollama_openai_proxy.net.masking import MaskedBody, Masker

from tests.bodies import Kept, PushedBody

KEY = "sk-Ab/+&<'`\"c_1"
PLAIN = "sk-own-key-1"


@pytest.mark.parametrize(
    "spelling",
    [
        KEY,
        json.dumps(KEY)[1:-1],
        json.dumps(KEY)[1:-1].replace("/", "\\/"),
        quote(KEY),
        quote(KEY, safe=""),
        html.escape(KEY),
        KEY.replace("&", "\\u0026").replace("<", "\\u003c"),
        KEY.replace("&", "\\u0026").replace("<", "\\u003C"),
        "".join(f"\\u{ord(character):04x}" for character in KEY),
        KEY.replace("k", "\\u006B").replace("_", "\\u005f"),
    ],
)
def test_a_key_is_masked_however_a_server_spells_it(spelling: str) -> None:
    masked = Masker([KEY]).masked(f"a {spelling} b".encode())
    assert masked == b"a " + b"*" * len(spelling) + b" b"


@pytest.mark.parametrize("key", ["", "none", "ollama", "EMPTY", "lm-studio", "LM-Studio", "not-needed"])
def test_a_word_that_stands_for_no_key_is_not_masked(key: str) -> None:
    masker = Masker([key])
    assert not masker
    assert masker.masked(f"a {key} b".encode()) == f"a {key} b".encode()
    assert masker.masked_text(f"a {key} b") == f"a {key} b"


def test_of_two_keys_the_longer_one_is_masked() -> None:
    assert Masker([PLAIN, PLAIN + "-more"]).masked_text(f"é {PLAIN}-more {PLAIN} \ud800") == f"é {'*' * 17} {'*' * 12} \ud800"
    assert Masker([PLAIN]).masked_text("nothing") == "nothing"


@pytest.mark.parametrize("size", [1, 2, 5, 11, 12, 13, 100])
def test_a_key_in_several_parts_is_masked(size: int) -> None:
    inner, sink = PushedBody(), Kept()
    MaskedBody(inner, Masker([PLAIN, "another-key"])).start(sink)
    text = f"sk-own {PLAIN}{PLAIN} sk-own-key another-another-key sk-own-k".encode()
    for at in range(0, len(text), size):
        inner.write(text[at : at + size])
    inner.end()
    stars = "*" * 12
    assert (sink.data.decode(), sink.ends) == (f"sk-own {stars}{stars} sk-own-key another-{'*' * 11} sk-own-k", [None])


def test_what_cannot_be_a_key_is_not_held_back() -> None:
    inner, sink = PushedBody(), Kept()
    MaskedBody(inner, Masker([PLAIN])).start(sink)
    inner.write(b"data: {}\n\n")
    assert sink.data == b"data: {}\n\n"
    inner.write(b"sk-")
    assert sink.data == b"data: {}\n\n"
    inner.end(ValueError())
    assert sink.data == b"data: {}\n\nsk-"
    assert [type(end) for end in sink.ends] == [ValueError]


def test_a_byte_of_a_key_alone_at_the_end_holds_nothing_back() -> None:
    assert Masker([PLAIN]).begun(b"wo") == 0
    assert Masker([PLAIN]).begun(b"") == 0
    assert Masker([PLAIN]).begun(b"x sk-own") == 6
