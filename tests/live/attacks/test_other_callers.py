"""What one caller brings or writes changes nothing for others, and its key reaches no server but the one that it is for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.live.attacks.backend_side import Says, reply, setup
from tests.live.attacks.targets import BEARER, DOORS, HELLO, KEY, MIB, OTHER_BEARER, OTHER_KEY, on_linux, resident
from tests.live.proxy import ProxyProcess, free_port
from tests.live.raw_http import exchange, get, post
from tests.standins import Error, ScriptedBackend

if TYPE_CHECKING:
    from pathlib import Path

    from tests.live.proxy import Door

CLIENTS_KEY, SECOND_KEY = "key-of-a-client-of-its-own", "key-of-the-second-server"
FAR = "This model's maximum context length is 60 tokens, however you requested 9000 tokens."


def conversation(first: str) -> list[dict[str, str]]:
    said = [{"role": role, "content": f"{role} {number}"} for number in range(8) for role in ("assistant", "user")]
    return [{"role": "user", "content": first}, *said]


@pytest.mark.parametrize("door", DOORS)
def test_a_size_of_the_context_that_only_a_quotation_names_is_learned_for_nobody(door: Door) -> None:
    """A client writes a refusal into its prompt, and the server quotes the prompt in a refusal of its own."""
    keys = f"{KEY},{OTHER_KEY}"
    with (
        ScriptedBackend() as backend,
        ProxyProcess(door=door, OPENAI_API_BASE_URL=backend.base_url, PROXY_API_KEYS=keys) as proxy,
    ):
        backend.reply_with(Error(400, {"error": {"message": f"Invalid value: '{FAR}'", "type": "invalid_request_error"}}))
        call = {"model": "gpt-test", "stream": False}
        exchange(proxy.port, post("/api/chat", call | {"messages": conversation(FAR)}, BEARER))
        backend.requests.clear()
        theirs = conversation("word " * 100)
        assert exchange(proxy.port, post("/api/chat", call | {"messages": theirs}, OTHER_BEARER)).status == 200
        [sent] = [request.json["messages"] for request in backend.requests if request.method == "POST"]
        assert len(sent) == len(theirs)
        # What the server itself says holds for all.
        backend.reply_with(Error(400, {"error": {"message": FAR, "type": "invalid_request_error"}}))
        exchange(proxy.port, post("/api/chat", call | {"messages": theirs}, BEARER))
        backend.requests.clear()
        exchange(proxy.port, post("/api/chat", call | {"messages": theirs}, OTHER_BEARER))
        [sent] = [request.json["messages"] for request in backend.requests if request.method == "POST"]
        assert len(sent) < len(theirs)


FALLBACK = """
[backends.away]
url = "http://127.0.0.1:{away}/v1"
[backends.second]
url = "{second}"
api_key = "{key}"
[models.main]
target = "gpt-test"
fallback = ["gone", "other"]
[models.gone]
backend = "away"
target = "gpt-test"
[models.other]
backend = "second"
target = "gpt-test"
"""
PATHS: dict[str, dict[str, Any]] = {
    "/api/chat": {"messages": HELLO},
    "/api/embed": {"input": "hello"},
    "/v1/chat/completions": {"messages": HELLO},
    "/v1/embeddings": {"input": "hello"},
    "/v1/responses": {"input": "hello"},
    "/v1/messages": {"messages": HELLO, "max_tokens": 9},
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("passes", [True, False], ids=["the client's key", "the proxy's key"])
def test_a_server_that_stands_in_for_another_gets_its_own_key_only(tmp_path: Path, door: Door, passes: bool) -> None:
    with ScriptedBackend() as first, ScriptedBackend() as second:
        file = tmp_path / "models.toml"
        file.write_text(FALLBACK.format(away=free_port(), second=second.base_url, key=SECOND_KEY), "utf-8")
        settings = {"OPENAI_API_KEY": "key-of-the-first-server", "OPENAI_API_KEY_PASSTHROUGH": str(passes).lower()}
        with ProxyProcess(door=door, OPENAI_API_BASE_URL=first.base_url, MODELS_FILE=str(file), **settings) as proxy:  # type: ignore[arg-type]
            own = CLIENTS_KEY if passes else "key-of-the-first-server"
            for path, call in PATHS.items():
                first.requests.clear()
                second.requests.clear()
                first.reply_with(*[Error(503)] * 2)
                body = {"model": "main", **call}
                given = (f"Authorization: Bearer {CLIENTS_KEY}", f"X-Api-Key: {CLIENTS_KEY}")
                assert exchange(proxy.port, post(path, body, *given)).status == 200, path
                first._scripts.clear()
                assert [request for request in second.requests if request.method == "POST"], path
                for server, key in ((first, own), (second, SECOND_KEY)):
                    for request in server.requests:
                        assert request.headers.getall("Authorization", []) in ([f"Bearer {key}"], []), path
                        assert request.headers.getall("X-Api-Key", [key]) == [key], path
                assert CLIENTS_KEY not in str([request.raw_headers for request in second.requests])
            assert CLIENTS_KEY not in proxy.log


@pytest.mark.parametrize("door", DOORS)
def test_a_clients_key_that_a_list_of_models_quotes_is_not_logged(door: Door) -> None:
    with setup(door, "translate", PROXY_API_KEYS="", OPENAI_API_KEY_PASSTHROUGH="true") as running:
        refusal = {"error": {"message": f"Incorrect API key provided: {CLIENTS_KEY}.", "type": "invalid_request_error"}}
        running.server.lists = lambda _: Says([reply(refusal, 401)])
        key = f"Authorization: Bearer {CLIENTS_KEY}"
        for path in ("/api/tags", "/v1/models"):
            exchange(running.proxy.port, get(path, key))
        exchange(running.proxy.port, post("/api/chat", {"model": "gpt-test", "messages": HELLO}, key), may_be_cut=True)
        assert any(request.headers["authorization"].endswith(CLIENTS_KEY) for request in running.server.requests)
        assert "does not list its models" in running.proxy.log
        assert CLIENTS_KEY not in running.proxy.log


@on_linux
@pytest.mark.parametrize("door", DOORS)
def test_models_that_were_called_keep_no_prompts(door: Door) -> None:
    """A name that makes way for others must not live on with its prompt as a loaded model."""
    with (
        ScriptedBackend() as backend,
        ProxyProcess(door=door, OPENAI_API_BASE_URL=backend.base_url, PROXY_API_KEYS=KEY) as proxy,
    ):

        def make_and_call(number: int) -> None:
            name = f"made-{number}"
            body = {"model": name, "from": "gpt-test", "system": f"{number}" + "x" * 3 * MIB, "stream": False}
            assert exchange(proxy.port, post("/api/create", body, BEARER)).status == 200
            call = {"model": name, "messages": HELLO, "stream": False, "keep_alive": -1}
            assert exchange(proxy.port, post("/api/chat", call, BEARER)).status == 200

        for number in range(4):
            make_and_call(number)
            backend.requests.clear()
        held = resident(proxy.worker)
        for number in range(4, 24):
            make_and_call(number)
            backend.requests.clear()
        assert resident(proxy.worker) - held < 45 * MIB
