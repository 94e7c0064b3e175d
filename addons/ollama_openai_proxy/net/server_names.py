"""Names a server in an error: its address is for the log, and for clients on this machine."""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

from .request_context import current_record

logger = logging.getLogger(__name__)


def about_server(before: str, url: str, after: str = "", reason: str = "") -> str:
    """Return the text of an error about a server, for the client of the current request.

    A client on this machine is told the server's URL. Any other client is told the id of its request, under which the log has
    the whole text.

    Args:
        before: the text before the URL.
        url: of the server.
        after: the text behind the URL.
        reason: why, which may name the server, too.
    """
    because = f": {reason}" if reason else ""
    whole = f"{before} at {url}{after}{because}"
    record = current_record()
    if record.on_loopback:
        return whole
    logger.warning("%s", whole)
    if (urlsplit(url).hostname or "") in reason.lower():
        because = ""
    return f"{before}{after}{because} (request id {record.request_id})"
