"""Names a server in an error: its address is for the log, and for clients on this machine."""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

from .request_context import current_record

logger = logging.getLogger(__name__)


def about_server(url: str, whole: str, nameless: str) -> str:
    """Return the text of an error about a server, for the client of the current request.

    A client on this machine gets the whole text. Any other client gets the text without the server's name, and the id of its
    request, under which the log has the whole text.

    Args:
        url: of the server.
        whole: the text with the URL.
        nameless: the text without the URL. What it quotes may still hold the name of the host.
    """
    record = current_record()
    if record.on_loopback:
        return whole
    # mitmproxy logs lines without the id.
    logger.warning("%s request_id=%s", whole, record.request_id)
    host = urlsplit(url).hostname
    return f"{nameless.replace(host, '…') if host else nameless} (request id {record.request_id})"
