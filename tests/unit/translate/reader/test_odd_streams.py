"""Good streams that are made odd, as real servers make them, are read as the good ones; no oddity ends the reader."""

from __future__ import annotations

import copy
import json
from itertools import pairwise
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st
from ollama_openai_proxy.errors import BackendError
from ollama_openai_proxy.translate.events import Failure, Finish

from tests.unit.translate.reader.bodies import brief, called, chunk, fragment, read, said, sse
from tests.unit.translate.reader.corpus import TOOLS

_TEXTS = st.text(max_size=12) | st.sampled_from(['a"b\\c', "{}", '{"x": 1}', "é😀\n\t"])
_OBJECTS = st.dictionaries(_TEXTS, _TEXTS | st.integers() | st.lists(_TEXTS, max_size=3) | st.none(), min_size=1, max_size=3)
_CALLS = st.lists(
    st.tuples(st.sampled_from(sorted(TOOLS)), _OBJECTS), min_size=1, max_size=3, unique_by=lambda call: json.dumps(call[1])
)


def _pieces(text: str, cuts: list[int]) -> list[str]:
    places = [0, *sorted({at for at in cuts if 0 < at < len(text)}), len(text)]
    return [text[start:end] for start, end in pairwise(places)]


@given(
    calls=_CALLS,
    cuts=st.lists(st.integers(0, 60), max_size=5),
    index=st.sampled_from(["right", "always 0", "missing", "from 1"]),
    ids=st.sampled_from(["first fragment", "each fragment", "new in each fragment", "missing"]),
    names=st.sampled_from(["first fragment", "each fragment", "spread"]),
    before=st.sampled_from([None, "", "{}", "null"]),
    encoding=st.sampled_from(["text", "twice", "object", "raw control characters"]),
    repeat=st.sampled_from(["no", "behind", "with name and id"]),
    finish=st.sampled_from(["tool_calls", "stop", "eos", "TOOL_USE"]),
)
def test_a_call_is_read_from_any_sequence_of_fragments(
    calls: list[tuple[str, dict[str, Any]]],
    cuts: list[int],
    index: str,
    ids: str,
    names: str,
    before: str | None,
    encoding: str,
    repeat: str,
    finish: str,
) -> None:
    # A whole call with a name and an id of its own is a call, even if it says the same as the one before.
    assume(not (ids == "new in each fragment" and names == "each fragment" and repeat != "no"))
    deltas = []
    for number, (name, arguments) in enumerate(calls):
        text = json.dumps(arguments)
        if encoding == "twice":
            text = json.dumps(text)
        elif encoding == "raw control characters":
            text = text.replace("\\n", "\n").replace("\\t", "\t") if "\\\\" not in text else text
        pieces: list[Any] = [arguments] if encoding == "object" else _pieces(text, cuts)
        if before is not None:
            pieces.insert(0, before)
        if repeat != "no":
            pieces.append(text)
        for at, piece in enumerate(pieces):
            at_index = {"right": number, "always 0": 0, "missing": None, "from 1": number + 1}[index]
            call_id = {
                "first fragment": f"call_{number}" if at == 0 else None,
                "each fragment": f"call_{number}",
                "new in each fragment": f"call_{number}_{at}",
                "missing": None,
            }[ids]
            own = name if at == 0 or names == "each fragment" else None
            if at == len(pieces) - 1 and repeat == "with name and id" and ids != "new in each fragment":
                own, call_id = name, call_id and f"call_{number}"
            if names == "spread" and at == 0:
                deltas.append(fragment(at_index, name[:4], "", call_id))
                own = name[4:]
            deltas.append(fragment(at_index, own, piece, call_id))
    expected = [("call", name, arguments) for name, arguments in calls]
    assert brief(read(called(*deltas, finish=finish), tools=TOOLS)) == [*expected, ("finish", "tool_calls")]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5) | st.just("<think>"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.sampled_from(["text", "type"]), inner),
    max_leaves=5,
)


def _places(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to all values within a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [way] * bool(way) + [place for key, inner in items for place in _places(inner, (*way, key))]


_GOOD = [
    chunk({"role": "assistant", "content": "", "reasoning": "Hm."}),
    *said("one ", "<b>two</b> "),
    chunk({"content": "three"}, logprobs={"content": [{"token": "three", "logprob": -0.5, "top_logprobs": []}]}),
    chunk(fragment(0, "get_weather", '{"city": ', "a")),
    chunk(fragment(0, arguments='"Paris"}')),
    chunk({}, "tool_calls", usage={"prompt_tokens": 3, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 1}}),
]
_WAYS = [(number, way) for number, each in enumerate(_GOOD) for way in _places(each)]


@given(changes=st.lists(st.tuples(st.sampled_from(_WAYS), _JSON), min_size=1, max_size=3), whole=st.booleans())
def test_a_value_of_any_type_anywhere_ends_no_answer_without_a_word(changes: list[Any], whole: bool) -> None:
    chunks = copy.deepcopy(_GOOD)
    for (number, way), value in changes:
        place: Any = chunks[number]
        for key in way[:-1]:
            # An earlier change may have taken the place away.
            if isinstance(place, list):
                place = dict(enumerate(place))
            place = place.get(key) if isinstance(place, dict) else None
        if isinstance(place, dict):
            place[way[-1]] = value
    for each in chunks:
        events = read(json.dumps(each).encode() if whole else sse(*chunks), tools=TOOLS)
        last = events[-1]
        if isinstance(last, Failure):
            assert isinstance(last.error, BackendError)
            assert last.error.message
            assert 400 <= last.error.status <= 599
            assert not any(word in last.error.message for word in ("Error(", "NoneType", "KeyError", "TypeError"))


@given(
    ending=st.sampled_from(["error", "abort", "network_error", "INTERNAL_ERROR", "cancelled"]),
    texts=st.lists(_TEXTS, max_size=3),
    cuts=st.lists(st.integers(0, 900), max_size=5),
)
def test_what_failed_is_never_complete(ending: str, texts: list[str], cuts: list[int]) -> None:
    events = read(sse(*said(*texts), chunk({}, ending)), cuts=cuts)
    assert isinstance(events[-1], Failure)


@given(cut=st.integers(1, 500), framed=st.booleans())
def test_a_stream_that_is_cut_anywhere_is_never_done(cut: int, framed: bool) -> None:
    body = sse(*said("one", "two"), chunk(fragment(0, "get_weather", '{"city": "Paris"}', "a")), chunk({}, "tool_calls"))
    until_the_reason = body.index(b'tool_calls"}') if b'tool_calls"}' in body else len(body) - 60
    events = read(body[: min(cut, until_the_reason)], framed=framed, tools=TOOLS)
    last = events[-1]
    if not framed:
        assert isinstance(last, Failure)
    elif isinstance(last, Finish):
        assert last.reason in ("stop", "tool_calls", "length")
