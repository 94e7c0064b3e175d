"""The client's name for a model takes the place of the back end's, and of nothing else."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.api.openai.model_renaming import make_renaming
from ollama_openai_proxy.translate.pass_through import EventMachine, LineMachine

EVENTS = b'data: {"id":"1","model":"Org/Big-1","x":{"model" : "Org/Big-1"}}\n\ndata: [DONE]\n\n'
NAMED = EVENTS.replace(b"Org/Big-1", b"alias")


def renamed(body: bytes, target: str = "Org/Big-1", name: str = "alias") -> bytes:
    rename = make_renaming(target, name)
    assert rename is not None
    return rename(body)


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        (b'{"model":"Org/Big-1"}', b'{"model":"alias"}'),
        (b'{ "model" :\n "Org/Big-1", "model_name":"Org/Big-1" }', b'{ "model" :\n "alias", "model_name":"Org/Big-1" }'),
        (b'{"response":{"model":"Org/Big-1"},"model":"Org/Big-1"}', b'{"response":{"model":"alias"},"model":"alias"}'),
    ],
)
def test_the_name_is_put_wherever_the_back_ends_was(body: bytes, changed: bytes) -> None:
    assert renamed(body) == changed


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"Org/Big-10"}',
        b'{"model":"another"}',
        b'{"the_model":"Org/Big-1"}',
        b'{"content":"I am Org/Big-1"}',
        json.dumps({"content": '{"model":"Org/Big-1"}'}).encode(),
        b'{"model":"OrgXBig-1"}',
        b"RIFF\x00\xff",
        b"",
    ],
)
def test_everything_else_stays(body: bytes) -> None:
    assert renamed(body, "Org.Big-1" if b"X" in body else "Org/Big-1") == body


@pytest.mark.parametrize("spelled", ['"grün"', '"gr\\u00fcn"'])
def test_a_name_is_known_however_json_writes_it(spelled: str) -> None:
    assert renamed(f'{{"model":{spelled}}}'.encode(), "grün", 'a"é\\1') == b'{"model":"a\\"\\u00e9\\\\1"}'


def test_there_is_nothing_to_do_if_both_names_are_the_same() -> None:
    assert make_renaming("t", "t") is None


@given(st.lists(st.integers(0, len(EVENTS))))
def test_however_a_stream_is_cut_the_name_is_found(cuts: list[int]) -> None:
    machine = EventMachine(lambda _: b"", make_renaming("Org/Big-1", "alias"))
    bounds = [0, *sorted(cuts), len(EVENTS)]
    parts = [machine.feed(EVENTS[start:end]) for start, end in itertools.pairwise(bounds)]
    assert b"".join([*parts, machine.finish(framed=True)]) == NAMED


def test_an_object_in_several_reads_is_renamed_at_its_end() -> None:
    machine = LineMachine(None, make_renaming("t", "alias"))
    assert [machine.feed(part) for part in (b'{"data":[1,', b'2],"model":"', b't"}')] == [b"", b"", b""]
    assert machine.finish(framed=True) == b'{"data":[1,2],"model":"alias"}'
