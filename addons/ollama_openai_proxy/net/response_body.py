"""The body of a server's response as the rest of the proxy sees it: without content coding, and without the proxy's keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .body_decoding import decoded
from .masking import MaskedBody
from .upstream_body import ServerBody

if TYPE_CHECKING:
    import aiohttp

    from .body import Body
    from .masking import Masker

BODY = "ollama_openai_proxy.body"
"""The extension of an httpx response that holds its body, which is not started."""


def response_body(response: aiohttp.ClientResponse, coding: str, masker: Masker) -> Body:
    """Return the body of a response.

    Args:
        response: of which the head is there.
        coding: the content coding that is undone; an unknown one, or "", stays.
        masker: masks keys.
    """
    body = decoded(ServerBody(response), coding)
    return MaskedBody(body, masker) if masker else body
