"""Translate mode's back ends: those of the settings and of the models file."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urljoin

from ..api.path_table import OPENAI_BASE, OPENAI_CHAT, OPENAI_MODELS, ROUTES, below_base
from ..errors import ApiError
from ..models.model_table import ModelTable
from ..models.name_patterns import is_pattern, matches
from ..net.connection_pool import Connections
from ..net.forwarding import Relay
from ..net.http_messages import Request
from ..net.redirects import RedirectsElsewhere, redirected_base
from ..translate.error_text import error_text
from ..translate.not_found import MISSING
from ..translate.ollama_descriptions import plain_name
from .findings import Finding, models_named
from .probe import PATIENCE, as_json, is_page, read_body, why_unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..backend.client import Backend
    from ..models.models_file import ModelEntry, ModelsFile
    from ..models.servers import Server
    from ..net.http_messages import Reply
    from ..translate.ollama_descriptions import Model

NO_LIST_HINT = "name them in MODELS_FILE, or correct the URL if it is not that of the API"
_MODELS = below_base(OPENAI_MODELS)
_CHAT = below_base(OPENAI_CHAT)
_CALLS = tuple(below_base(route.path) for route in ROUTES if route.surface in ("openai", "anthropic") and route.prefix is None)
_MEANWHILE = "until then clients see only the names of MODELS_FILE, and each other name that they ask for goes through"
"""What follows from a list that is not to be had."""


class _Look(NamedTuple):
    """What a back end turned out to have; `models` is None where it does not say."""

    findings: list[Finding]
    models: Sequence[Model] | None = None


async def check_backends(servers: Sequence[Server], file: ModelsFile) -> list[Finding]:
    """Whether each of them answers and what it has, and whether that is what the models file names."""
    looks = await asyncio.gather(*(_look(server) for server in servers))
    findings = [finding for look in looks for finding in look.findings]
    lists = {server.name: look.models for server, look in zip(servers, looks, strict=True)}
    findings += filter(None, (_filter(server, lists[server.name]) for server in servers))
    findings += filter(None, (_entry(name, entry, servers, lists) for name, entry in file.models.items()))
    return findings + list(_fallbacks(file, servers, lists))


def _filter(server: Server, models: Sequence[Model] | None) -> Finding | None:
    """A filter that lets no model of a list pass."""
    if not models or any(server.lets_pass(model.target) for model in models):
        return None
    return Finding("warning", f"{server} has a filter that lets none of its models pass: correct include or exclude")


def _entry(
    name: str, entry: ModelEntry, servers: Sequence[Server], lists: Mapping[str, Sequence[Model] | None]
) -> Finding | None:
    """An entry of the models file that no back end has a model for."""
    asked = [entry.backend] if entry.backend else [server.name for server in servers]
    known = [lists[each] for each in asked]
    if any(models is None for models in known):
        return None
    prefixes = {server.name: server.prefix for server in servers}
    names = [
        each
        for models in known
        for model in models or ()
        for each in (model.target, prefixes[model.backend] + model.target, f"{model.backend}/{model.target}")
    ]
    target = entry.target or name
    if any(matches(target, each) if is_pattern(target) else plain_name(target) == plain_name(each) for each in names):
        return None
    whose = f"the back end {entry.backend or servers[0].name}" if len(asked) == 1 else "no back end"
    if is_pattern(target):
        text = (
            f"MODELS_FILE: models.{name} fits no model that is listed, and has no target: correct the pattern, or add a target"
        )
    elif len(asked) == 1:
        text = (
            f"MODELS_FILE: models.{name} is {target!r} of {whose}, which lists no such model: "
            "correct the name, or load the model there"
        )
    else:
        text = f"MODELS_FILE: models.{name} is {target!r}, which {whose} lists: correct the name, or load the model there"
    return Finding("warning", text)


def _fallbacks(file: ModelsFile, servers: Sequence[Server], lists: Mapping[str, Sequence[Model] | None]) -> Iterator[Finding]:
    """Names in `fallback` that are those of no model."""
    known = {name: models for name, models in lists.items() if models is not None}
    if len(known) < len(servers):
        return  # any name may be one of a server without a list
    table = ModelTable(file.models, servers, known)
    for name, entry in file.models.items():
        for other in entry.fallback:
            if table.find(other) is None:
                text = f"MODELS_FILE: models.{name}.fallback names {other!r}, which is no model: correct the name"
                yield Finding("warning", text)


async def _look(server: Server) -> _Look:
    if server.missing_key:
        return _Look([Finding("problem", server.missing_key)])
    backend = server.opened(PATIENCE)
    try:
        reply = await backend.forward(Request("GET", _MODELS), _MODELS)
        body = await read_body(reply)
        fault = await _fault(server, backend, reply, body)
        if fault is not None:
            return _Look([fault])
        if reply.status in MISSING:
            return _Look([Finding("warning", f"{server} has no list of models, so clients see none of them: {NO_LIST_HINT}")])
        moved = await _moved(server)
        models = await backend.models()
    except ApiError as error:
        return _Look([Finding("problem", _unreachable(server, error))])
    finally:
        await backend.close()
    kind = f"{server} is of the kind {backend.profile.name}"
    further = [moved] if moved else []
    if not models:
        return _Look(
            [*further, Finding("warning", f"{kind} and lists no models: clients will see none; load one there")], models
        )
    listed = models_named([model.target for model in models])
    return _Look([*further, Finding("ok", f"{kind} and lists {listed}")], models)


def _unreachable(server: Server, error: ApiError) -> str:
    if isinstance(error.__cause__, RedirectsElsewhere):
        url = error.__cause__.url
        return f"{server} redirects to {url}, where the proxy does not follow: set {server.place} to {url}, if that is yours"
    return why_unreachable(error, str(server), server.place)


async def _moved(server: Server) -> Finding | None:
    """Where a back end redirects each call to, within its site."""
    relay = Relay(server.url, "the back end", PATIENCE, connections=Connections(server.url, environment=True))
    try:
        reply = await relay.send(Request("GET", _MODELS), _MODELS)
        await read_body(reply)
        if not 300 <= reply.status < 400:
            return None
        asked = server.url + _MODELS
        right = redirected_base(server.url, asked, urljoin(asked, reply.headers.get("Location", "")))
    except ApiError:
        return None
    finally:
        await relay.close()
    return Finding(
        "warning", f"{server} redirects each call to {right}, which costs a call more: set {server.place} to {right}"
    )


async def _fault(server: Server, backend: Backend, reply: Reply, body: bytes) -> Finding | None:
    """What is wrong with the answer of a back end that was asked for its models; None for a list, or for none."""
    status, text = reply.status, error_text(body.decode(errors="replace"))
    said = f": {text}" if text else ""
    match status:
        case 401 | 403:
            return await _unauthorized(server, backend, status, text)
        case 429:
            return Finding("warning", f"{server} answers 429{said}: it lets this key call no more for now")
        case _ if status in MISSING:
            return await _elsewhere(server, body)
        case _ if status != 200:
            return Finding("problem", f"{server} answers {status}{said}: see its log; {_MEANWHILE}")
    if _is_list(body):
        return None
    if better := await _better_url(server):
        return _not_there(server, better)
    what = "a web page" if is_page(body) else "something else"
    return Finding("problem", f"{server} answers with {what} instead of a list of models: correct {server.place}; {_MEANWHILE}")


async def _unauthorized(server: Server, backend: Backend, status: int, text: str) -> Finding:
    if server.own_key and server.key is None:
        return Finding("ok", f"{server} wants a key, which clients bring (OPENAI_API_KEY_PASSTHROUGH)")
    if server.key is None and not server.options.headers:
        return Finding("problem", f"{server} wants a key ({status}): set {server.key_place}")
    if await _takes_calls(backend):
        said = f": {text}" if text else ""
        return Finding(
            "warning",
            f"{server} refuses to list its models to this key ({status}{said}), but takes calls with it: clients see only "
            "the names of MODELS_FILE, and each other name that they ask for goes through; name the models there, or let the "
            "key list models",
        )
    return Finding("problem", f"{server} refuses the key ({status}): correct {server.key_place}")


async def _takes_calls(backend: Backend) -> bool:
    """Whether a back end that refuses to list its models takes calls: then it refuses a call without a model otherwise."""
    head = {"content-type": "application/json"}
    try:
        reply = await backend.forward(Request("POST", _CHAT, head, b"{}", tuple(head.items())), _CHAT)
        await read_body(reply)
    except ApiError:
        return False
    return reply.status in (400, 404, 422)


async def _elsewhere(server: Server, body: bytes) -> Finding | None:
    """What is wrong with the URL of a server that has no list of models there; None if nothing seems to be."""
    if better := await _better_url(server):
        return _not_there(server, better)
    if is_page(body):
        return Finding("problem", f"{server} answers with a web page that says 404: correct {server.place}")
    return None


def _not_there(server: Server, better: str) -> Finding:
    what = "lacks /v1 at its end" if better == server.url + OPENAI_BASE else "is not that of the API"
    return Finding("problem", f"{server.place} {what}: set it to {better}, where there is a list of models")


async def _better_url(server: Server) -> str | None:
    """A URL like that of the server at which there is an OpenAI API."""
    base = next((server.url.removesuffix(call) for call in _CALLS if server.url.endswith(call)), server.url)
    root = base.removesuffix(OPENAI_BASE).removesuffix("/api")
    candidates = dict.fromkeys([base, base + OPENAI_BASE, root + OPENAI_BASE, root + "/api" + OPENAI_BASE])
    for url in candidates:
        if url == server.url or url.endswith(OPENAI_BASE * 2):
            continue
        backend = replace(server, url=url).opened(PATIENCE)
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
