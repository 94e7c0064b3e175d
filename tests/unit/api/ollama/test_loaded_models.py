"""A model counts as loaded until its `keep_alive` is over."""

import math
from dataclasses import replace
from datetime import datetime

import pytest
from ollama_openai_proxy.api.ollama.loaded_models import MOST, Residents
from ollama_openai_proxy.translate.ollama_descriptions import Model, read_models

from tests.unit.clock import Clock

A, B, C = read_models([{"id": name} for name in "abc"], 0)
START = 1_800_000_000.0


@pytest.fixture
def clock() -> Clock:
    return Clock(START)


@pytest.fixture
def residents(clock: Clock) -> Residents:
    return Residents(clock=clock)


def loaded(residents: Residents) -> list[Model]:
    return [resident.model for resident in residents.list()]


@pytest.mark.parametrize(("keep_alive", "seconds"), [(None, 300), (60.0, 60), (0.5, 0.5)])
def test_a_model_is_loaded_until_its_time_is_over(
    residents: Residents, clock: Clock, keep_alive: float | None, seconds: float
) -> None:
    residents.used(A, keep_alive)
    clock.now = START + seconds - 0.1
    assert loaded(residents) == [A]
    clock.now = START + seconds
    assert loaded(residents) == []


def test_a_model_may_stay_for_ever(residents: Residents, clock: Clock) -> None:
    residents.used(A, math.inf)
    clock.now = START + 1e9
    [resident] = residents.list()
    assert datetime.fromisoformat(resident.expires_at).year > 2300


def test_another_call_begins_the_time_anew(residents: Residents, clock: Clock) -> None:
    residents.used(A, 60)
    clock.now += 50
    residents.used(A, 60)
    clock.now += 50
    assert loaded(residents) == [A]


def test_keep_alive_zero_unloads(residents: Residents) -> None:
    residents.used(A, None)
    residents.used(B, None)
    residents.used(A, 0)
    residents.used(C, 0)
    assert loaded(residents) == [B]


def test_the_longest_lived_comes_first(residents: Residents) -> None:
    for model, seconds in ((A, 60), (B, 600), (C, 6)):
        residents.used(model, seconds)
    assert loaded(residents) == [B, A, C]


def test_the_end_is_told_as_a_time(residents: Residents) -> None:
    residents.used(A, 0.5)
    assert residents.list()[0].expires_at == "2027-01-15T08:00:00.5Z"


def test_of_many_models_those_used_last_are_remembered(residents: Residents) -> None:
    models = [replace(A, id=f"m{number}") for number in range(MOST + 5)]
    for model in models:
        residents.used(model, math.inf)
    residents.used(models[5], math.inf)
    residents.used(B, math.inf)
    assert loaded(residents) == [*models[7:], models[5], B]


def test_what_a_client_made_of_a_model_is_not_kept(residents: Residents) -> None:
    residents.used(replace(A, system="x" * 1000, options={"seed": 1}), None)
    assert loaded(residents) == [A]
