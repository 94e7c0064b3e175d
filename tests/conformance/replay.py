"""Sends the requests of a recording to a server, one after the other over one connection."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx

from tests.conformance.recording import Exchange, Recording, Response

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.conformance.recording import BodyKind, Request

TIMEOUT = 60.0
LOADED_AT_FIRST = "tiny"
"""The model that was in memory when the recordings began."""
NOTE = "Text is whatever the models said: compare status, headers, keys, types and frame order. `context` lists are cut to 8."


def replay(exchanges: Iterable[Exchange], url: str) -> Iterator[tuple[Exchange, Response]]:
    """Send each request to the server at `url` and yield it with the server's reply.

    Raises:
        httpx.TransportError: the server cannot be reached, or breaks off.
    """
    with httpx.Client(timeout=TIMEOUT, trust_env=False, follow_redirects=False) as client:
        _prepare(client, url)
        for exchange in exchanges:
            yield exchange, send(client, url, exchange.request)


def record(exchanges: Iterable[Exchange], url: str) -> Recording:
    """Send the same requests and keep the replies of this server."""
    version = httpx.get(f"{url}/api/version", timeout=TIMEOUT, trust_env=False).json()["version"]
    again = tuple(Exchange(exchange.name, exchange.request, response) for exchange, response in replay(exchanges, url))
    return Recording(f"ollama {version}", NOTE, again)


def send(client: httpx.Client, url: str, request: Request) -> Response:
    """Send one request as it was recorded: nothing is added to it but what HTTP needs, and the type of a JSON body."""
    kind = {"content-type": "application/json"} if request.body_is_json else {}
    answer = client.request(request.method, url + request.path, content=request.body, headers={**kind, **request.headers})
    return _read(answer)


def _prepare(client: httpx.Client, url: str) -> None:
    """Load and unload models until the server is as it was when the recordings began."""
    listing = client.get(f"{url}/api/ps")
    loaded = listing.json()["models"] if listing.is_success else []
    for model in loaded:
        client.post(f"{url}/api/generate", json={"model": model["name"], "keep_alive": 0})
    client.post(f"{url}/api/generate", json={"model": LOADED_AT_FIRST})


def _read(answer: httpx.Response) -> Response:
    kind, content = _body(answer.headers.get("content-type", ""), answer.content)
    return Response(answer.status_code, dict(answer.headers.items()), kind, content)


def _body(content_type: str, body: bytes) -> tuple[BodyKind, Any]:
    try:
        if body and content_type.startswith("application/x-ndjson"):
            return "frames", _frames(body)
        if body and content_type.startswith("application/json"):
            return "json", json.loads(body)
    except ValueError:
        pass  # It is not what it says it is, which the comparison will show.
    return "text", body.decode(errors="replace")


def _frames(body: bytes) -> list[Any]:
    """The objects of an NDJSON stream; a blank line or an unfinished one is a mistake, as it is to Ollama's clients."""
    *lines, rest = body.split(b"\n")
    if rest:
        raise ValueError("the last line has no end")
    return [json.loads(line) for line in lines]
