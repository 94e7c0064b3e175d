"""A server that redirects: neither a prompt nor a key gets to another address, by the proxy or by its client."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.live.attacks.backend_side import CALLS, CLIENTS_KEY, OWN_KEY, PROMPT, Says, in_mode, reply, said
from tests.live.raw_http import Listener

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.attacks.backend_side import Request, Setup

STATUSES = [300, 301, 302, 303, 305, 307, 308, 399]


@pytest.fixture
def elsewhere() -> Iterator[Listener]:
    with Listener() as listener:
        yield listener


def places(port: int, own: int) -> list[str]:
    """Spellings of an address that is not the server's own."""
    return [
        f"http://127.0.0.1:{port}/v1/chat/completions",
        f"http://localhost:{port}/x",
        f"//127.0.0.1:{port}/x",
        f"http://127.0.0.1:{own}@127.0.0.1:{port}/x",
        f"/\\127.0.0.1:{port}/x",
        f"\\\\127.0.0.1:{port}/x",
        f"http:/\\127.0.0.1:{port}/x",
        f"HTTP://127.0.0.1:{port}",
        f"\thttp://127.0.0.1:{port}/x",
        f"http:127.0.0.1:{port}/x",
    ]


def follow_as_a_client(hostile: Setup, name: str) -> None:
    """Make a call with a client that follows redirects, as the SDKs do."""
    path, body = CALLS[name]
    odd = (httpx.TooManyRedirects, httpx.UnsupportedProtocol, httpx.RemoteProtocolError, httpx.InvalidURL)
    with httpx.Client(follow_redirects=True, trust_env=False, timeout=5, max_redirects=3) as client, suppress(*odd):
        client.post(hostile.proxy.url + path, json=body, headers={"Authorization": f"Bearer {CLIENTS_KEY}"})


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("status", STATUSES)
def test_a_redirect_takes_nothing_to_another_address(hostile: Setup, elsewhere: Listener, name: str, status: int) -> None:
    place = f"http://127.0.0.1:{elsewhere.port}/v1/chat/completions"
    hostile.server.answer = lambda _: Says([reply({}, status, f"Location: {place}")])
    answer = hostile.call(CALLS[name])
    assert answer.status == 502
    assert "location" not in answer.headers
    follow_as_a_client(hostile, name)
    assert elsewhere.visits == 0


def test_no_spelling_of_an_address_gets_through(hostile: Setup, elsewhere: Listener) -> None:
    for place in places(elsewhere.port, hostile.server.port):
        for status in (302, 307, 308):
            hostile.server.answer = lambda _, status=status, place=place: Says(  # type: ignore[misc]
                [reply({}, status, f"Location: {place}")]
            )
            for name in ("a chat", "embeddings", "OpenAI's chat"):
                answer = hostile.call(CALLS[name])
                assert answer.status in (502, 307, 308, 302, 404), place
                # Browsers take a backslash for a slash, so that two of them begin an address.
                assert "\\" not in answer.headers.get("location", ""), place
                follow_as_a_client(hostile, name)
    assert elsewhere.visits == 0


@pytest.mark.parametrize("status", STATUSES)
def test_nor_does_a_list_of_models(hostile: Setup, elsewhere: Listener, status: int) -> None:
    place = f"http://127.0.0.1:{elsewhere.port}/v1/models"
    hostile.server.lists = lambda _: Says([reply({}, status, f"Location: {place}")])
    for path in ("/api/tags", "/v1/models", "/readyz", "/api/ps"):
        hostile.call((path, None))
    assert elsewhere.visits == 0


@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize("name", CALLS)
def test_a_redirect_on_the_servers_own_address_keeps_body_and_key(hostile: Setup, name: str, status: int) -> None:
    """Some servers redirect from a path with a slash at its end."""

    def answer(request: Request) -> Says:
        if request.target.endswith("/moved"):
            return Says([reply(said("moved"))])
        return Says([reply({}, status, f"Location: {request.target}/moved")])

    hostile.server.answer = answer
    reply_ = hostile.call(CALLS[name])
    if hostile.mode == "fix":
        # The client follows, as it would without the proxy.
        assert (reply_.status, reply_.headers["location"]) == (status, CALLS[name][0] + "/moved")
        return
    assert reply_.status == 200
    last = hostile.server.calls[-1]
    assert PROMPT in last.body.decode()
    assert last.headers["authorization"] == f"Bearer {OWN_KEY}"


def test_redirects_in_circles_come_to_an_end(hostile: Setup) -> None:
    hostile.server.answer = lambda request: Says([reply({}, 307, f"Location: {request.target}")])
    before = len(hostile.server.requests)
    for name in CALLS:
        answer = hostile.call(CALLS[name])
        assert answer.status == (307 if hostile.mode == "fix" else 502)
        assert hostile.mode == "fix" or "redirects in circles" in answer.body.decode()
    assert len(hostile.server.requests) - before <= 12 * len(CALLS)


@in_mode("fix")
def test_a_redirect_in_fix_mode_names_a_path_of_the_proxy(hostile: Setup) -> None:
    hostile.server.answer = lambda _: Says([reply({}, 301, f"Location: {hostile.server.url}/api/version")])
    answer = hostile.call(("/api/x", None))
    assert (answer.status, answer.headers["location"]) == (301, "/api/version")
