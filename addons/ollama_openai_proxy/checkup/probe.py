"""What servers answer, and why some do not."""

from __future__ import annotations

import json
import socket
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..api.path_table import LIVE
from ..errors import ApiError
from ..net.body import read_whole
from ..net.forwarding import Relay
from ..net.http_messages import Request, Timeouts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..net.http_messages import Reply

PATIENCE = Timeouts(10.0, 10.0)
"""How long each server may take."""
MOST_READ = 1 << 24
"""Bytes of an answer that are read."""


async def is_proxy(url: str) -> bool:
    """Whether a proxy like this one answers at a URL."""
    relay = Relay(url, "the proxy", PATIENCE)
    try:
        reply = await relay.send(Request("GET", LIVE), LIVE)
        return "X-Request-Id" in reply.headers and as_json(await read_body(reply)) == {"status": "ok"}
    except ApiError:
        return False
    finally:
        await relay.close()


async def read_body(reply: Reply) -> bytes:
    """The body of a reply.

    Raises:
        ApiError: the server broke off.
    """
    return await read_whole(reply.body, MOST_READ)


def as_json(body: bytes) -> Any:
    """What a body says; None if it is no JSON."""
    with suppress(ValueError, RecursionError):
        return json.loads(body)
    return None


def is_page(body: bytes) -> bool:
    """Whether it is HTML."""
    return body.lstrip()[:1] == b"<"


def why_unreachable(error: ApiError, what: str, place: str) -> str:
    """Why there was no answer, and what to do."""
    # The first one is what happened; the others tell how it was passed on.
    for cause in reversed(list(_causes(error))):
        match cause:
            case ssl.SSLCertVerificationError():
                return (
                    f"the certificate of {what} is not trusted ({cause.verify_message}): set SSL_CERT_FILE to a file with the "
                    f"certificate of whoever signed it, or correct {place}"
                )
            case ssl.SSLError():
                return f"{what} does not speak TLS as it should ({cause.reason or cause}): correct {place}, perhaps to http://"
            case socket.gaierror():
                return f"the name of {what} cannot be resolved: correct {place}, or the name server of this machine"
            case ConnectionRefusedError():
                return f"{what} refuses connections: start it, or correct {place}"
            case TimeoutError():
                return f"{what} did not answer in {PATIENCE.begin:g} seconds: see whether it is busy, or correct {place}"
    return f"{what} does not answer properly ({error.message}): correct {place}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
