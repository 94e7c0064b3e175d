"""Each kind of server is told to load and unload in its own words, and its list of loaded models is read."""

from typing import Any

import pytest
from ollama_openai_proxy.translate.loading_calls import (
    LoadedModel,
    LoaderCall,
    LoaderKind,
    detect_loader,
    list_call,
    load_call,
    read_loaded,
    read_state,
    unload_call,
)

LOCAL = "http://127.0.0.1:8080/v1"


@pytest.mark.parametrize(
    ("url", "listing", "kind"),
    [
        (LOCAL, [{"owned_by": "llamacpp", "status": {"value": "unloaded"}}], "llamacpp"),
        (LOCAL, [{"owned_by": "llamacpp"}], None),
        (LOCAL, [{"owned_by": "llama-swap"}, {"owned_by": "openai"}], "llama-swap"),
        (LOCAL, [{"owned_by": "library"}], "ollama"),
        ("https://ollama.com/v1", [{"owned_by": "library"}], None),
        ("https://eu.ollama.com/v1", [{"owned_by": "library"}], None),
        (LOCAL, [{"owned_by": "library"}, {"owned_by": "vllm"}], None),
        (LOCAL, [{"id": "m"}], None),
        (LOCAL, [], None),
    ],
)
def test_the_kind_shows_in_the_list_of_models(url: str, listing: list[dict[str, Any]], kind: LoaderKind | None) -> None:
    assert detect_loader(url, listing) == kind


@pytest.mark.parametrize(
    ("kind", "load", "unload", "listed"),
    [
        (
            "llamacpp",
            LoaderCall("POST", "/models/load", {"model": "a/b c"}),
            LoaderCall("POST", "/models/unload", {"model": "a/b c"}),
            LoaderCall("GET", "/models"),
        ),
        (
            "llama-swap",
            LoaderCall("GET", "/upstream/a/b%20c/health"),
            LoaderCall("POST", "/api/models/unload/a%2Fb%20c"),
            LoaderCall("GET", "/running"),
        ),
        (
            "ollama",
            LoaderCall("POST", "/api/generate", {"model": "a/b c", "stream": False}),
            LoaderCall("POST", "/api/generate", {"model": "a/b c", "stream": False, "keep_alive": 0}),
            LoaderCall("GET", "/api/ps"),
        ),
    ],
)
def test_the_calls_of_each_kind(kind: LoaderKind, load: LoaderCall, unload: LoaderCall, listed: LoaderCall) -> None:
    assert (load_call(kind, "a/b c", None), unload_call(kind, "a/b c"), list_call(kind)) == (load, unload, listed)


@pytest.mark.parametrize(("seconds", "sent"), [(600.0, 600), (1.5, "1.5s"), (float("inf"), -1)])
def test_ollama_is_told_how_long(seconds: float, sent: int | str) -> None:
    body = load_call("ollama", "m", seconds).body
    assert body is not None
    assert body["keep_alive"] == sent


@pytest.mark.parametrize(
    ("kind", "answer", "loaded"),
    [
        (
            "llamacpp",
            {"data": [{"id": "a", "status": {"value": "loaded"}}, {"id": "b", "status": {"value": "loading"}}, {"id": "c"}, 7]},
            [LoadedModel("a")],
        ),
        (
            "llama-swap",
            {"running": [{"model": "a", "state": "ready"}, {"model": "b", "state": "starting"}, {"model": "c"}]},
            [LoadedModel("a"), LoadedModel("c")],
        ),
        (
            "ollama",
            {"models": [{"name": "a:latest", "expires_at": "T", "size": 5, "details": {}}, {"name": "b"}]},
            [LoadedModel("a:latest", "T", {"size": 5}), LoadedModel("b", "", {})],
        ),
    ],
)
def test_the_list_of_each_kind(kind: LoaderKind, answer: Any, loaded: list[LoadedModel]) -> None:
    assert read_loaded(kind, answer) == loaded


@pytest.mark.parametrize("answer", [None, [], {}, {"models": 5}, "404 page not found"])
def test_another_answer_is_no_list(answer: Any) -> None:
    with pytest.raises(ValueError, match="no list"):
        read_loaded("ollama", answer)


def test_the_state_of_a_routers_model() -> None:
    answer = {
        "data": [
            5,
            {"id": "a", "status": {"value": "loaded"}},
            {"id": "b", "aliases": ["bee"], "status": {"value": "loading"}},
            {"id": "c", "status": {"value": "unloaded", "failed": True}},
            {"id": "d", "status": {"value": "sleeping"}},
            {"id": "e", "status": "odd"},
        ]
    }
    for name, state in {
        "a": "loaded",
        "bee": "loading",
        "c": "failed",
        "d": "unloaded",
        "e": "unloaded",
        "f": "unloaded",
    }.items():
        assert read_state(answer, name) == state
    assert read_state("odd", "a") == read_state({"data": 5}, "a") == "unloaded"
