"""Calls that a model wrote into its text are recognised, and nothing else is taken for one."""

# ruff: noqa: E501, RUF001  # texts of servers, each in one line

from __future__ import annotations

from typing import Any

import pytest
from ollama_openai_proxy.translate.reader.offered_tools import OfferedTools
from ollama_openai_proxy.translate.reader.tool_call_text import ToolCallText

from tests.unit.translate.reader.corpus import PARIS, ROME, TOOLS

WEATHER: Any
ROMAN: Any
TIME: Any
WEATHER, ROMAN, TIME = ("get_weather", PARIS), ("get_weather", ROME), ("get_time", {})
OBJECT = '{"name": "get_weather", "arguments": {"city": "Paris"}}'


def parse(*pieces: str, cut: bool = False) -> list[Any]:
    """The parts of a text, with neighbouring pieces of text joined."""
    reader = ToolCallText(OfferedTools(frozenset(TOOLS)), TOOLS)
    parts = [part for piece in pieces for part in reader.feed(piece)] + reader.finish(cut=cut)
    joined: list[Any] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        else:
            joined.append(part)
    return joined


def both_ways(text: str, *, cut: bool = False) -> list[Any]:
    """The parts of a text that comes at once, which are those of its single characters."""
    parts = parse(text, cut=cut)
    assert parse(*text, cut=cut) == parts
    return parts


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        (f"<tool_call>\n{OBJECT}\n</tool_call>", [WEATHER]),
        (f"<tool_call>{OBJECT}", [WEATHER]),
        ('<tool_call>{"name": "get_weather", "arguments": "{\\"city\\": \\"Paris\\"}"}}</tool_call>', [WEATHER]),
        (f"<tool_call>[{OBJECT}, {OBJECT}]</tool_call>", [WEATHER, WEATHER]),
        ('<tool_call>{"name": "get_time"}</tool_call>', [TIME]),
        ("<tool_call>get_time</tool_call>", [TIME]),
        ("<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Paris</arg_value></tool_call>", [WEATHER]),
        ("<tool_call>\n<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n</function>\n</tool_call>", [WEATHER]),
        ("<function=get_weather><parameter=city>Paris</parameter></function>", [WEATHER]),
        ("<function=get_weather><parameter=city>Paris", [WEATHER]),
        ('<function=get_weather>{"city": "Paris"}</function>', [WEATHER]),
        ("<function=get_weather><parameter=city>3</parameter><parameter=days>3</parameter></function>", [("get_weather", {"city": "3", "days": 3})]),
        ("<function=get_weather><parameter=x>True</parameter><parameter=y>12 Main St</parameter></function>", [("get_weather", {"x": True, "y": "12 Main St"})]),
        ('<minimax:tool_call><invoke name="get_weather"><parameter name="city">Paris</parameter></invoke></minimax:tool_call>', [WEATHER]),
        ('<｜DSML｜function_calls>\n<｜DSML｜invoke name="get_weather">\n<｜DSML｜parameter name="city" string="true">Paris</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>', [WEATHER]),
        (f"[TOOL_CALLS][{OBJECT}]", [WEATHER]),
        ('[TOOL_CALLS]get_weather{"city": "Paris"}', [WEATHER]),
        ('[TOOL_CALLS]get_weather[CALL_ID]abc123def[ARGS]{"city": "Paris"}', [WEATHER]),
        ('<|python_tag|>{"name": "get_weather", "parameters": {"city": "Paris"}}; {"name": "get_time", "parameters": {}}', [WEATHER, TIME]),
        ('<|python_start|>[get_weather(city="Paris")]<|python_end|>', [WEATHER]),
        ('[get_weather(city="Paris"), get_weather(city="Rome")]', [WEATHER, ROMAN]),
        ("<|tool_call_start|>[get_weather(city='Paris')]<|tool_call_end|>", [WEATHER]),
        ('{"name": "get_weather", "parameters": {"city": "Paris"}}', [WEATHER]),
        ('{"type": "function", "function": {"name": "get_weather", "parameters": {"city": "Paris"}}}', [WEATHER]),
        ('{"arguments": {"city": "Paris"}, "name": "get_weather"}', [WEATHER]),
        (f'{{"tool_calls": [{OBJECT}]}}', [WEATHER]),
        (f"[{OBJECT}]", [WEATHER]),
        (f"```json\n{OBJECT}\n```", [WEATHER]),
        ('<|START_ACTION|>[{"tool_call_id": "0", "tool_name": "get_weather", "parameters": {"city": "Paris"}}]<|END_ACTION|>', [WEATHER]),
        (f"<|tool_call|>[{OBJECT}]<|/tool_call|>", [WEATHER]),
        ('<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city": "Paris"}<|call|>', [WEATHER]),
        ('<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{"city": "Paris"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>', [WEATHER]),
        ('<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{"city": "Paris"}<｜tool▁call▁end｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{"city": "Rome"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>', [WEATHER, ROMAN]),
        ('<|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>{"city": "Paris"}<|tool_call_end|>', [WEATHER]),
    ],
)  # fmt: skip
def test_the_formats_of_models(text: str, calls: list[Any]) -> None:
    assert both_ways(text) == [calls]


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "plain",
        "a < b [1] <b>",
        "<tool_",
        "<tool_call>no call</tool_call> and more",
        "<tool_call></tool_call>",
        '<tool_call>{"name": "other", "arguments": {}}</tool_call>',
        '<tool_call>{"name": "get_weather", "arguments": 5}</tool_call>',
        '<tool_call>{"arguments": {}}</tool_call>',
        "<function=other><parameter=a>1</parameter></function>",
        '{"name": "Ada", "age": 3}',
        '{"city": "Paris"}',
        '{"name": 5}',
        '{"type": "text", "name": "Ada"}',
        '{"name": "get_weather"',
        "{}",
        "[1, 2]",
        "[1",
        "[other(city=1)]",
        "[get_weather('Paris')]",
        "[get_weather]",
        "[x",
        "```python\nprint(1)\n```",
        "```",
        "`x`",
        "[TOOL_CALLS] what is that",
        "get_weather",
    ],
)
def test_everything_else_is_text(text: str) -> None:
    assert "".join(both_ways(text)) == text


def test_text_and_calls_in_their_order() -> None:
    call = f"<tool_call>{OBJECT}</tool_call>"
    assert both_ways(f"One. {call}\n{call} Two. <b>") == ["One. ", [WEATHER], "\n", [WEATHER], " Two. <b>"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (f'<tool_call>{OBJECT}</tool_call><tool_call>{{"name": "get', [[WEATHER]]),
        ("I look. <function=get_weather><parameter=city>Par", ["I look. "]),
        ("<tool_call>get_weather<arg_key>city</arg_key><arg_value>Par", []),
        ('{"name": "get_weather", "argu', []),
        ("plain <", ["plain <"]),
    ],
)
def test_a_call_that_is_cut_is_neither_call_nor_text(text: str, parts: list[Any]) -> None:
    assert both_ways(text, cut=True) == parts


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("the <tool_call> tag", "the <tool_call> tag"),
        ("the <tool_call>\n", "the "),
        ("the <tool_call> get", "the "),
        ("the <tool_call> get_weather", "the "),
        ("the <tool_call> get_money", "the <tool_call> get_money"),
        ("the <function=other>", "the <function=other>"),
        ('the <invoke name="get_', "the "),
        ("the [TOOL_CALLS] token", "the [TOOL_CALLS] token"),
        ("the [TOOL_CALLS]get_weather[", "the "),
        ("the <|python_tag|> token", "the "),
    ],
)
def test_a_mark_that_is_only_mentioned_holds_nothing_back(text: str, given: str) -> None:
    for pieces in ([text], list(text)):
        reader = ToolCallText(OfferedTools(frozenset(TOOLS)), TOOLS)
        assert "".join(str(part) for piece in pieces for part in reader.feed(piece)) == given


def test_text_is_held_back_no_longer_than_it_may_be_a_call() -> None:
    reader = ToolCallText(OfferedTools(frozenset(TOOLS)), TOOLS)
    assert reader.feed("{") == []
    assert reader.feed('"city"') == ['{"city"']
    assert reader.free
    assert reader.feed("a <") == ["a "]
    assert not reader.free
    assert reader.feed("b") == ["<b"]
    assert reader.finish(cut=False) == []
