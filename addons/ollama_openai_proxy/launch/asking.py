"""Asks a proxy for its models, over HTTP, before a program is run."""

from __future__ import annotations

import http
import http.client
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..api.path_table import SHOW, TAGS, VERSION
from .target import Target, read_target

if TYPE_CHECKING:
    from collections.abc import Sequence

UNAUTHORIZED = http.HTTPStatus.UNAUTHORIZED
PATIENCE = 30.0
"""Seconds that a proxy may take to list its models: its back end may have to be asked first."""
SHORT_PATIENCE = 3.0
"""Seconds to find out whether something answers at all."""


class LaunchError(Exception):
    """Why a program cannot be launched, as a sentence for the user."""


def is_reachable(url: str) -> bool:
    """Whether a server with the Ollama API answers, be it that a key is missing."""
    try:
        status, value = _ask(url, "GET", VERSION, "", SHORT_PATIENCE)
    except LaunchError:
        return False
    return isinstance(value, dict) and isinstance(value.get("error" if status == UNAUTHORIZED else "version"), str)


def ask_target(url: str, key: str, model: str | None) -> Target:
    """The target for a model, or for the only model that there is.

    Args:
        url: of the proxy.
        key: the client's key; "" for none.
        model: its name; None if the user named none.

    Raises:
        LaunchError: the proxy cannot be asked, refuses, or the model is not clear.
    """
    names: list[str] = []
    if model is None:
        name = _only_model(url, _listed(url, key))
    else:
        name = model
        # The list waits for the back ends; a description does not, and is made up for a model that is not listed yet.
        with suppress(LaunchError):
            names = _listed(url, key)
    status, value = _ask(url, "POST", SHOW, key, PATIENCE, {"model": name})
    if status == http.HTTPStatus.NOT_FOUND and names:
        raise LaunchError(f"there is no model {name!r}: {_choice(url, names)}")
    return read_target(url, key, name, _taken(url, SHOW, status, value))


def _listed(url: str, key: str) -> list[str]:
    """The names of the models that answer."""
    listed = _taken(url, TAGS, *_ask(url, "GET", TAGS, key, PATIENCE)).get("models")
    models = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    return [str(entry.get("name")) for entry in models if "completion" in (entry.get("capabilities") or ["completion"])]


def _only_model(url: str, names: Sequence[str]) -> str:
    if len(names) == 1:
        return names[0]
    if not names:
        raise LaunchError(f"{url} lists no model that answers: name one with --model.")
    raise LaunchError(_choice(url, names))


def _choice(url: str, names: Sequence[str]) -> str:
    """What to do where a model must be named."""
    shown = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
    return f"name a model with --model; {url} has {shown}."


def _taken(url: str, path: str, status: int, value: Any) -> dict[str, Any]:
    """The JSON object of a reply.

    Raises:
        LaunchError: it is a refusal, or no object.
    """
    if status == UNAUTHORIZED:
        raise LaunchError(f"{url} wants a key: set OLLAMA_API_KEY to one of the proxy's keys. ({_told(value, status)})")
    if status >= http.HTTPStatus.BAD_REQUEST or not isinstance(value, dict):
        raise LaunchError(f"{url} refused {path}: {_told(value, status)}")
    return value


def _ask(url: str, method: str, path: str, key: str, patience: float, body: object = None) -> tuple[int, Any]:
    """The status of a reply, and its JSON; None for a body that is no JSON."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise LaunchError(f"{url} is no URL: it must begin with http:// or https://.")
    make = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    # Not through the proxy that HTTP_PROXY names: this server is on this machine, or named by the user.
    connection = make(parts.hostname, parts.port, timeout=patience)
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    try:
        connection.request(method, parts.path.rstrip("/") + path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        status, content = response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        raise LaunchError(f"{url} does not answer: {str(error) or type(error).__name__}.") from None
    finally:
        connection.close()
    try:
        return status, json.loads(content)
    except ValueError:
        return status, None


def _told(value: object, status: int) -> str:
    text = value.get("error") if isinstance(value, dict) else None
    return text if isinstance(text, str) else f"status {status}"
