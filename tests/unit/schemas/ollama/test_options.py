"""Options are checked for their types only."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.schemas.ollama.options import KINDS, check_options

GOOD: dict[str, Any] = {"integer": 3, "float32": 0.5, "boolean": True, "array": ["a", "b"]}
BAD: dict[str, Any] = {"integer": "3", "float32": "0.5", "boolean": 1, "array": "a"}


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_an_option_of_its_type_is_taken(name: str, kind: str) -> None:
    assert check_options({name: GOOD[kind]}) == {name: GOOD[kind]}


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_an_option_of_another_type_is_refused_with_status_500(name: str, kind: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_options({name: BAD[kind]})
    assert (caught.value.status, caught.value.message) == (500, f'option "{name}" must be of type {kind}')


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"num_ctx": True}, 'option "num_ctx" must be of type integer'),
        ({"top_p": True}, 'option "top_p" must be of type float32'),
        ({"num_ctx": {}}, 'option "num_ctx" must be of type integer'),
        ({"stop": [1]}, 'option "stop" must be of an array of strings'),
        ({"stop": ["a", None]}, 'option "stop" must be of an array of strings'),
    ],
)
def test_wrong_types_are_told_in_ollamas_words(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_options(options)
    assert caught.value.message == text


@pytest.mark.parametrize(
    ("options", "checked"),
    [
        pytest.param({"num_predict": 1.9}, {"num_predict": 1}, id="floats are cut"),
        pytest.param({"num_predict": -1.9}, {"num_predict": -1}, id="negative floats too"),
        pytest.param({"temperature": 1}, {"temperature": 1}, id="a whole number is a float"),
        pytest.param({"seed": 0, "temperature": 0}, {"seed": 0, "temperature": 0}, id="zero is a value"),
        pytest.param({"seed": None, "stop": None}, {}, id="null is none"),
        pytest.param({"mirostat": "x", "low_vram": 1, "NUM_CTX": "x"}, {}, id="unknown names"),
        pytest.param({"stop": []}, {"stop": []}, id="an empty list"),
        pytest.param({}, {}, id="nothing"),
    ],
)
def test_options_are_read_as_ollama_reads_them(options: dict[str, Any], checked: dict[str, Any]) -> None:
    assert check_options(options) == checked


_ANY = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.lists(st.text())
)


@given(st.dictionaries(st.sampled_from([*KINDS, "other"]), _ANY))
def test_any_options_are_taken_or_refused(options: dict[str, Any]) -> None:
    try:
        checked = check_options(options)
    except InvalidRequest as error:
        status = error.status
    else:
        assert set(checked) <= set(KINDS)
        return
    assert status == 500
