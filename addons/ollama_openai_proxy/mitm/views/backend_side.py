"""The other side of a translated call: what the back end was sent, what it answered, and what was changed on the way.

All of it comes from the flow's metadata, which mitmproxy saves with the flow. Keys are masked before they get there.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from ...api.path_table import OPENAI_CHAT, OPENAI_COMPLETIONS, OPENAI_EMBEDDINGS, ROUTES, below_base
from .formatting import clipped, compact, indented, list_of, printable, read_json, section, text_of
from .response_text import answer_text

if TYPE_CHECKING:
    from collections.abc import Mapping

BACKEND = "ollama_backend"
"""The key of that side in a flow's metadata."""
CALL = "ollama"
"""The key of what the proxy measured and counted."""
MOST_OF_A_TEXT = 2_000
"""Characters of a text within the request, such as an image."""
WIDTH = 76
"""Columns of the notes."""
_OPERATIONS = tuple(below_base(route.path) for route in ROUTES if route.surface in ("openai", "anthropic") and route.operation)


def other_side(side: Mapping[str, Any], info: Mapping[str, Any] | None = None) -> str:
    """The text for a reader.

    Args:
        side: what `flow.metadata["ollama_backend"]` holds; what is missing in it is left out.
        info: what `flow.metadata["ollama"]` holds.
    """
    status = f" · status {side['status']}" if side.get("status") else " · no answer yet"
    blocks = [f"back end {text_of(side.get('backend')) or '?'}{status}\nPOST {backend_url(side)}"]
    if notes := list_of(side.get("notes")):
        blocks.append(section("what was changed, and why", "\n".join(map(_note, notes))))
    headers = side.get("request_headers")
    if isinstance(headers, dict) and headers:
        blocks.append(section("sent: headers", "\n".join(f"{name}: {text_of(value)}" for name, value in headers.items())))
    blocks.append(section("sent: body", _request_text(side.get("request"))))
    answer = text_of(side.get("answer"))
    cut = " (only its beginning was kept)" if side.get("truncated") else ""
    blocks.append(section(f"received{cut}", indented(answer_text(answer.encode(errors="replace"), info).rstrip())))
    return printable("\n\n".join(blocks) + "\n")


def backend_request(side: Mapping[str, Any]) -> dict[str, Any] | None:
    """The body that the back end was sent, and None where it is no JSON object."""
    request: object = side.get("request")
    if isinstance(request, str):
        request = read_json(request)
    if not isinstance(request, dict):
        return None
    further = request.get("extra_body")
    if isinstance(further, dict):  # the SDK's way to say what it has no name for
        return {name: value for name, value in request.items() if name != "extra_body"} | further
    return dict(request)


def backend_url(side: Mapping[str, Any]) -> str:
    """The URL of the call, also where only the back end's base URL was noted."""
    url = text_of(side.get("url"))
    if not url or url.partition("?")[0].endswith(_OPERATIONS):
        return url
    request = backend_request(side) or {}
    path = OPENAI_CHAT if "messages" in request else OPENAI_EMBEDDINGS if "input" in request else OPENAI_COMPLETIONS
    return url.rstrip("/") + below_base(path)


def kept(metadata: Mapping[str, Any], key: str) -> dict[str, Any] | None:
    """What the proxy keeps in a flow's metadata, under `BACKEND` or `CALL`."""
    value = metadata.get(key)
    return value if isinstance(value, dict) else None


def _note(note: object) -> str:
    """Wrap a note about the call into lines short enough for mitmweb's detail pane, which stands beside the list of flows."""
    return textwrap.fill(text_of(note), WIDTH, initial_indent="• ", subsequent_indent="  ", break_long_words=False)


def _request_text(request: object) -> str:
    """The body, each line of it clipped; a line holds no more than one text, such as an image."""
    value = read_json(request) if isinstance(request, str) else request
    text = request if isinstance(request, str) and value is None else compact(value, 2)
    return "\n".join(clipped(line, MOST_OF_A_TEXT) for line in text.split("\n"))
