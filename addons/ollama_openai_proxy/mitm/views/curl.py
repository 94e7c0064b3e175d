"""A recorded call as a `curl` command that makes it again. Keys are named by their environment variables, never written out."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

from .backend_side import backend_request, backend_url

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_ARGUMENT = 100_000
"""Bytes of a command line argument; Linux takes no more than 128 KiB."""
_JSON = "Content-Type: application/json"


def ollama_curl(url: str, method: str, path: str, body: Mapping[str, Any] | None, *, has_key: bool = False) -> str:
    """The call of a client.

    Args:
        url: where the proxy answers, without a slash at the end.
        method: of the call, as it was meant.
        path: with the query.
        body: the JSON object that was sent, if one was.
        has_key: whether the client brought a key; the command takes it from `$OLLAMA_API_KEY`.
    """
    key = ['-H "Authorization: Bearer $OLLAMA_API_KEY"'] if has_key else []
    return _curl(method, url.rstrip("/") + path, key, body)


def openai_curl(side: Mapping[str, Any]) -> str:
    """The call of the back end that a client's call became; the key is taken from `$OPENAI_API_KEY`.

    Raises:
        ValueError: the call was not kept whole.
    """
    body, url = backend_request(side), backend_url(side)
    if body is None or not url:
        raise ValueError("the call to the back end was not kept whole")
    headers = side.get("request_headers")
    keyless = isinstance(headers, dict) and bool(headers) and not any(name.lower() == "authorization" for name in headers)
    return _curl("POST", url, [] if keyless else ['-H "Authorization: Bearer $OPENAI_API_KEY"'], body)


def _curl(method: str, url: str, headers: list[str], body: Mapping[str, Any] | None) -> str:
    quiet = "-sN" if body is not None else "-s"
    words = ["curl", quiet, *([] if method == "GET" and body is None else _method(method, body)), shlex.quote(url), *headers]
    if body is None:
        return " ".join(words)
    # Escaped, no character of it can mean anything to a terminal.
    text = json.dumps(body)
    words += ["-H", shlex.quote(_JSON)]
    if len(text) <= MOST_ARGUMENT:
        return " ".join([*words, "-d", shlex.quote(text)])
    return " ".join([*words, "-d", "@-", "<<'JSON'"]) + f"\n{text}\nJSON"


def _method(method: str, body: object) -> list[str]:
    if method == "HEAD":
        return ["-I"]
    return [] if method == "POST" and body is not None else ["-X", shlex.quote(method)]
