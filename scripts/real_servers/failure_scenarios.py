"""What is tried when something goes wrong: a wrong key, a client that leaves, a server that dies and starts again.

These scenarios come last, since they end the server.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anthropic
import httpx
import ollama
import openai

from scripts.real_servers.chat_scenarios import HELLO
from scripts.real_servers.programs import MODEL
from scripts.real_servers.scenarios import refusal, scenario
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from scripts.real_servers.stage import Sdks, Stage

APIS = {"/api/chat": '"error"', "/v1/chat/completions": '"error"', "/v1/messages": "event: error"}
"""How an error begins in a stream of each API."""
_HELLO: dict[str, Any] = {"model": MODEL, "messages": HELLO, "max_tokens": 5}


def _stream(stage: Stage, path: str) -> AbstractContextManager[httpx.Response]:
    """A streamed answer."""
    exact: dict[str, Any] = {"options": {"temperature": 0}} if path == "/api/chat" else {"temperature": 0, "max_tokens": 100}
    body = {"model": MODEL, "messages": HELLO, "stream": True, **exact}
    return httpx.stream("POST", stage.proxy.url + path, json=body, timeout=PATIENCE, trust_env=False)


def _statuses(sdks: Sdks) -> dict[str, Any]:
    """The status of a call's error in each API; 0 where the call works."""
    calls = {
        "Ollama": lambda: sdks.ollama.chat(MODEL, HELLO, options={"num_predict": 5}),
        "OpenAI": lambda: sdks.openai.chat.completions.create(**_HELLO),
        "Anthropic": lambda: sdks.anthropic.messages.create(**_HELLO),
    }
    return {api: _status(refusal(call)) for api, call in calls.items()}


def _status(error: Exception | None) -> object:
    known = (ollama.ResponseError, openai.APIStatusError, anthropic.APIStatusError)
    return error.status_code if isinstance(error, known) else error or 0


@scenario("A wrong key is an error with the server's reason", keyed=True)
def _key(stage: Stage) -> None:
    with stage.proxy_with_key("sk-wrong") as sdks:
        statuses = _statuses(sdks)
    assert set(statuses.values()) <= {401, 403}, statuses


@scenario("A client that leaves a stream ends the server's answer")
def _abort(stage: Stage) -> None:
    for path in APIS:
        with stage.relay.holding():
            with _stream(stage, path) as answer:
                # HTTPX closes the connection of an iterator that nobody holds any more.
                parts = answer.iter_raw()
                next(parts)
                stage.relay.wait_until_held()
            stage.relay.wait_until_abandoned()
        with _stream(stage, path) as answer:
            assert len(answer.read()) > 200, f"{path}: no whole answer after the one that was left"


@scenario("A server that dies in an answer is an error, and so is the next call")
def _death(stage: Stage) -> None:
    for path, sign in APIS.items():
        said = ""
        with stage.relay.holding(), _stream(stage, path) as answer:
            stage.relay.wait_until_held()
            if path == "/v1/messages":
                stage.server.kill()
            stage.relay.drop()
            with suppress(httpx.TransportError):
                for part in answer.iter_text():
                    said += part
        assert sign in said, f"{path}: {said[-300:]!r}"
        assert '"done":true' not in said, f"{path}: {said[-300:]!r}"
        assert "message_stop" not in said, f"{path}: {said[-300:]!r}"
    statuses = _statuses(stage.sdks)
    assert all(status in (500, 502, 503, 529) for status in statuses.values()), statuses


@scenario("A server that has started again answers at once")
def _restart(stage: Stage) -> None:
    stage.server.kill()
    stage.server.start()
    assert set(_statuses(stage.sdks).values()) == {0}, _statuses(stage.sdks)
    assert [it.model for it in stage.sdks.ollama.list().models] == [MODEL]


@scenario("A wrong key for embeddings is an error with the server's reason", "embeddings", keyed=True)
def _embedding_key(stage: Stage) -> None:
    with stage.proxy_with_key("sk-wrong") as sdks:
        error = refusal(lambda: sdks.ollama.embed(MODEL, "Hello"))
    assert isinstance(error, ollama.ResponseError), error
    assert error.status_code in (401, 403), error


@scenario("A server of embeddings that dies, and starts again", "embeddings")
def _embedding_restart(stage: Stage) -> None:
    stage.server.kill()
    error = refusal(lambda: stage.sdks.ollama.embed(MODEL, "Hello"))
    assert isinstance(error, ollama.ResponseError), error
    assert error.status_code in (500, 502, 503), error
    stage.server.start()
    assert stage.sdks.ollama.embed(MODEL, "Hello").embeddings
