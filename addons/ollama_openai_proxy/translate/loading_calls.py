"""How servers load and unload models, and tell which are loaded: the calls, and what their answers say.

* llama.cpp's router: `POST /models/load` begins to load, `POST /models/unload`, `GET /models` tells each model's `status`.
  https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
* llama-swap: any call to `/upstream/MODEL/` loads, `POST /api/models/unload/MODEL` unloads, in older releases `GET /unload`
  unloads all; `GET /running` lists. https://github.com/mostlygeek/llama-swap
* Ollama: `POST /api/generate` without a prompt loads or, with `keep_alive` 0, unloads; `GET /api/ps` lists.

All paths are below the server's root, which has no `/v1`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import quote, urlsplit

from ..api.path_table import GENERATE, LLAMA_SWAP_UNLOAD, LOADED, OPENAI_MODELS, below_base

if TYPE_CHECKING:
    from collections.abc import Sequence

type LoaderKind = Literal["llamacpp", "llama-swap", "ollama"]
type LoadState = Literal["loaded", "loading", "unloaded", "failed"]

_HOSTED = "ollama.com"


class LoaderCall(NamedTuple):
    """A call to a server's root.

    Attributes:
        method: of the request.
        path: below the root.
        body: JSON; None for none.
    """

    method: str
    path: str
    body: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that a server has loaded.

    Attributes:
        target: the server's name for the model.
        expires_at: when the server will unload it, in RFC 3339; "" where the server does not tell.
        facts: what else the server tells, in the terms of `/api/ps`.
    """

    target: str
    expires_at: str = ""
    facts: Mapping[str, Any] | None = None


UNLOAD_ALL = LoaderCall("GET", "/unload")
"""How older releases of llama-swap unload."""

_LISTS: dict[LoaderKind, LoaderCall] = {
    "llamacpp": LoaderCall("GET", below_base(OPENAI_MODELS)),
    "llama-swap": LoaderCall("GET", "/running"),
    "ollama": LoaderCall("GET", LOADED),
}


def detect_loader(base_url: str, listing: Sequence[Mapping[str, Any]]) -> LoaderKind | None:
    """How a server loads models; None where it cannot be told to.

    Args:
        base_url: of the server.
        listing: the entries of its list of models.
    """
    owners = {str(entry.get("owned_by")) for entry in listing}
    if "llama-swap" in owners:
        return "llama-swap"
    if owners == {"llamacpp"} and any(_status(entry) for entry in listing):
        return "llamacpp"
    host = urlsplit(base_url).hostname or ""
    if owners == {"library"} and not (host == _HOSTED or host.endswith("." + _HOSTED)):
        return "ollama"
    return None


def load_call(kind: LoaderKind, model: str, keep_alive: float | None) -> LoaderCall:
    """The call that loads a model.

    Args:
        kind: of the server.
        model: the server's name for the model.
        keep_alive: seconds for which the model stays loaded; None is the server's default.
    """
    match kind:
        case "llamacpp":
            return LoaderCall("POST", "/models/load", {"model": model})
        case "llama-swap":
            return LoaderCall("GET", f"/upstream/{quote(model, safe='/')}/health")
    return LoaderCall("POST", GENERATE, {"model": model, "stream": False} | _keep_alive(keep_alive))


def unload_call(kind: LoaderKind, model: str) -> LoaderCall:
    """The call that unloads a model; see also `UNLOAD_ALL`."""
    match kind:
        case "llamacpp":
            return LoaderCall("POST", "/models/unload", {"model": model})
        case "llama-swap":
            return LoaderCall("POST", LLAMA_SWAP_UNLOAD + quote(model, safe=""))
    return LoaderCall("POST", GENERATE, {"model": model, "stream": False, "keep_alive": 0})


def list_call(kind: LoaderKind) -> LoaderCall:
    """The call that tells which models are loaded."""
    return _LISTS[kind]


def read_loaded(kind: LoaderKind, answer: Any) -> list[LoadedModel]:
    """The models that are loaded, of the answer to `list_call`.

    Raises:
        ValueError: the answer is no such list.
    """
    entries = (
        answer.get({"llamacpp": "data", "llama-swap": "running"}.get(kind, "models")) if isinstance(answer, dict) else None
    )
    if not isinstance(entries, list):
        raise ValueError("no list of loaded models")  # noqa: TRY004  # one error for all that is wrong with it
    entries = [entry for entry in entries if isinstance(entry, dict)]
    match kind:
        case "llamacpp":
            return [LoadedModel(str(entry.get("id"))) for entry in entries if load_state(entry) == "loaded"]
        case "llama-swap":
            running = [entry for entry in entries if entry.get("state", "ready") == "ready"]
            return [LoadedModel(str(entry.get("model"))) for entry in running]
    return [LoadedModel(str(entry.get("name")), str(entry.get("expires_at") or ""), _facts(entry)) for entry in entries]


def read_state(answer: Any, model: str) -> LoadState:
    """Whether llama.cpp's router has loaded a model, of its list."""
    entries = answer.get("data") if isinstance(answer, dict) else None
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and model in (entry.get("id"), *(entry.get("aliases") or ())):
            return load_state(entry)
    return "unloaded"


def load_state(entry: Mapping[str, Any]) -> LoadState:
    """The state of an entry of the router's list."""
    status = _status(entry)
    if status.get("failed") is True:
        return "failed"
    value = status.get("value")
    return value if value in ("loaded", "loading") else "unloaded"


def _status(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    status = entry.get("status")
    return status if isinstance(status, Mapping) else {}


def _keep_alive(seconds: float | None) -> dict[str, Any]:
    """Ollama's parameter: seconds, of which a negative number is for ever."""
    if seconds is None:
        return {}
    return {"keep_alive": -1 if seconds == float("inf") else int(seconds) if seconds == int(seconds) else f"{seconds}s"}


def _facts(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: entry[name] for name in ("size", "size_vram", "context_length", "digest") if name in entry}
