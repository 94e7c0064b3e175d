"""What all scenario scripts in Python share. They run inside a client's own environment and know nothing of the project.

A script is called with the URL that its client is to use and the URL of the stage's control, and prints one JSON object:
`results` says for each scenario and each way of calling how it went, `uncovered` names what no scenario used.
"""

from __future__ import annotations

import json
import sys
import traceback
import urllib.request
from collections.abc import Callable
from typing import Any

# What is printed is read by a program; what clients print goes elsewhere.
_answer, sys.stdout = sys.stdout, sys.stderr

URL, CONTROL = sys.argv[1:3]
CHAT_MODEL = "tinytools"
PLAIN_MODEL = "tiny"
"""A model that makes embeddings, but has neither tools nor thinking."""
UNKNOWN_MODEL = "nonsense"
SAID = "Hello world!"
"""What the back end says by itself."""
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "weather", "description": "the weather", "parameters": PARAMETERS}}
CALL = {"name": "weather", "arguments": {"city": "Rome"}}
SCHEMA = {"type": "object", "properties": {"answer": {"type": "integer"}}, "required": ["answer"]}

type Scenario = Callable[[Any], None]

scenarios: dict[str, Scenario] = {}


class Lacking(Exception):
    """This version of the client does not have what the scenario is about."""


def scenario(sentence: str) -> Callable[[Scenario], Scenario]:
    """Register a function under a sentence about the client."""

    def register(function: Scenario) -> Scenario:
        scenarios[sentence] = function
        return function

    return register


def expect(found: object, wanted: object) -> None:
    """Compare; a difference is what the result of the scenario will say."""
    if found != wanted:
        raise AssertionError(f"{found!r} instead of {wanted!r}")


def prepare(**reply: object) -> None:
    """Say what the back end answers to its next call: `text`, `thinking`, `tool`, and whether it is `slow` or `breaks`."""
    _control("next", reply)


def asked() -> str:
    """The last request to a model that arrived at the back end."""
    return str(_control("asked"))


def expect_freed() -> None:
    """Wait until the back end has noticed that its client left; a client that left must not leave it at work."""
    if not _control("left"):
        raise AssertionError("the back end was not freed")


def expect_error(call: Callable[[], object], kind: type[BaseException] | tuple[type[BaseException], ...], *words: str) -> Any:
    """Return the error that a call ends with."""
    try:
        result = call()
    except kind as error:
        for word in words:
            if word not in str(error):
                raise AssertionError(f"the error does not say {word!r}: {error}") from error
        return error
    raise AssertionError(f"{result!r} instead of an error")


def perform(clients: dict[str, Any], uncovered: Callable[[], list[str]] = list) -> None:
    """Run every scenario with each client and print the results."""
    results: dict[str, dict[str, str]] = {sentence: {} for sentence in scenarios}
    for way, client in clients.items():
        for sentence, function in scenarios.items():
            _control("reset", {})
            results[sentence][way] = _outcome(function, client)
    _answer.write(json.dumps({"results": results, "uncovered": uncovered()}))


def _outcome(function: Scenario, client: Any) -> str:
    try:
        function(client)
    except Lacking:
        return "lacking"
    except BaseException as error:
        if isinstance(error, AttributeError) and error.obj is client:
            return "lacking"
        traceback.print_exc()
        return f"{type(error).__name__}: {error}"
    return "passed"


def _control(what: str, body: object = None) -> object:
    request = urllib.request.Request(f"{CONTROL}/{what}", None if body is None else json.dumps(body).encode())
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=20) as response:
        return json.load(response)
