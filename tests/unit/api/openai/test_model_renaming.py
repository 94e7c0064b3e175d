"""The client reads the name that it wrote, wherever a reply says which model answered."""

import asyncio
import itertools
import json
from collections.abc import AsyncGenerator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.api.openai.model_renaming import renamed
from ollama_openai_proxy.errors import BackendError
from ollama_openai_proxy.net.messages import Reply

EVENTS = b'data: {"id":"1","model":"Org/Big-1","x":{"model" : "Org/Big-1"}}\n\ndata: [DONE]\n\n'
NAMED = EVENTS.replace(b"Org/Big-1", b"alias")


async def parted(parts: Sequence[bytes], closed: list[bool] | None = None) -> AsyncGenerator[bytes, None]:
    try:
        for part in parts:
            yield part
    finally:
        if closed is not None:
            closed.append(True)


async def collected(reply: Reply) -> list[bytes]:
    assert not isinstance(reply.body, bytes)
    return [part async for part in reply.body]


def whole(body: bytes, target: str = "Org/Big-1", name: str = "alias") -> bytes:
    changed = renamed(Reply(200, {"A": "b"}, body), target, name).body
    assert isinstance(changed, bytes)
    return changed


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        (b'{"model":"Org/Big-1"}', b'{"model":"alias"}'),
        (b'{ "model" :\n "Org/Big-1", "model_name":"Org/Big-1" }', b'{ "model" :\n "alias", "model_name":"Org/Big-1" }'),
        (b'{"response":{"model":"Org/Big-1"},"model":"Org/Big-1"}', b'{"response":{"model":"alias"},"model":"alias"}'),
    ],
)
def test_the_name_is_put_wherever_the_back_ends_was(body: bytes, changed: bytes) -> None:
    assert whole(body) == changed


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
    assert whole(body, "Org.Big-1" if b"X" in body else "Org/Big-1") == body


@pytest.mark.parametrize("spelled", ['"grün"', '"gr\\u00fcn"'])
def test_a_name_is_known_however_json_writes_it(spelled: str) -> None:
    assert whole(f'{{"model":{spelled}}}'.encode(), "grün", 'a"é\\1') == b'{"model":"a\\"\\u00e9\\\\1"}'


def test_the_reply_keeps_all_but_its_body() -> None:
    reply = Reply(404, {"A": "b"}, b'{"model":"t"}', head_first=True)
    assert renamed(reply, "t", "n") == Reply(404, {"A": "b"}, b'{"model":"n"}', head_first=True)


def test_nothing_is_touched_where_the_names_are_the_same_or_the_reply_is_a_file() -> None:
    same, file = Reply(200, {}, b'{"model":"t"}'), Reply(200, {"Content-Type": "audio/wav"}, parted([b"RIFF"]), length=4)
    assert renamed(same, "t", "t") is same
    assert renamed(file, "t", "n") is file


def test_a_large_object_may_get_another_size() -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    large = renamed(Reply(200, headers, parted([b'{"data":[1,', b"2],", b'"model":"', b't"}']), length=27), "t", "alias")
    assert (large.status, large.headers, large.length) == (200, headers, None)
    assert asyncio.run(collected(large)) == [b'{"data":[1,2],"model":"alias"}']


def test_the_size_that_a_reply_to_head_announces_stays() -> None:
    announced = Reply(200, {"Content-Type": "application/json"}, length=27)
    assert renamed(announced, "t", "alias") == announced


@given(st.lists(st.integers(0, len(EVENTS))))
def test_however_a_stream_is_cut_the_name_is_found(cuts: list[int]) -> None:
    bounds = [0, *sorted(cuts), len(EVENTS)]
    parts = [EVENTS[start:end] for start, end in itertools.pairwise(bounds)]
    body = asyncio.run(collected(renamed(Reply(200, {}, parted(parts)), "Org/Big-1", "alias")))
    assert b"".join(body) == NAMED


def test_an_event_is_passed_on_as_soon_as_it_is_there() -> None:
    parts = [b'data: {"model":"t"}\n\n', b'data: {"mo', b'del":"t"}\n', b"\n", b"rest"]
    body = asyncio.run(collected(renamed(Reply(200, {}, parted(parts)), "t", "n")))
    assert body == [b'data: {"model":"n"}\n\n', b'data: {"model":"n"}\n', b"\n", b"rest"]


async def test_a_stream_that_breaks_off_breaks_off() -> None:
    async def broken() -> AsyncGenerator[bytes, None]:
        yield b'data: {"model":"t"}\n\n'
        raise BackendError(502, "broke off")

    changed = renamed(Reply(200, {}, broken()), "t", "n")
    assert not isinstance(changed.body, bytes)
    assert await anext(changed.body) == b'data: {"model":"n"}\n\n'
    with pytest.raises(BackendError):
        await anext(changed.body)


async def test_a_client_that_leaves_closes_the_stream_behind() -> None:
    closed: list[bool] = []
    changed = renamed(Reply(200, {}, parted([b"a\n", b"b\n"], closed)), "t", "n")
    assert not isinstance(changed.body, bytes)
    await anext(changed.body)
    await changed.body.aclose()
    assert closed == [True]
