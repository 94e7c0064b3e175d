"""The value is told instead of the object around the value."""

from __future__ import annotations

from ollama_openai_proxy.errors import BackendError
from ollama_openai_proxy.schemas.usage import Usage
from ollama_openai_proxy.translate.adaptation.format_changes import WRAPPER
from ollama_openai_proxy.translate.events import Event, Failure, Finish, Text, Thinking
from ollama_openai_proxy.translate.unwrapping_reader import UnwrappingReader

FINISH = Finish("stop", Usage(1, 1))


class Told:
    """Reads each byte as the next list of events."""

    def __init__(self, *steps: list[Event]) -> None:
        self._steps = list(steps)

    def feed(self, data: bytes) -> list[Event]:
        return self._steps.pop(0)

    def finish(self, *, framed: bool) -> list[Event]:
        return self._steps.pop(0)


def test_the_text_of_the_value_is_left() -> None:
    reader = UnwrappingReader(Told([Thinking("hm"), Text('{"' + WRAPPER)], [Text('": [1, ')], [Text("2]}"), FINISH]))
    told = [*reader.feed(b"a"), *reader.feed(b"b"), *reader.finish(framed=True)]
    assert told[0] == Thinking("hm")
    assert told[-1] == FINISH
    assert "".join(event.text for event in told if isinstance(event, Text)) == "[1, 2]"


def test_what_is_no_such_object_stays() -> None:
    reader = UnwrappingReader(Told([Text("[1]", [{"token": "a"}])], [Text("{")], [Failure(BackendError(502, "no"))]))
    told = [*reader.feed(b"a"), *reader.feed(b"b"), *reader.finish(framed=True)]
    assert told[:2] == [Text("[1]", [{"token": "a"}]), Text("{")]
    assert isinstance(told[2], Failure)


def test_logprobs_of_text_that_is_held_back_are_told() -> None:
    reader = UnwrappingReader(Told([Text("{", [{"token": "{"}]), FINISH]))
    assert reader.feed(b"a") == [Text("", [{"token": "{"}]), Text("{"), FINISH]
