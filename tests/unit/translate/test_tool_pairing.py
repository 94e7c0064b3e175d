"""Tool results find their calls over all calls that are open."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.translate.tool_pairing import Given, Made, Section, pair_results


def paired(text: str, *, by_id_only: bool = False) -> str:
    """Pair a conversation in shorthand.

    A section is calls, a bar, results; sections are divided by a slash. A call or a result is `id:name`. The answer has the
    number of the result for each call, in order, or a dot.
    """
    sections = []
    numbers: dict[Given, int] = {}
    for section in text.split("/"):
        calls, _, results = section.partition("|")
        given = [Given(*_two(each)) for each in results.split()]
        for each in given:
            numbers[each] = len(numbers) + 1
        sections.append(Section([Made(*_two(each)) for each in calls.split()], given))
    pairs = pair_results(sections, by_id_only=by_id_only)
    return " ".join(str(numbers[pairs[call]]) if call in pairs else "." for section in sections for call in section.calls)


def _two(text: str) -> tuple[str, str]:
    call_id, _, name = text.partition(":")
    return call_id, name


@pytest.mark.parametrize(
    ("conversation", "expected"),
    [
        # all that is there
        pytest.param("a:f b:f | b: a:", "2 1", id="by id"),
        pytest.param(":f :g | :g :f", "2 1", id="by name"),
        pytest.param(":f :f | : :", "1 2", id="by order"),
        pytest.param(":f :f | :f :f", "1 2", id="by name, then order"),
        pytest.param("f:f g:g | :g :f", "2 1", id="a name in the place of an id"),
        pytest.param("a:f b:g | :b :a", "2 1", id="LlamaIndex: an id in the place of a name"),
        pytest.param(":f :g | g: f:", "2 1", id="a name in the place of an id, where the calls have none"),
        # evidence goes from the strongest to the weakest
        pytest.param("a:f b:f | : a:", "2 1", id="an id before order"),
        pytest.param("a:f b:g | : :f", "2 1", id="a name before order"),
        pytest.param("a:f b:f | :f a:", "2 1", id="an id before a name"),
        pytest.param("a:f / b:f | b: / | a:", "2 1", id="an id before order, also of a later section"),
        # something is missing
        pytest.param("a:f b:g | b:", ". 1", id="no result"),
        pytest.param("a:f | a: a: x:", "1", id="more results than calls"),
        pytest.param("| a: : :f", "", id="no calls"),
        pytest.param("a:f | x:y", "1", id="neither the id nor the name is known"),
        pytest.param("a:f | / | x:", ".", id="an unknown id belongs to nothing older"),
        # several sections
        pytest.param("a:f | a: / b:f | b:", "1 2", id="one after the other"),
        pytest.param("a:f / b:f | a: b:", "1 2", id="by id over sections"),
        pytest.param(":f / :f | : :", "1 2", id="by order over sections, where the latest has too few calls"),
        pytest.param(":f / :f | :f :f", "1 2", id="by name over sections"),
        pytest.param(":f / :f | :", ". 1", id="the older call was broken off"),
        pytest.param("0: / 0: | 0:", ". 1", id="an id that is used again"),
        pytest.param("0: | 0: / 0: | 0:", "1 2", id="an id that is used again, both answered"),
        pytest.param("0: 0: / 0: | 0: 0:", "1 . 2", id="the first of the older ones"),
        pytest.param(":f / :f :f | : / :f | : :", ". 1 2 3", id="what a section leaves open is there for the next"),
        pytest.param("a:f | / | a:", "1", id="a late result"),
        pytest.param("| a: / a:f |", ".", id="a result before its call is none"),
        pytest.param(":f :g / :h | :g : :", "2 1 3", id="a name first, then the order over sections"),
    ],
)
def test_results_find_their_calls(conversation: str, expected: str) -> None:
    assert paired(conversation) == expected


@pytest.mark.parametrize(
    ("conversation", "expected"), [("a:f b:g | b: a:", "2 1"), ("a:f | :f", "."), ("a:f | x:", "."), (": | :", ".")]
)
def test_only_ids_count_where_results_have_to_name_them(conversation: str, expected: str) -> None:
    assert paired(conversation, by_id_only=True) == expected


_KEYS = st.sampled_from(["", "a", "b"])
_SECTIONS = st.lists(
    st.builds(
        Section, st.lists(st.builds(Made, _KEYS, _KEYS), max_size=4), st.lists(st.builds(Given, _KEYS, _KEYS), max_size=4)
    ),
    max_size=5,
)


@given(_SECTIONS)
def test_no_result_is_used_twice_and_none_before_its_call(sections: list[Section]) -> None:
    pairs = pair_results(sections)
    place = {id(item): n for n, section in enumerate(sections) for item in (*section.calls, *section.results)}
    assert max(Counter(map(id, pairs.values())).values(), default=1) == 1
    assert all(place[id(call)] <= place[id(result)] for call, result in pairs.items())


class _Counting(str):
    """A text that counts how often it is compared or hashed."""

    __slots__ = ()
    steps = 0

    def __hash__(self) -> int:
        type(self).steps += 1
        return super().__hash__()

    def __eq__(self, other: object) -> bool:
        type(self).steps += 1
        return super().__eq__(other)


def _conversation(kind: str, size: int) -> list[Section]:
    key = _Counting("x")
    match kind:
        case "one id for all":
            return [Section([Made(key, key) for _ in range(size)], [Given(key, key) for _ in range(size)])]
        case "nothing matches":
            return [Section([Made(_Counting(n), key) for n in range(size)], [Given(_Counting(-n - 1)) for n in range(size)])]
        case "each section has one result too many":
            return [Section([Made(key) for _ in range(size)]), *_overfull(key, size)]
    shuffled = random.Random(5).sample(range(size), size)
    calls = [Made(_Counting(n)) for n in range(size)]
    return [*(Section([call]) for call in calls), Section([], [Given(_Counting(n)) for n in shuffled])]


def _overfull(key: str, size: int) -> list[Section]:
    return [Section([Made(key)], [Given(key), Given(key)]) for _ in range(size)]


@pytest.mark.parametrize(
    "kind", ["one id for all", "nothing matches", "each section has one result too many", "sections of one call, any order"]
)
def test_pairing_takes_linear_time(kind: str) -> None:
    counts = []
    for size in (200, 400, 800):
        conversation = _conversation(kind, size)
        _Counting.steps = 0
        pair_results(conversation)
        counts.append(_Counting.steps)
    assert counts[2] - counts[1] <= 2.2 * (counts[1] - counts[0])
