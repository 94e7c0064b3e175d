"""Models in the form of Anthropic's API, which its clients expect at `/v1/models`, too."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..ollama_descriptions import Model


def anthropic_entry(model: Model) -> dict[str, Any]:
    """A model, with 1970 as its date where the back end does not say, as Anthropic's API does it.

    Every field is there. Nothing is said of capabilities: clients of a model without any known ones ask for all.
    """
    created = datetime.fromtimestamp(model.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.id,
        "created_at": created,
        "capabilities": None,
        "deprecated_at": None,
        "lifecycle": "active",
        "line": None,
        "max_input_tokens": model.known_context_length or None,
        "max_tokens": None,
        "retires_at": None,
    }


def anthropic_list(models: Iterable[Model]) -> dict[str, Any]:
    """All models on one page."""
    entries = [anthropic_entry(model) for model in models]
    first, last = (entries[0]["id"], entries[-1]["id"]) if entries else (None, None)
    return {"data": entries, "has_more": False, "first_id": first, "last_id": last}
