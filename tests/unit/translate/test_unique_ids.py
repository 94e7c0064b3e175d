"""Ids of one conversation are unique, and the same for the same history."""

from __future__ import annotations

from ollama_openai_proxy.translate.unique_ids import UniqueIds


def test_an_id_that_was_taken_gets_a_number() -> None:
    ids = UniqueIds()
    assert [ids.take(each) for each in ("a", "a", "b", "a", "a_1", "a_1")] == ["a", "a_1", "b", "a_2", "a_1_1", "a_1_2"]
    assert len(ids) == 6
