"""A server that sends more than one answer to one request: the second one never reaches another client."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.live.attacks.backend_side import CALLS, Says, head, reply, said

if TYPE_CHECKING:
    import socket

    from tests.live.attacks.backend_side import Request, Setup

STOLEN = reply(said("another client's answer"), 200, "X-Stolen: yes")
FIRST = {
    "of known length": reply(said("mine")),
    "in chunks": head(200, "Transfer-Encoding: chunked")
    + b"%x\r\n%s\r\n0\r\n\r\n"
    % (len(reply(said("mine")).partition(b"\r\n\r\n")[2]), reply(said("mine")).partition(b"\r\n\r\n")[2]),
    "without a body": head(204),
    "an error": reply({"error": {"message": "no"}}, 400),
}


@pytest.mark.parametrize("first", FIRST)
@pytest.mark.parametrize("when", ["at once", "in a second write", "half at once", "half only", "later", "half later"])
def test_a_second_answer_reaches_nobody(hostile: Setup, first: str, when: str) -> None:
    extra = {"at once": STOLEN, "half at once": STOLEN[:40], "half only": STOLEN[:40]}.get(when, b"")

    def after(_: Request, visitor: socket.socket) -> None:
        match when:
            case "in a second write":
                visitor.sendall(STOLEN)
            case "half at once":
                time.sleep(0.01)
                visitor.sendall(STOLEN[40:])
            case "later":
                time.sleep(0.01)
                visitor.sendall(STOLEN)
            case "half later":
                time.sleep(0.01)
                visitor.sendall(STOLEN[:40])

    hostile.server.answer, hostile.server.after = lambda _: Says([FIRST[first] + extra]), after
    got = []
    for name in [*CALLS, "OpenAI's chat"]:
        got.append(hostile.call(CALLS[name]))
        # The bytes behind the answer arrive while the connection rests: the next answer cannot be told from later ones.
        hostile.server.wait_for_arrival()
    assert not any("x-stolen" in each.headers or b"another client" in each.body for each in got)
    assert all(each.status in (200, 204, 400, 500, 502) for each in got)
    # Each call had a connection on which nothing was left over.
    calls = hostile.server.calls
    assert len({request.connection for request in calls}) == len(calls)
    assert hostile.works()


def test_a_connection_without_unread_bytes_is_used_again(hostile: Setup) -> None:
    for name in CALLS:
        hostile.call(CALLS[name])
    calls = hostile.server.requests
    assert len({request.connection for request in calls}) < len(calls) / 3
