"""A back end's models are described so that every client finds what it looks for."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.translate.models import Model, find_model, ps_entry, read_models, show, tags_entry

NOW = 2_000_000_000.0
CAPABILITIES = {"completion", "tools", "insert", "vision", "embedding", "thinking", "image", "audio"}


def model(model_id: str = "m", **entry: Any) -> Model:
    [read] = read_models([{"id": model_id, **entry}], NOW)
    return read


# ── the listing


def test_a_listing_keeps_its_order_and_loses_what_has_no_id() -> None:
    listing: list[dict[str, Any]] = [{"id": "b"}, {"id": ""}, {"id": None}, {"id": 5}, {}, {"id": "a"}]
    assert [read.id for read in read_models(listing, NOW)] == ["b", "a"]


@pytest.mark.parametrize(
    ("created", "text"),
    [
        (1_700_000_000, "2023-11-14T22:13:20Z"),
        (1_700_000_000.7, "2023-11-14T22:13:20Z"),
        pytest.param(int(NOW), "1970-01-01T00:00:00Z", id="the time of the call"),
        pytest.param(NOW + 9e9, "1970-01-01T00:00:00Z", id="the future, or milliseconds"),
        *[(value, "1970-01-01T00:00:00Z") for value in (0, -5, None, "x")],
    ],
)
def test_a_model_is_as_old_as_the_back_end_says(created: object, text: str) -> None:
    assert model(created=created).modified_at == text


@pytest.mark.parametrize(
    ("entry", "length"),
    [
        ({"context_length": 1}, 1),
        ({"max_model_len": 2}, 2),
        ({"context_window": 3}, 3),
        ({"max_context_length": 4}, 4),
        ({"meta": {"n_ctx": 5, "n_ctx_train": 6}}, 5),
        ({"meta": {"n_ctx_train": 6}}, 6),
        ({"meta": None}, 32768),
        ({"meta": "x", "context_length": 0}, 32768),
        ({}, 32768),
    ],
)
def test_the_context_length_is_found_where_back_ends_put_it(entry: dict[str, Any], length: int) -> None:
    assert model(**entry).context_length == length


def test_what_llama_cpp_says_of_a_model_is_told() -> None:
    described = model(meta={"size": 5_000, "n_params": 1_500_000_000, "n_embd": 64})
    assert (described.size, described.embedding_length, described.parameter_count) == (5000, 64, 1_500_000_000)
    assert tags_entry(described)["details"]["parameter_size"] == "1.5B"


@pytest.mark.parametrize(
    ("parameters", "size"), [(0, ""), (999, "999"), (122_880, "123K"), (7_000_000, "7M"), (8_030_000_000, "8.0B")]
)
def test_parameters_are_counted_as_ollama_writes_them(parameters: int, size: str) -> None:
    assert tags_entry(model(meta={"n_params": parameters}))["details"]["parameter_size"] == size


@pytest.mark.parametrize(
    ("model_id", "family", "embeds"),
    [
        ("gpt-4o", "gpt", False),
        ("vendor/Qwen3-8B", "qwen", False),
        ("accounts/x/models/llama-v3", "llama", False),
        ("4o", "llama", False),
        ("text-embedding-3-small", "bert", True),
        ("nomic-embed-text", "bert", True),
        ("BAAI/bge-m3", "bert", True),
        ("intfloat/e5-large", "bert", True),
        ("all-MiniLM-L6-v2", "bert", True),
        ("made5-up", "made", False),
    ],
)
def test_a_models_kind_is_read_from_its_name(model_id: str, family: str, embeds: bool) -> None:
    described = model(model_id)
    assert described.family == family
    assert described.capabilities == (("embedding",) if embeds else ("completion", "tools"))


# ── finding


MODELS = read_models([{"id": name} for name in ("Llama", "llama", "Qwen", "x:latest", "vendor.ai/y", "z:LATEST")], NOW)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        pytest.param("Llama", "Llama", id="by its very name"),
        pytest.param("llama", "llama", id="by its very name, in a case of its own"),
        pytest.param("LLAMA", "Llama", id="the first in another case"),
        pytest.param("qwen", "Qwen", id="in another case"),
        pytest.param("qwen:latest", "Qwen", id="with the default tag"),
        pytest.param("Qwen:LATEST", "Qwen", id="with the default tag in another case"),
        pytest.param("x", "x:latest", id="without the default tag"),
        pytest.param("Z", "z:LATEST", id="without the default tag, in another case"),
        pytest.param(" Qwen\n", "Qwen", id="with space around"),
        pytest.param("vendor.ai/y", "vendor.ai/y", id="a name that Ollama could not have"),
        pytest.param("y", None, id="half a name"),
        pytest.param("x:8b", None, id="another tag"),
        pytest.param("", None, id="no name"),
    ],
)
def test_a_model_is_found_as_clients_write_it(name: str, found: str | None) -> None:
    model = find_model(name, MODELS)
    assert (model.id if model else None) == found


# ── descriptions


def test_digests_are_stable_and_different() -> None:
    assert model("m").digest == "62c66a7a5dd70c3146618063c344e531e6d4b59e379808443ce962b3abd63c5a"
    assert len({model(name).digest for name in ("a", "b", "A")}) == 3


def test_a_list_entry_has_what_clients_read() -> None:
    described = model("qwen3:8b", created=1_700_000_000)
    assert tags_entry(described) == {
        "name": "qwen3:8b",
        "model": "qwen3:8b",
        "modified_at": "2023-11-14T22:13:20Z",
        "size": 1,
        "digest": described.digest,
        "details": {
            "parent_model": "",
            "format": "gguf",
            "family": "qwen",
            "families": ["qwen"],
            "parameter_size": "",
            "quantization_level": "unknown",
        },
        "capabilities": ["completion", "tools"],
    }


def test_an_entry_of_a_loaded_model_has_what_clients_read() -> None:
    described = model("m", max_model_len=1024, meta={"size": 7})
    entry = ps_entry(described, "2026-11-21T03:44:50Z")
    assert list(entry) == ["name", "model", "size", "digest", "details", "expires_at", "size_vram", "context_length"]
    assert (entry["expires_at"], entry["size_vram"], entry["context_length"]) == ("2026-11-21T03:44:50Z", 7, 1024)


def test_a_description_has_what_clients_read() -> None:
    described = show(model("Qwen3", max_model_len=1024, meta={"n_params": 5, "n_embd": 64}))
    assert described["model_info"] == {
        "general.architecture": "qwen",
        "general.basename": "Qwen3",
        "general.parameter_count": 5,
        "qwen.context_length": 1024,
        "qwen.embedding_length": 64,
    }
    assert "\nFROM Qwen3\n" in described["modelfile"]
    assert described["parameters"] == "num_ctx                        1024"
    # Clients look there for these two.
    assert "tools" in described["template"].lower()
    assert ".Suffix" in described["template"]
    assert described["details"]["family"] == "qwen"


@given(
    st.dictionaries(
        st.sampled_from(["created", "meta", "size", "n_params", "context_length", "max_model_len", "owned_by"]),
        st.none() | st.text() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans(),
    )
)
def test_any_entry_of_a_listing_can_be_described(entry: dict[str, Any]) -> None:
    described = model("m", **entry)
    assert tags_entry(described)["size"] > 0
    assert described.context_length > 0
    assert set(show(described)["capabilities"]) <= CAPABILITIES
    assert described.modified_at.endswith("Z")
