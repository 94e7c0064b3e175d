"""Whose the names are that clients made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest
from ollama_openai_proxy.models.lookup import Models
from ollama_openai_proxy.net.request_context import Record, begin_record
from ollama_openai_proxy.translate.ollama_descriptions import read_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from ollama_openai_proxy.models.lookup import Owners

BASE = read_model({"id": "base", "created": 1_700_000_000}, 2e9, "lab")
ROOM = 64 << 10


def made(models: Models, caller: str, key: str | None) -> list[str]:
    """The names that are there for a caller, who is a key of the proxy or an address, and a key that is passed through."""
    begin_record(Record("", caller=caller, client_key=key))
    return [model.id for model in models.derived.list()]


@pytest.mark.parametrize(
    ("owners", "same", "other"),
    [
        ("keys", ("one", None), ("two", None)),
        ("passed keys", ("elsewhere", "key-1"), ("one", "key-2")),
        ("passed keys", ("elsewhere", "key-1"), ("one", None)),
    ],
)
def test_a_name_is_that_of_its_owner(owners: Owners, same: tuple[str, str | None], other: tuple[str, str | None]) -> None:
    models = Models(Mock(), ROOM, owners=owners)
    made(models, "one", "key-1")
    models.derived.add("mine", BASE)
    assert made(models, *same) == ["mine:latest"]
    assert made(models, *other) == []
    made(models, *same)
    assert models.derived.remove("mine")
    assert made(models, *same) == []


def test_without_keys_a_name_is_everybodys() -> None:
    models = Models(Mock(), ROOM, owners="all")
    made(models, "one", None)
    models.derived.add("mine", BASE)
    assert made(models, "two", None) == ["mine:latest"]


def test_workers_know_the_names_of_all_owners_and_no_key() -> None:
    learners: dict[str, Callable[[str, Any], None]] = {}
    told: list[tuple[str, Any]] = []
    first, second = Mock(), Mock()
    first.tell = lambda _, key, value: told.append((key, value))
    second.learn = learners.__setitem__
    models, others = (Models(Mock(), ROOM, owners="passed keys", link=link) for link in (first, second))
    made(models, "one", "key-1")
    models.derived.add("mine", BASE)
    assert "key-1" not in str(told)
    for key, value in told:
        learners["copies"](key, value)
    assert made(others, "two", "key-1") == ["mine:latest"]
    assert made(others, "two", "key-2") == []


def test_all_keys_that_are_passed_through_share_one_room_in_which_the_largest_makes_way() -> None:
    models = Models(Mock(), ROOM, owners="passed keys")
    made(models, "", "small")
    models.derived.add("mine", BASE)
    for number in range(1000):
        made(models, "", "large")
        models.derived.add(f"name-{number}", BASE)
    for number in range(20):
        made(models, "", f"key-{number}")
        models.derived.add("name", BASE)
    assert made(models, "", "small") == ["mine:latest"]
    assert "name-999:latest" in made(models, "", "large")
    assert len(made(models, "", "large")) < 50


def long(kilobytes: int) -> str:
    return "x" * (kilobytes << 10)


def test_a_name_that_was_made_just_now_does_not_make_way() -> None:
    models = Models(Mock(), ROOM, owners="passed keys")
    made(models, "", "one")
    models.derived.add("first", BASE, system=long(30))
    made(models, "", "two")
    models.derived.add("second", BASE, system=long(35))
    assert made(models, "", "two") == ["second:latest"]
    assert made(models, "", "one") == []


def test_many_keys_with_a_name_each_keep_nobody_from_making_names() -> None:
    models = Models(Mock(), ROOM, owners="passed keys")
    for number in range(100):
        made(models, "", f"key-{number}")
        models.derived.add("n", BASE)
    for number in range(5):
        made(models, "", "late")
        models.derived.add(f"name-{number}", BASE)
        assert f"name-{number}:latest" in made(models, "", "late")


def test_the_size_is_that_of_the_names_that_are_there() -> None:
    models = Models(Mock(), ROOM, owners="all")
    derived = models.derived
    assert (derived.size, derived.newest_size) == (0, 0)
    for _ in range(2):
        derived.add("a", BASE)
        derived.add("b", BASE, system=long(1))
    assert derived.size == sum(each.size for each in derived._made.values())
    assert derived.newest_size == derived.size - next(iter(derived._made.values())).size > 1024
    for name in ("a", "b", "c"):
        derived.remove(name)
    assert derived.size == 0


def test_nothing_is_kept_of_a_key_that_made_no_name() -> None:
    models = Models(Mock(), ROOM, owners="passed keys")
    for number in range(100):
        assert made(models, "", f"key-{number}") == []
    assert models._derived == {}  # what is not kept shows nowhere else
    made(models, "", "key")
    models.derived.add("mine", BASE)
    models.derived.remove("mine")
    assert models._derived == {}
