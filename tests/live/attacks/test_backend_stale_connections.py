"""A server that closes kept connections: a call that was sent over one is made once more, and no other call is."""

from __future__ import annotations

import socket
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.live.attacks.backend_side import CALLS, Says, head, reply, said
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from tests.live.attacks.backend_side import Request, Setup

ANSWERED = (200, 400)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("then", ["close", "reset"])
def test_a_call_over_a_connection_that_the_server_closes_is_made_again(hostile: Setup, name: str, then: str) -> None:
    """The server keeps a connection after the first answer, and closes it when the next request has come."""
    stale: set[int] = set()

    def answer(request: Request) -> Says:
        if request.turn and request.connection not in stale:
            stale.add(request.connection)
            return Says([], then)  # type: ignore[arg-type]
        return Says([reply(said("fine"))])

    hostile.server.answer = answer
    for _ in range(3):
        assert hostile.call(CALLS[name]).status in ANSWERED
    sent = [request for request in hostile.server.calls if request.connection in stale]
    assert stale
    assert sent


@pytest.mark.parametrize("name", CALLS)
def test_a_refused_call_whose_connection_is_closed_leaves_the_next_one_alone(hostile: Setup, name: str) -> None:
    """llama.cpp refuses a call, keeps the connection by its words, and closes it all the same."""
    refused = True

    def answer(_: Request) -> Says:
        nonlocal refused
        refused = not refused
        if not refused:
            return Says([reply({"error": {"message": "no such thing as this prompt", "code": 400}}, 400)], "close")
        return Says([reply(said("fine"))])

    hostile.server.answer = answer
    got = [hostile.call(CALLS[name]).status for _ in range(6)]
    assert 502 not in got


@pytest.mark.parametrize("name", CALLS)
def test_a_call_over_a_new_connection_is_made_once(hostile: Setup, name: str) -> None:
    hostile.call(("/api/tags", None))
    hostile.server.drop_connections()
    hostile.server.requests.clear()
    hostile.server.answer = lambda _: Says([], "close")
    assert hostile.call(CALLS[name]).status == 502
    fresh = [request for request in hostile.server.calls if request.turn == 0]
    assert len(fresh) == 1


@pytest.mark.parametrize("name", CALLS)
def test_a_call_that_was_answered_in_part_is_not_made_again(hostile: Setup, name: str) -> None:
    hostile.server.answer = lambda _: Says([reply(said("fine"))])
    assert hostile.call(CALLS[name]).status in ANSWERED
    before = len(hostile.server.calls)
    # By any connection: one that has rested too long on a busy machine is not used again.
    hostile.server.answer = lambda _: Says([head(200, length=500)[:30]], "close")
    assert hostile.call(CALLS[name]).status == 502
    assert len(hostile.server.calls) - before <= 1 + (
        hostile.mode == "translate" and CALLS[name][0] in ("/v1/responses", "/v1/messages")
    )


def test_connections_that_died_while_they_rested_are_not_used(hostile: Setup) -> None:
    for _ in range(3):
        for name in CALLS:
            assert hostile.call(CALLS[name]).status in ANSWERED
        hostile.server.drop_connections()
    assert hostile.works()


def test_a_server_that_restarts_costs_no_call(hostile: Setup) -> None:
    """Several connections of the pool are stale at once, so that a second try must not go over another of them."""

    def reset(_: Request, visitor: socket.socket) -> None:
        visitor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    hostile.server.after = reset
    for _ in range(20):
        hostile.server.drop_connections()
        assert hostile.call(CALLS["OpenAI's chat"]).status == 200


def test_a_second_try_goes_over_a_new_connection(hostile: Setup) -> None:
    """The server ends each of two kept connections when a request comes over it."""
    together = threading.Barrier(2)
    kept: set[int] = set()

    def meet(request: Request) -> Says:
        kept.add(request.connection)
        together.wait(PATIENCE)
        return Says([reply(said("fine"))])

    def end(request: Request) -> Says:
        return Says([], "close") if request.connection in kept else Says([reply(said("fine"))])

    hostile.server.answer = meet
    with ThreadPoolExecutor() as clients:
        answers = clients.map(lambda _: hostile.call(CALLS["OpenAI's chat"]), range(2))
        assert [answer.status for answer in answers] == [200, 200]
    hostile.server.answer = end
    assert hostile.call(CALLS["OpenAI's chat"]).status == 200
    assert any(request.turn and request.connection in kept for request in hostile.server.calls)
