"""Translate mode's back ends: those of the settings and of the models file."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urljoin

from ..api.paths import OPENAI_BASE, OPENAI_MODELS, ROUTES, below_base
from ..backend.client import NO_LISTING, Backend
from ..errors import ApiError
from ..models.models_file import DEFAULT_BACKEND
from ..net.http_messages import Request
from ..translate.error_text import error_text
from .findings import Finding, models_named
from .probe import PATIENCE, as_json, is_page, read_body, why_unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pydantic import SecretStr

    from ..models.models_file import ModelsFile
    from ..net.http_messages import Reply
    from ..settings import Settings
    from ..translate.ollama_descriptions import Model
    from ..translate.server_profiles import ProfileName

NO_LIST_HINT = "name them in MODELS_FILE, or correct the URL if it is not that of the API"
_MODELS = below_base(OPENAI_MODELS)
_CALLS = tuple(below_base(route.path) for route in ROUTES if route.surface in ("openai", "anthropic") and route.prefix is None)


class _Server(NamedTuple):
    """A back end as it is configured.

    Attributes:
        place: where its URL is set.
        key_place: where its key is set.
        own_key: whether clients bring the key.
    """

    name: str
    url: str
    key: SecretStr | None
    profile: ProfileName | None
    place: str
    key_place: str
    own_key: bool = False

    def opened(self) -> Backend:
        return Backend(self.name, self.url, self.key, self.profile, PATIENCE)

    def __str__(self) -> str:
        return f"the back end at {self.url}" if self.name == DEFAULT_BACKEND else f"the back end {self.name} at {self.url}"


class _Look(NamedTuple):
    """What a back end turned out to have; `models` is None where it does not say."""

    findings: list[Finding]
    models: Sequence[Model] | None = None


async def check_backends(settings: Settings, file: ModelsFile) -> list[Finding]:
    """Whether each of them answers and what it has, and whether that is what the models file names."""
    servers = list(_servers(settings, file))
    looks = await asyncio.gather(*(_look(server) for server in servers))
    listed = {server.name: look.models for server, look in zip(servers, looks, strict=True)}
    findings = [finding for look in looks for finding in look.findings]
    for name, entry in file.models.items():
        models, target = listed[entry.backend], entry.model or name
        if models is not None and all(model.target != target for model in models):
            findings.append(
                Finding(
                    "warning",
                    f"MODELS_FILE: models.{name} is {target!r} of the back end {entry.backend}, which lists no such model: "
                    "correct the name, or load the model there",
                )
            )
    return findings


def _servers(settings: Settings, file: ModelsFile) -> Iterator[_Server]:
    yield _Server(
        DEFAULT_BACKEND,
        settings.openai_api_base_url,
        settings.openai_api_key,
        settings.backend_profile,
        "OPENAI_API_BASE_URL",
        "OPENAI_API_KEY",
        settings.openai_api_key_passthrough,
    )
    for name, entry in file.backends.items():
        place = f"backends.{name}.url in MODELS_FILE"
        key_place = entry.api_key_env or f"backends.{name}.api_key_env in MODELS_FILE"
        yield _Server(name, entry.url, entry.key(), entry.profile, place, key_place)


async def _look(server: _Server) -> _Look:
    backend = server.opened()
    try:
        reply = await backend.forward(Request("GET", _MODELS), _MODELS)
        body = await read_body(reply)
        fault = await _fault(server, reply, body)
        if fault is not None:
            return _Look([fault])
        if reply.status in NO_LISTING:
            return _Look([Finding("warning", f"{server} has no list of models, so clients see none of them: {NO_LIST_HINT}")])
        models = await backend.models()
    except ApiError as error:
        return _Look([Finding("problem", why_unreachable(error, str(server), server.place))])
    finally:
        await backend.close()
    kind = f"{server} is of the kind {backend.profile.name}"
    if not models:
        return _Look([Finding("warning", f"{kind} and lists no models: clients will see none; load one there")], models)
    return _Look([Finding("ok", f"{kind} and lists {models_named([model.target for model in models])}")], models)


async def _fault(server: _Server, reply: Reply, body: bytes) -> Finding | None:
    """What is wrong with the answer of a back end that was asked for its models; None for a list, or for none."""
    status, text = reply.status, error_text(body.decode(errors="replace"))
    said = f": {text}" if text else ""
    match status:
        case 401 | 403:
            return _unauthorized(server, status)
        case 429:
            return Finding("warning", f"{server} answers 429{said}: it lets this key call no more for now")
        case _ if 300 <= status < 400:
            place = urljoin(server.url + _MODELS, reply.headers.get("Location", ""))
            return Finding("problem", f"{server} sends everyone on to {place}: set {server.place} to where it really is")
        case _ if status in NO_LISTING:
            return await _elsewhere(server, body)
        case _ if status != 200:
            return Finding("problem", f"{server} answers {status}{said}: see its log")
    if _is_list(body):
        return None
    if better := await _better_url(server):
        return _not_there(server, better)
    what = "a web page" if is_page(body) else "something else"
    return Finding("problem", f"{server} answers with {what} instead of a list of models: correct {server.place}")


def _unauthorized(server: _Server, status: int) -> Finding:
    if server.own_key and server.key is None:
        return Finding("ok", f"{server} wants a key, which clients bring (OPENAI_API_KEY_PASSTHROUGH)")
    if server.key is None:
        return Finding("problem", f"{server} wants a key ({status}): set {server.key_place}")
    return Finding("problem", f"{server} refuses the key ({status}): correct {server.key_place}")


async def _elsewhere(server: _Server, body: bytes) -> Finding | None:
    """What is wrong with the URL of a server that has no list of models there; None if nothing seems to be."""
    if better := await _better_url(server):
        return _not_there(server, better)
    if is_page(body):
        return Finding("problem", f"{server} answers with a web page that says 404: correct {server.place}")
    return None


def _not_there(server: _Server, better: str) -> Finding:
    what = "lacks /v1 at its end" if better == server.url + OPENAI_BASE else "is not that of the API"
    return Finding("problem", f"{server.place} {what}: set it to {better}, where there is a list of models")


async def _better_url(server: _Server) -> str | None:
    """A URL like that of the server at which there is an OpenAI API."""
    base = next((server.url.removesuffix(call) for call in _CALLS if server.url.endswith(call)), server.url)
    root = base.removesuffix(OPENAI_BASE).removesuffix("/api")
    candidates = dict.fromkeys([base, base + OPENAI_BASE, root + OPENAI_BASE, root + "/api" + OPENAI_BASE])
    for url in candidates:
        if url == server.url or url.endswith(OPENAI_BASE * 2):
            continue
        backend = server._replace(url=url).opened()
        try:
            reply = await backend.forward(Request("GET", _MODELS), _MODELS)
            body = await read_body(reply)
        except ApiError:
            continue
        finally:
            await backend.close()
        # A server that wants a key says so in JSON.
        if (reply.status == 200 and _is_list(body)) or (reply.status in (401, 403) and isinstance(as_json(body), dict)):
            return url
    return None


def _is_list(body: bytes) -> bool:
    """Whether it lists models."""
    match as_json(body):
        case {"data": None}:
            return True
        case {"data": list(entries)} | list(entries):
            return all(isinstance(entry, dict) for entry in entries)
    return False
