"""Fix mode's Ollama."""

from __future__ import annotations

from ..api.path_table import TAGS, VERSION
from ..errors import ApiError
from ..net.forwarding import Relay
from ..net.http_messages import Request
from .findings import Finding, models_named
from .probe import PATIENCE, as_json, is_proxy, read_body, why_unreachable


async def check_upstream(url: str) -> list[Finding]:
    """Whether Ollama answers, and what it has."""
    if await is_proxy(url):
        return [
            Finding(
                "problem",
                f"what answers at {url} is a proxy like this one: set OLLAMA_UPSTREAM_URL to the Ollama behind it",
            )
        ]
    relay = Relay(url, "Ollama", PATIENCE)
    try:
        version, tags = [as_json(await read_body(await relay.send(Request("GET", path), path))) for path in (VERSION, TAGS)]
    except ApiError as error:
        return [Finding("problem", why_unreachable(error, f"Ollama at {url}", "OLLAMA_UPSTREAM_URL"))]
    finally:
        await relay.close()
    match version, tags:
        case {"version": str(number)}, {"models": list(models)}:
            names = [model["name"] for model in models if isinstance(model, dict) and isinstance(model.get("name"), str)]
            if names:
                return [Finding("ok", f"Ollama {number} answers at {url} and has {models_named(names)}")]
            return [Finding("warning", f"Ollama {number} answers at {url} and has no models: get one with `ollama pull`")]
    return [Finding("problem", f"what answers at {url} is no Ollama: correct OLLAMA_UPSTREAM_URL")]
