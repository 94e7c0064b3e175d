"""Changes are small values: they join with others of their key, say what they do, and leave other calls alone."""

from typing import Any

import pytest
from ollama_openai_proxy.translate.adaptation.changes import (
    KINDS,
    Add,
    AskWithoutStream,
    Call,
    Change,
    KeepThinking,
    LeaveOut,
    RenameLimit,
)
from ollama_openai_proxy.translate.adaptation.embedding_changes import CutInputs, FillBlankInputs, LimitInputs
from ollama_openai_proxy.translate.adaptation.limit_changes import Clamp, FewerStops, FitContext, NearestEffort, text_length
from ollama_openai_proxy.translate.adaptation.limits import context_length, output_limit, value_range
from ollama_openai_proxy.translate.adaptation.message_changes import SHAPES, ContinueLast, LeaveOutOfMessages, ShapeMessages

USER = {"role": "user", "content": "hi"}
ALL: list[Change] = [
    LeaveOut("seed"),
    LeaveOut("seed", frozenset({"tools"})),
    RenameLimit(frozenset({"max_tokens"})),
    RenameLimit(frozenset({"max_tokens", "max_completion_tokens"})),
    Add("reasoning_effort", "none", frozenset({"tools"})),
    Add("max_tokens", 4096, replaces=False),
    KeepThinking(),
    AskWithoutStream(frozenset({"tools"})),
    Clamp("temperature", 0.0, 1.5),
    Clamp("max_tokens", None, 10),
    FitContext(100),
    FewerStops(1),
    NearestEffort(frozenset({"low", "default"})),
    LimitInputs(10),
    LimitInputs(tokens=5),
    LimitInputs(10, 5),
    CutInputs(5),
    FillBlankInputs(),
    LeaveOutOfMessages("name"),
    ContinueLast(),
    *(ShapeMessages(shape) for shape in SHAPES),
]


@pytest.mark.parametrize("change", ALL, ids=[change.describe() for change in ALL])
def test_a_change_that_does_not_concern_a_call_leaves_it_alone(change: Change) -> None:
    assert change.kind in KINDS
    assert change.describe()
    for call in (Call({"model": "m"}), Call({"model": "m", "prompt": "x"})):
        if not (isinstance(change, Add) and not change.beside):
            assert change.apply(call) == call
    assert change.merged(change) == change
    assert hash(change.key) == hash(change.key)


@pytest.mark.parametrize("change", ALL, ids=[change.describe() for change in ALL])
def test_a_change_can_be_applied_to_any_conversation(change: Change) -> None:
    call = Call(
        {
            "model": "m",
            "messages": [{"role": "assistant"}, {"role": "tool"}, {"role": "odd", "content": 5}, {}],
            "input": "x",
            "stop": "x",
            "max_tokens": True,
        }
    )
    before = repr(call)
    change.apply(call)
    assert repr(call) == before


@pytest.mark.parametrize(
    ("one", "other", "joined"),
    [
        (Clamp("temperature", 0, 2), Clamp("temperature", 1, None), Clamp("temperature", 1, 2)),
        (FewerStops(4), FewerStops(2), FewerStops(2)),
        (LimitInputs(10), LimitInputs(None, 5), LimitInputs(10, 5)),
        (LimitInputs(10), LimitInputs(20), LimitInputs(10)),
        (CutInputs(10), CutInputs(20), CutInputs(10)),
        (FitContext(10, 2.0, 20), FitContext(20, 1.0, 30), FitContext(10, 1.0, 30)),
        (NearestEffort(frozenset({"low", "high"})), NearestEffort(frozenset({"low"})), NearestEffort(frozenset({"low"}))),
        (LeaveOut("a"), LeaveOut("a"), LeaveOut("a")),
    ],
)
def test_changes_of_one_key_are_joined(one: Any, other: Any, joined: Any) -> None:
    assert one.key == other.key
    assert one.merged(other) == joined


def test_only_values_outside_of_a_range_are_changed() -> None:
    clamp = Clamp("temperature", 0.5, 1.5)
    for value, then in ((0.1, 0.5), (0.5, 0.5), (1.0, 1.0), (2.0, 1.5), (2, 1), (0, 1)):
        assert clamp.apply(Call({"temperature": value})).parameters == {"temperature": then}


def test_an_image_counts_as_a_thousand_tokens() -> None:
    text = {"role": "user", "content": "abc"}
    picture = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:x"}}, "odd"]}
    assert text_length({"messages": [text], "prompt": "d"}) == len("userabcd")
    assert 3000 < text_length({"messages": [picture, "odd"]}) < 3050


def test_a_demand_is_met_only_where_it_is_made() -> None:
    whole = Add("enable_thinking", False, only_whole=True)
    assert whole.apply(Call({"stream": True})).parameters == {"stream": True}
    assert whole.apply(Call({"stream": False})).parameters == {"stream": False, "enable_thinking": False}
    given = Add("max_tokens", 4096, replaces=False)
    assert given.apply(Call({"max_tokens": 1})).parameters == {"max_tokens": 1}


@pytest.mark.parametrize(
    ("text", "value", "found"),
    [
        ("must be in [0, inf)", -1, (0.0, None)),
        ("must be in [0, 1)", 1, (0.0, 0.0)),
        ("must be from 1 (exclusive) to 5 (inclusive)", 1, (2.0, 5.0)),
        ("must be greater than 3", 3, (4.0, None)),
        ("must be between 1 and 5", 3, None),
        ("is wrong", 3, None),
        ("must be in [1.2.3, 5]", 9, None),
    ],
)
def test_ranges_are_read_with_their_bounds(text: str, value: int, found: tuple[float, float | None] | None) -> None:
    assert value_range(text, value, whole=True) == found


def test_a_text_about_something_else_names_no_limit() -> None:
    assert output_limit("The server is out of order", 5) is None
    assert context_length("The server is out of order") is None
