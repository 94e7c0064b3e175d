"""Names that clients made are kept, found and forgotten as Ollama's are."""

import time

import pytest
from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.models import copied_models as derived
from ollama_openai_proxy.models.copied_models import Derived
from ollama_openai_proxy.translate.ollama_descriptions import Model, read_model

BASE = read_model({"id": "base", "created": 1_700_000_000}, 2e9, "lab")


@pytest.fixture
def made() -> Derived:
    return Derived()


def found(made: Derived, name: str) -> Model:
    model = made.find(name)
    assert model is not None
    return model


def test_a_copy_is_its_source_under_another_name(made: Derived) -> None:
    made.add("copy", BASE)
    copy = found(made, "copy")
    assert (copy.id, copy.target, copy.backend, copy.capabilities) == ("copy:latest", "base", "lab", BASE.capabilities)
    assert (copy.system, copy.options) == ("", {})
    assert copy.digest != BASE.digest


def test_a_copy_is_as_old_as_the_copying(made: Derived) -> None:
    before = int(time.time())
    made.add("copy", BASE)
    assert before <= found(made, "copy").created <= time.time()


def test_settings_replace_those_of_the_source_one_by_one(made: Derived) -> None:
    made.add("warm", BASE, system="Be warm.", options={"temperature": 1.5, "seed": 1})
    made.add("brief", found(made, "warm"), system="Be brief.", options={"seed": 2})
    made.add("same", found(made, "warm"))
    assert found(made, "brief").system == "Be brief."
    assert found(made, "brief").options == {"temperature": 1.5, "seed": 2}
    assert found(made, "same").system == "Be warm."
    assert found(made, "same").options == {"temperature": 1.5, "seed": 1}
    assert found(made, "brief").target == "base"


def test_a_name_made_again_is_replaced_whole(made: Derived) -> None:
    made.add("m", BASE, system="Be brief.", options={"seed": 1})
    made.add("M:latest", BASE, options={"top_k": 1})
    assert [(model.id, model.system, model.options) for model in made.list()] == [("m:latest", "", {"top_k": 1})]


@pytest.mark.parametrize(
    "name", ["My-Model", "my-model", "MY-MODEL:latest", " my-model ", "library/my-model", "my-model:local"]
)
def test_a_name_is_found_and_forgotten_however_it_is_written(made: Derived, name: str) -> None:
    made.add("My-Model", BASE)
    assert found(made, name).id == "My-Model:latest"
    assert made.remove(name)
    assert made.find(name) is None
    assert not made.remove(name)
    assert made.list() == []


def test_nothing_else_is_found(made: Derived) -> None:
    made.add("m:8b", BASE)
    assert made.find("m") is None
    assert made.find("base") is None
    assert not made.remove("m")


def test_the_newest_comes_first(made: Derived) -> None:
    for name in ("a", "b", "c", "a"):
        made.add(name, BASE)
    assert [model.id for model in made.list()] == ["a:latest", "c:latest", "b:latest"]


def test_the_oldest_name_makes_way_for_one_too_many(made: Derived, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(derived, "MOST", 2)
    for name in ("a", "b", "a", "c"):
        made.add(name, BASE)
    assert [model.id for model in made.list()] == ["c:latest", "a:latest"]
    assert made.find("b") is None


def test_names_make_way_for_newer_ones_before_they_take_too_many_bytes() -> None:
    made = Derived(10_000)
    for name in ("a", "b", "c"):
        made.add(name, BASE, system=name * 2500)
    assert [model.id for model in made.list()] == ["c:latest", "b:latest"]
    # Options count as well, those of the source included.
    made.add("d", found(made, "c"), options={"stop": ["x" * 4000]})
    assert [model.id for model in made.list()] == ["d:latest"]


def test_one_that_would_take_too_many_bytes_alone_is_refused_and_changes_nothing() -> None:
    made = Derived(10_000)
    made.add("a", BASE, system="short")
    for more in ({"system": "x" * 10_000}, {"system": "é" * 4900}, {"options": {"stop": ["x"] * 3000}}):
        with pytest.raises(InvalidRequest) as refused:
            made.add("A", BASE, **more)
        assert (refused.value.status, "MAX_COPIES_SIZE" in refused.value.message) == (413, True)
    assert found(made, "a").system == "short"
