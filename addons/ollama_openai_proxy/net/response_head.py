"""The framing of a response (RFC 9112 §6): which headers announce the body's end, and whether the connection stays open."""

from __future__ import annotations

import time
from email.utils import formatdate
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .http_messages import Reply


def reply_fields(reply: Reply, version: str, connection: str) -> list[tuple[str, str]]:
    """Return the headers of a reply, with the framing that the client's HTTP version allows.

    Args:
        reply: where its body comes in parts and its length is not known, it is in chunks, or ends with the connection.
        version: of the request, as "HTTP/1.1".
        connection: the request's header `Connection`.
    """
    fields = list(reply.headers.items())
    names = {name.lower() for name, _ in fields}
    if "date" not in names:
        fields.append(("Date", _date(int(time.time()))))
    length = reply.length
    if length is None and isinstance(reply.body, bytes) and reply.status not in (204, 304):
        length = len(reply.body)
    if length is not None:
        fields.append(("Content-Length", str(length)))
    elif comes_in_chunks(reply, version):
        fields.append(("Transfer-Encoding", "chunked"))
    if connection and "connection" not in names:
        options = [option.strip() for option in connection.lower().split(",")]
        if version == "HTTP/1.1" and "close" in options:
            fields.append(("Connection", "close"))
        # HTTP/1.0 knows no chunks: there a body of unknown length ends with the connection.
        if version == "HTTP/1.0" and "keep-alive" in options and length is not None:
            fields.append(("Connection", "keep-alive"))
    return fields


def keeps_connection(fields: list[tuple[str, str]], version: str) -> bool:
    """Return whether a reply with these headers leaves the connection open."""
    option = next((value.lower() for name, value in fields if name.lower() == "connection"), "")
    return option == "keep-alive" if version == "HTTP/1.0" else option != "close"


def comes_in_chunks(reply: Reply, version: str) -> bool:
    """Return whether the body of a reply has to be in chunks."""
    return version == "HTTP/1.1" and reply.length is None and not isinstance(reply.body, bytes)


@lru_cache(maxsize=2)
def _date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)
