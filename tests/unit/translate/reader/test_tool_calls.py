"""Calls are put together from fragments, however badly a server numbers and names them."""

# ruff: noqa: E501  # texts of servers, each in one line

from __future__ import annotations

import re
from typing import Any

import pytest
from ollama_openai_proxy.translate.events import ToolCallArguments, ToolCallBegin, ToolCallEnd
from ollama_openai_proxy.translate.reader.offered_tools import OfferedTools
from ollama_openai_proxy.translate.reader.tool_calls import ToolCallAssembly, new_call_id

from tests.unit.translate.reader.bodies import fragment

TOOLS = frozenset({"f", "g", "get_weather"})


def gather(*deltas: Any, tools: frozenset[str] = TOOLS, said_complete: bool = True) -> list[Any]:
    """The events of each delta, and those of the end."""
    assembly = ToolCallAssembly(OfferedTools(tools), str)
    found = []
    for delta in deltas:
        events: list[Any] = []
        assembly.feed(delta["tool_calls"] if isinstance(delta, dict) else delta, events)
        found.append(events)
    events = []
    assembly.finish(events, said_complete=said_complete)
    return [*found, events]


def calls(*deltas: Any, **more: Any) -> list[tuple[str, str, Any]]:
    """The calls as id, name and arguments; an id of the proxy's own is "own"."""
    found: list[tuple[str, str, Any]] = []
    begun: Any = None
    for event in [event for events in gather(*deltas, **more) for event in events]:
        match event:
            case ToolCallBegin():
                begun = event
            case ToolCallEnd():
                own = bool(re.fullmatch(r"call_[a-z0-9]{8}", begun.id))
                found.append(("own" if own else begun.id, begun.name, event.arguments))
    return found


X, Y = {"x": 1}, {"y": 2}
F, G = ("A", "f", X), ("B", "g", Y)


@pytest.mark.parametrize(
    ("deltas", "expected"),
    [
        pytest.param([[*fragment(0, "f", '{"x":1}', "A")["tool_calls"], *fragment(1, "g", '{"y":2}', "B")["tool_calls"]]], [F, G], id="whole calls in one delta"),
        pytest.param([[*fragment(0, "f", X, "A")["tool_calls"], *fragment(0, "f", X, "A")["tool_calls"]]], [F, ("own", "f", X)], id="two calls of one delta that are alike in all"),
        pytest.param([fragment(0, "f", '{"x":1', "A"), fragment(0, "f", '{"y":2}', "B")], [F, ("B", "f", Y)], id="a call in the midst of another"),
        pytest.param([fragment(0, "f", '{"x":', "A"), fragment(0, "g", '{"y":2}')], [("A", "f", None), ("own", "g", Y)], id="another name in the midst of a call"),
        pytest.param([fragment(0, "f", '{"x":', "A"), fragment(None, "f", None, "B"), fragment(None, None, '{"y":2}')], [("A", "f", None), ("B", "f", Y)], id="another id and no arguments in the midst"),
        pytest.param([fragment(0, "f", '{"x":', "A"), fragment(0, "f", '{"x":1}', "A")], [("A", "f", {"x": {"x": 1}})], id="an object as a value, with the name repeated"),
        pytest.param([fragment(0, "f", '{"x"', "A"), fragment(0, "f", '{"x":1}', "A")], [F], id="all again, with the name repeated"),
        pytest.param([fragment(0, None, '{"x":1}', "A"), fragment(0, "f")], [F], id="the name behind the arguments"),
        pytest.param([fragment(0, None, '{"x":', "A"), fragment(0, "f", "1}")], [F], id="the name in the midst"),
        pytest.param([fragment(0, None, '{"x":', "A"), fragment(0, None, "1}")], [], id="no name"),
        pytest.param([fragment(0, "f", '{"x":1}', "A"), fragment(0, None, '{"x":1}')], [F], id="a repeat without a name"),
        pytest.param([fragment(0, "f", '{"x":1}', "A"), fragment(0, "f", '{"x"'), fragment(0, None, ": 1}")], [F], id="a repeat in pieces"),
        pytest.param([fragment(0, "f", '{"x":1}', "A"), fragment(0, "f", '{"x":'), fragment(0, None, "2}")], [F, ("own", "f", {"x": 2})], id="no repeat in the end"),
        pytest.param([fragment(0, "f", '{"x":1}', "A"), fragment(0, "f", '{"x":'), fragment(1, "g", '{"y":2}', "B")], [F, G], id="a repeat that stops"),
        pytest.param([fragment(0, "f", X, "A"), fragment(0, "f", X, "B")], [F, ("B", "f", X)], id="calls that are alike but for their ids"),
        pytest.param([fragment(0, "f", '{"x":1}', "A"), fragment(0, "f", "")], [F], id="a name once more"),
        pytest.param([fragment(0, "f", '{"x":1}', "A"), fragment(0, None, "", "B"), fragment(0, "g"), fragment(0, None, '{"y":2}')], [F, G], id="an id before its name"),
        pytest.param([fragment(0, "f", '{"x"', "A"), fragment(1, None, ':1}')], [F], id="an index that counts fragments"),
        pytest.param([fragment(0, "f", '{"x"', "A"), fragment(1, "f", ':1}', "A")], [F], id="an index that counts fragments, and id and name"),
        pytest.param([fragment(0, "f", '{"x":1}', "A"), fragment(1, None, "", "B"), fragment(1, "g", '{"y":2}')], [F, G], id="a new index, and the name later"),
        pytest.param([fragment(0, "f", "", "A"), fragment(0, "g", "", "B"), fragment(0, None, '{"y":2}', "B"), fragment(0, None, '{"x":1}', "A")], [F, G], id="calls of one index, told apart by their ids"),
        pytest.param([fragment("0", "f", '{"x"', 5), fragment("0", None, ':1}', 5)], [("5", "f", X)], id="an index as text and an id as a number"),
        pytest.param([fragment(True, "f", '{"x":1}', True)], [("own", "f", X)], id="an index and an id of wrong types"),
        pytest.param([[{"index": 0, "id": "A", "function": "f", "arguments": X}]], [F], id="a function that is a name"),
        pytest.param([[{"index": 0, "id": "A", "function": {"name": "f", "parameters": X}}]], [F], id="parameters instead of arguments"),
        pytest.param([[{"index": 0, "id": "A", "function": 5}], [{}, None, {"function": {"name": "", "arguments": ""}}]], [], id="nothing"),
        pytest.param([{"tool_calls": {"name": "f", "arguments": '{"x":1}'}}], [("own", "f", X)], id="a call that is no list"),
        pytest.param([fragment(0, "f", "", "A"), fragment(1, "g", '{"y":2}', "B")], [("A", "f", {}), G], id="a call without arguments before another"),
        pytest.param([fragment(0, "f", ""), fragment(0, "g", '{"y":2}')], [("own", "f", {}), ("own", "g", Y)], id="names alone"),
        pytest.param([fragment(0, "f", "{}", "A"), fragment(1, "g", '{"y":2}', "B")], [("A", "f", {}), G], id="a call with none before another"),
        pytest.param([fragment(0, "f", "{}", "A"), fragment(0, "g", '{"y":2}', "B")], [("A", "f", {}), G], id="a call with none before another of its index"),
        pytest.param([fragment(0, "f", '{"x":1}', "A"), fragment(1, "g", '{"y":2}', "A")], [F, ("own", "g", Y)], id="one id"),
        pytest.param([fragment(0, "f", '{"x": tru}', "A"), fragment(1, "g", '{"y":2}', "B")], [G], id="no JSON, whole"),
        pytest.param([fragment(0, "f", '{"x": ', "A"), fragment(0, None, "tru}"), fragment(1, "g", '{"y":2}', "B")], [("A", "f", None), G], id="no JSON, in pieces"),
    ],
)  # fmt: skip
def test_the_calls_of_fragments(deltas: list[Any], expected: list[Any]) -> None:
    assert calls(*deltas) == expected


def test_the_only_tool_can_be_meant_without_a_name() -> None:
    deltas = [fragment(0, None, '{"x":1}', "A"), fragment(1, None, '{"y":2}', "B")]
    assert calls(*deltas, tools=frozenset({"f"})) == [F, ("B", "f", Y)]
    assert calls(*deltas) == []


def test_a_piece_is_given_out_at_once() -> None:
    begin, first, second, third, end = gather(
        fragment(0, "f", "", "A"), fragment(0, None, '{"x": "'), fragment(0, None, "a word "), fragment(0, None, '"}')
    )
    assert begin == []
    assert first == [ToolCallBegin(0, "A", "f"), ToolCallArguments('{"x": "')]
    assert second == [ToolCallArguments("a word ")]
    assert third == [ToolCallArguments('"}'), ToolCallEnd({"x": "a word "})]
    assert end == []


def test_a_whole_call_waits_for_its_state() -> None:
    state = {"google": {"thought_signature": "c2ln"}}
    begin = ToolCallBegin(0, "A", "f")
    rest = [ToolCallArguments('{"x":1}'), ToolCallEnd(X)]
    assert gather(fragment(0, "f", '{"x":1}', "A")) == [[], [begin, *rest]]
    assert gather(fragment(0, "f", '{"x":1}', "A"), fragment(1, "f", "", "B"))[1] == [begin, *rest]
    for index in (None, 0):
        _, whole, end = gather(fragment(0, "f", '{"x":1}', "A"), {"tool_calls": [{"index": index, "extra_content": state}]})
        assert whole == [ToolCallBegin(0, "A", "f", state), *rest]
        assert end == []
    assert gather({"tool_calls": [{"extra_content": state}]}) == [[], []]


def test_opaque_state_is_kept() -> None:
    state = {"google": {"thought_signature": "c2ln"}}
    events = gather(fragment(0, "f", '{"x":1}', "A", extra_content=state))[0]
    assert events[0] == ToolCallBegin(0, "A", "f", state)
    assert gather(fragment(0, "f", '{"x":1}', "A", extra_content={}))[1][0].state is None


def test_names_are_mapped_back() -> None:
    assembly = ToolCallAssembly(OfferedTools(frozenset({"short"})), {"short": "long"}.__getitem__)
    events: list[Any] = []
    assembly.feed(fragment(0, "short", "{}", "A")["tool_calls"], events)
    assembly.finish(events, said_complete=True)
    assert events[0].name == "long"


def test_a_call_that_was_cut_ends_as_incomplete() -> None:
    assert calls(fragment(0, "f", '{"x": "a', "A"), said_complete=False) == [("A", "f", None)]
    assert calls(fragment(0, "f", "", "A"), said_complete=False) == []


def test_a_call_is_abandoned_with_the_answer() -> None:
    assembly = ToolCallAssembly(OfferedTools(TOOLS), str)
    events: list[Any] = []
    assembly.feed(fragment(0, "f", '{"x": "a', "A")["tool_calls"], events)
    assert assembly.open
    assembly.abandon(events)
    assert not assembly.open
    assert events[-1] == ToolCallEnd(None)
    assembly.abandon(events)
    assert len(events) == 3


def test_half_a_character_is_whole_in_the_next_piece() -> None:
    events = [event for each in gather(fragment(0, "f", '{"x":"\ud83d', "A"), fragment(0, None, '\ude00"}')) for event in each]
    assert events[-1] == ToolCallEnd({"x": "😀"})


def test_a_whole_call_is_given_out_at_once() -> None:
    assembly = ToolCallAssembly(OfferedTools(TOOLS), str)
    events: list[Any] = []
    assembly.add_whole("f", {}, events)
    assembly.add_whole("g", Y, events)
    assert [event.arguments for event in events if isinstance(event, ToolCallEnd)] == [{}, Y]
    assert assembly.whole == 2


def test_ids_are_as_ollama_makes_them() -> None:
    assert re.fullmatch(r"call_[a-z0-9]{8}", new_call_id())
    assert new_call_id() != new_call_id()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("f", "f"),
        (" f ", "f"),
        ("functions.f", "f"),
        ("functions.f:0", "f"),
        ("to=functions.f", "f"),
        ("f<|channel|>commentary", "f"),
        ("get_weatherget_weather", "get_weather"),
        ("ggg", "g"),
        ("f()", "f"),
        ('"f"', "f"),
        ("f<x>", "f"),
        ("other", "other"),
        ("other<|x|>", "other"),
    ],
)
def test_the_tool_that_a_name_means(name: str, meant: str) -> None:
    assert OfferedTools(TOOLS).clean(name) == meant


@pytest.mark.parametrize(
    ("tools", "name", "piece", "joined"),
    [
        (TOOLS, "", "get_", "get_"),
        (TOOLS, "get_", "weather", "get_weather"),
        (TOOLS, "get_", "wea", "get_wea"),
        (TOOLS, "get_", "get_weather", "get_weather"),
        (TOOLS, "f", "f", "f"),
        (TOOLS, "f", "g", None),
        (TOOLS, "f", "<|channel|>", "f<|channel|>"),
        (TOOLS, "f", "oo", None),
        (TOOLS, "fo", "o", "foo"),
        (frozenset({"get", "get_weather"}), "get", "get_weather", None),
        (frozenset({"get", "get_weather"}), "get", "_weather", "get_weather"),
        (frozenset(), "get", "_weather", "get_weather"),
        (frozenset(), "get", "get_weather", "get_weather"),
    ],
)
def test_a_name_that_comes_in_pieces(tools: frozenset[str], name: str, piece: str, joined: str | None) -> None:
    assert OfferedTools(tools).join(name, piece) == joined
