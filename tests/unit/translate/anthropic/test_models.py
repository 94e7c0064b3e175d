"""Models in the form of Anthropic's API."""

from __future__ import annotations

import pytest
from anthropic.types import ModelInfo
from ollama_openai_proxy.translate.anthropic.models import anthropic_entry, anthropic_list
from ollama_openai_proxy.translate.ollama_descriptions import read_models

MODELS = read_models([{"id": "a", "created": 1_700_000_000}, {"id": "b"}], 1_800_000_000)


@pytest.mark.parametrize(("model", "created"), list(zip(MODELS, ["2023-11-14T22:13:20Z", "1970-01-01T00:00:00Z"], strict=True)))
def test_an_entry_is_one_of_the_sdk(model: object, created: str) -> None:
    entry = anthropic_entry(model)  # type: ignore[arg-type]
    assert entry["created_at"] == created
    assert ModelInfo.model_validate(entry).type == "model"


def test_a_list_is_one_page() -> None:
    page = anthropic_list(MODELS)
    assert [entry["id"] for entry in page["data"]] == ["a", "b"]
    assert (page["has_more"], page["first_id"], page["last_id"]) == (False, "a", "b")
    assert anthropic_list([]) == {"data": [], "has_more": False, "first_id": None, "last_id": None}
