"""What a server tells of its models: the entries of its list, and what it says of them elsewhere.

LiteLLM lists names only and tells the rest at `/model/info`. A real Ollama lists names and dates at `/v1/models` and tells the
rest at `/api/show`, a model at a time.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ..api.path_table import OPENAI_BASE, SHOW, root_url

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from ..translate.server_profiles import Profile

type Ask = Callable[[str, dict[str, Any] | None], Awaitable[Any]]
"""Returns the JSON at a URL, by GET or, with a body, by POST; None where there is none."""

PATIENCE = 2.0
"""Seconds for all that a list leaves out. What has not come by then is asked for with the next list."""
LIFETIME = 3600.0
"""Seconds for which is kept what was told of a model."""
AT_A_TIME = 4
MOST_KEPT = 2000

_INFO_FIELDS = (
    *("mode", "max_input_tokens", "output_vector_size"),
    *("supports_function_calling", "supports_vision", "supports_reasoning", "supports_audio_input"),
)


class ModelDetails:
    """What one server tells of its models beside its list.

    Args:
        base_url: the server's.
        ask: asks the server.
        clock: the time in seconds.
    """

    def __init__(self, base_url: str, ask: Ask, clock: Callable[[], float]) -> None:
        self._base_url = base_url
        self._ask = ask
        self._clock = clock
        self._shown: dict[tuple[str, Any], tuple[float, Mapping[str, Any] | None]] = {}

    async def add_to(self, listing: Sequence[dict[str, Any]], profile: Profile) -> dict[str, Mapping[str, Any]]:
        """Complete the entries of a list; returns what `/api/show` of a real Ollama says of models, by their ids."""
        try:
            async with asyncio.timeout(PATIENCE):
                if profile.name == "litellm":
                    add_model_info(listing, await self._ask(f"{self._base_url}/model/info", None))
                if profile.name == "ollama" and self._base_url.endswith(OPENAI_BASE):
                    await self._show(listing)
        except TimeoutError:
            pass
        return {
            entry["id"]: shown
            for entry in listing
            if (kept := self._shown.get(_key(entry))) is not None and (shown := kept[1]) is not None
        }

    async def _show(self, listing: Sequence[Mapping[str, Any]]) -> None:
        now = self._clock()
        asked = [entry for entry in listing if self._shown.get(_key(entry), (-LIFETIME, None))[0] <= now - LIFETIME]
        if len(self._shown) > MOST_KEPT:
            self._shown.clear()
        url = root_url(self._base_url) + SHOW
        turns = asyncio.Semaphore(AT_A_TIME)

        async def show(entry: Mapping[str, Any]) -> None:
            async with turns:
                told = await self._ask(url, {"model": entry.get("id")})
            self._shown[_key(entry)] = (self._clock(), told if isinstance(told, dict) and "error" not in told else None)

        await asyncio.gather(*(show(entry) for entry in asked))


def _key(entry: Mapping[str, Any]) -> tuple[str, Any]:
    """A model as it is: a model that was made anew has another date."""
    return str(entry.get("id")), str(entry.get("created"))


def add_model_info(listing: Sequence[dict[str, Any]], info: Any) -> None:
    """Add to the entries of a list what LiteLLM says of each model at `/model/info`."""
    data = info.get("data") if isinstance(info, dict) else None
    told: dict[str, Mapping[str, Any]] = {}
    for each in data if isinstance(data, list) else []:
        match each:
            case {"model_name": str(name), "model_info": dict(facts)}:
                told.setdefault(name, facts)
    for entry in listing:
        known = told.get(str(entry.get("id")), {})
        entry.update({name: known[name] for name in _INFO_FIELDS if known.get(name) is not None and name not in entry})


def listed_entries(answer: Any) -> list[dict[str, Any]]:
    """Return the entries of a list of models, which Together gives bare, and some under `models`, or as mere names.

    llama.cpp says beside it, in a list of Ollama's form, what its models can do.

    Raises:
        ValueError: it is no such list.
    """
    entries = answer.get("data") if isinstance(answer, dict) else answer
    if entries is None and isinstance(answer, dict) and "data" in answer:
        return []  # Ollama's empty list
    if entries is None and isinstance(answer, dict):
        entries = answer.get("models")
    if not isinstance(entries, list):
        raise ValueError("no list of models")  # noqa: TRY004  # one error for all that is wrong with it
    found = [_entry(entry) for entry in entries if isinstance(entry, dict | str)]
    by_id: dict[str, list[dict[str, Any]]] = {}
    for entry in found:
        if isinstance(name := entry.get("id"), str):
            by_id.setdefault(name, []).append(entry)
    beside = answer.get("models") if isinstance(answer, dict) else None
    for other in beside if isinstance(beside, list) else []:
        match other:
            case {"name": str(name), "capabilities": list(words)}:
                for entry in by_id.pop(name, ()):
                    entry.setdefault("capabilities", words)
    return found


def _entry(entry: dict[str, Any] | str) -> dict[str, Any]:
    """The entry with its name where OpenAI has it."""
    if isinstance(entry, str):
        return {"id": entry}
    return entry if entry.get("id") else {**entry, "id": entry.get("name") or entry.get("model")}
