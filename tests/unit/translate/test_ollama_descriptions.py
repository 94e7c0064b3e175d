"""A back end's models are described so that every client finds what it looks for, and found by every name it may use."""

import json
import re
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.translate import ollama_descriptions
from ollama_openai_proxy.translate.ollama_descriptions import (
    CAPABILITIES,
    Model,
    ModelIndex,
    model_from_json,
    openai_entry,
    plain_name,
    ps_entry,
    read_model,
    read_models,
    show,
    tags_entry,
    with_also,
    without,
)

from .test_model_metadata import ENTRIES, NOW

EXPIRES = "2319-03-03T00:00:00.5Z"


def model(model_id: str = "m", **entry: Any) -> Model:
    return read_model({"id": model_id, **entry}, NOW)


# ── what clients rely on


DESCRIBED = {server: read_model(entry, NOW) for server, entry in ENTRIES.items()}
DESCRIBED["an alias with settings"] = replace(
    DESCRIBED["OpenAI"],
    id="brief",
    capabilities=CAPABILITIES,
    system='Be brief.\nSay "I".',
    options={"num_ctx": 512, "temperature": 1.0, "stop": ["<|im_end|>", "\n"], "use_mmap": False, "top_p": 0.9},
)
DESCRIBED["nothing known"] = model()


@pytest.mark.parametrize("server", DESCRIBED)
def test_every_description_passes_the_gates_of_every_client(server: str) -> None:
    described = DESCRIBED[server]
    listed, loaded, shown = tags_entry(described), ps_entry(described, EXPIRES), show(described)

    # Lists: strictly typed clients, and caches by digest.
    for entry in (listed, loaded):
        assert entry["name"] == entry["model"] == described.id
        assert re.fullmatch(r"[0-9a-f]{64}", entry["digest"])
        assert type(entry["size"]) is int
        assert entry["size"] > 0
    assert type(loaded["size_vram"]) is int
    assert loaded["size_vram"] == loaded["size"]
    assert type(loaded["context_length"]) is int
    assert loaded["context_length"] > 0
    assert loaded["expires_at"] == EXPIRES

    # Dates: with a time zone, and with a fraction of a second.
    for date in (listed["modified_at"], shown["modified_at"]):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,9}Z", date)
        assert 1970 <= datetime.fromisoformat(date).year <= datetime.fromtimestamp(NOW).astimezone().year

    # Details: texts, and a list of families; the ones in /api/tags have the lengths, too.
    for details in (listed["details"], loaded["details"], shown["details"]):
        texts = ["parent_model", "format", "family", "parameter_size", "quantization_level"]
        assert all(type(details[name]) is str for name in texts)
        assert details["format"]
        assert details["family"]
        assert details["quantization_level"]
        assert details["families"] == [details["family"]]
        assert re.fullmatch(r"|\d+(\.\d)?[KMB]?", details["parameter_size"])
        assert details.keys() - {*texts, "families"} in (set(), {"context_length", "embedding_length"})

    # Capabilities: known words only, and the parts of the template that stand for them.
    capabilities = shown["capabilities"]
    assert type(capabilities) is list
    assert capabilities == listed["capabilities"]
    assert set(capabilities) <= {"completion", "tools", "insert", "vision", "embedding", "thinking", "audio", "decision"}
    assert len(capabilities) == len(set(capabilities))
    assert (".Tools" in shown["template"]) == ("tools" in shown["template"].lower()) == ("tools" in capabilities)
    assert (".Suffix" in shown["template"]) == ("insert" in capabilities)
    assert shown["template"].count("{{ if ") == shown["template"].count("{{ end }}")

    # model_info: the architecture leads to the lengths.
    info = shown["model_info"]
    architecture = info["general.architecture"]
    assert list(info) == sorted(info)
    assert info["general.basename"] == described.id
    for number in (info[f"{architecture}.context_length"], info[f"{architecture}.embedding_length"]):
        assert type(number) is int
        assert number > 0
    assert type(info["general.parameter_count"]) is int
    assert len([key for key in info if "context_length" in key]) == 1

    # Lines that some clients take apart.
    parameters = [re.fullmatch(r"(\w+) +(\S.*)", line) for line in shown["parameters"].splitlines()]
    names = [line[1] for line in parameters if line]
    assert len(names) == len(parameters)
    assert names.count("num_ctx") == 1
    instructions = re.sub(r'""".*?"""', "text", shown["modelfile"], flags=re.DOTALL).splitlines()
    words = [line.split()[0] for line in instructions if line and not line.startswith("#")]
    assert set(words) <= {"FROM", "TEMPLATE", "SYSTEM", "PARAMETER"}
    assert f"FROM {described.target}" in instructions
    assert shown.get("system", "") == described.system


def test_no_two_models_have_the_same_digest() -> None:
    digests = {described.digest for described in DESCRIBED.values()}
    assert len(digests) == len({described.id for described in DESCRIBED.values()})
    assert len({model(name).digest for name in ("a", "b", "A")}) == 3


def test_a_digest_stays_the_same() -> None:
    assert model("m").digest == "62c66a7a5dd70c3146618063c344e531e6d4b59e379808443ce962b3abd63c5a"
    assert model("m", created=5, max_model_len=7).digest == model("m").digest


@pytest.mark.parametrize(
    ("server", "capabilities"),
    [
        ("OpenAI", ["completion", "tools", "vision"]),
        ("OpenAI, reasoning", ["completion", "tools", "vision", "thinking"]),
        ("OpenAI, embedding", ["embedding"]),
        ("llama.cpp", ["completion", "tools"]),
        ("llama.cpp, an alias", ["completion", "tools", "vision"]),
        ("llama.cpp, router", ["completion", "tools"]),
        ("vLLM", ["completion", "tools", "thinking"]),
        ("OpenRouter", ["completion", "tools", "vision", "thinking", "audio"]),
        ("OpenRouter, plain", ["completion"]),
        ("OpenRouter, embedding", ["embedding"]),
        ("LM Studio's own list", ["completion", "tools", "vision"]),
        ("LM Studio's own list, embedding", ["embedding"]),
        ("Mistral", ["completion", "tools", "vision", "thinking"]),
        ("Mistral, code", ["completion", "tools", "insert"]),
        ("Mistral, embedding", ["embedding"]),
        ("Together, embedding", ["embedding"]),
        ("Together, images", []),
        ("Together, guard", ["completion", "tools"]),
        ("Gemini, embedding", ["embedding"]),
        ("Azure", ["completion", "tools", "vision"]),
        ("Azure, completion", ["completion", "tools"]),
        ("Azure, embedding", ["embedding"]),
        ("nothing known", ["completion", "tools"]),
    ],
)
def test_what_is_not_known_lets_clients_go_on(server: str, capabilities: list[str]) -> None:
    assert show(DESCRIBED[server])["capabilities"] == capabilities


@pytest.mark.parametrize(
    ("server", "lacks"),
    [
        ("OpenAI", set()),
        pytest.param("OpenAI, embedding", set(), id="a name alone refuses nothing"),
        ("OpenRouter, plain", {"tools", "thinking", "vision", "audio"}),
        ("Mistral, code", {"vision"}),
        ("Together, images", {"completion", "tools"}),
        ("Azure, embedding", {"completion", "tools"}),
        ("LM Studio's own list, without tools", set()),
    ],
)
def test_only_what_the_server_denies_is_lacking(server: str, lacks: set[str]) -> None:
    assert DESCRIBED[server].lacks == lacks


# ── the listing


def test_a_listing_keeps_its_order_and_loses_what_has_no_id() -> None:
    listing: list[dict[str, Any]] = [{"id": "b"}, {"id": ""}, {"id": None}, {"id": 5}, {}, {"id": "a"}]
    read = read_models(listing, NOW, "lab")
    assert [(each.id, each.target, each.backend) for each in read] == [("b", "b", "lab"), ("a", "a", "lab")]


def test_a_model_is_dated_by_its_server_or_else_1970() -> None:
    assert model(created=1_700_000_000).modified_at == "2023-11-14T22:13:20.001Z"
    assert model(created=int(NOW)).modified_at == "1970-01-01T00:00:00.001Z"


@pytest.mark.parametrize(
    ("parameters", "size"), [(0, ""), (999, "999"), (122_880, "123K"), (7_000_000, "7M"), (8_030_000_000, "8.0B")]
)
def test_parameters_are_counted_as_ollama_writes_them(parameters: int, size: str) -> None:
    assert tags_entry(model(meta={"n_params": parameters}))["details"]["parameter_size"] == size


# ── finding


IDS = ["Llama", "llama", "Qwen", "x:latest", "vendor.ai/y", "z:LATEST", "library/lib", "lib", "w:local", "user/u:7b", "c:cloud"]
INDEX = ModelIndex(read_models([{"id": name} for name in IDS], NOW))


@pytest.mark.parametrize(
    ("name", "found"),
    [
        *[pytest.param(name, name, id=f"by its very name, {name}") for name in IDS],
        pytest.param("LLAMA", "Llama", id="the first in another case"),
        pytest.param("qwen", "Qwen", id="in another case"),
        pytest.param("qwen:latest", "Qwen", id="with the default tag"),
        pytest.param("Qwen:LATEST", "Qwen", id="with the default tag in another case"),
        pytest.param("x", "x:latest", id="without the default tag"),
        pytest.param("Z", "z:LATEST", id="without the default tag, in another case"),
        pytest.param(" Qwen\n", "Qwen", id="with space around"),
        pytest.param("library/x", "x:latest", id="with the default namespace"),
        pytest.param("Library/X:latest", "x:latest", id="with the default namespace and tag, in another case"),
        pytest.param("registry.ollama.ai/library/x", "x:latest", id="with the default host"),
        pytest.param("registry.ollama.ai/library/x:latest", "x:latest", id="with all defaults"),
        pytest.param("registry.ollama.ai/user/u:7b", "user/u:7b", id="with the default host and another namespace"),
        pytest.param("Library/Lib", "library/lib", id="the first of two that are the same"),
        pytest.param("x:local", "x:latest", id="said to be local"),
        pytest.param("qwen:latest:LOCAL", "Qwen", id="said to be local, with the default tag"),
        pytest.param("user/u:7b:local", "user/u:7b", id="said to be local, with a tag"),
        pytest.param("w", "w:local", id="listed as local"),
        pytest.param("y", None, id="half a name"),
        pytest.param("user/x", None, id="another namespace"),
        pytest.param("example.com/library/x", None, id="another host"),
        pytest.param("x:8b", None, id="another tag"),
        pytest.param("", None, id="no name"),
    ],
)
def test_a_model_is_found_as_clients_write_it(name: str, found: str | None) -> None:
    hit = INDEX.find(name)
    assert (hit.id if hit else None) == found


def test_of_two_models_of_one_name_the_first_counts() -> None:
    first, second = model("m", max_model_len=1), model("m", max_model_len=2)
    index = ModelIndex([first, second, model("n")])
    assert index.find("m") is first
    assert [each.id for each in index.models] == ["m", "n"]


@given(st.text())
def test_the_same_name_stays_the_same(name: str) -> None:
    plain = plain_name(name)
    for other in (name.upper() if name.isascii() else name, f" {name} ", f"{name.strip()}:local"):
        if not name.strip().casefold().endswith(":local"):
            assert plain_name(other) == plain


# ── descriptions


def test_a_list_entry_is_ollamas_in_every_key() -> None:
    described = model("qwen3:8b", created=1_700_000_000)
    assert tags_entry(described) == {
        "name": "qwen3:8b",
        "model": "qwen3:8b",
        "modified_at": "2023-11-14T22:13:20.001Z",
        "size": 1,
        "digest": described.digest,
        "details": {
            "parent_model": "",
            "format": "gguf",
            "family": "qwen",
            "families": ["qwen"],
            "parameter_size": "8.0B",
            "quantization_level": "unknown",
            "context_length": 32768,
            "embedding_length": 4096,
        },
        "capabilities": ["completion", "tools", "thinking"],
    }


def test_an_entry_of_a_loaded_model_is_ollamas_in_every_key() -> None:
    entry = ps_entry(model("m", max_model_len=1024, meta={"size": 7}), EXPIRES)
    assert list(entry) == ["name", "model", "size", "digest", "details", "expires_at", "size_vram", "context_length"]
    assert (entry["expires_at"], entry["size_vram"], entry["context_length"]) == (EXPIRES, 7, 1024)


def test_a_description_tells_what_is_known() -> None:
    described = show(model("Qwen3", max_model_len=1024, meta={"n_params": 5, "n_embd": 64}))
    assert described["model_info"] == {
        "general.architecture": "qwen",
        "general.basename": "Qwen3",
        "general.parameter_count": 5,
        "qwen.context_length": 1024,
        "qwen.embedding_length": 64,
    }
    assert described["modelfile"].startswith(
        '# Modelfile generated by "ollama show"\n'
        "# To build a new Modelfile based on this, replace FROM with:\n"
        "# FROM Qwen3\n\nFROM Qwen3\nTEMPLATE "
    )
    assert described["modelfile"].endswith("\nPARAMETER num_ctx 1024\n")
    assert described["parameters"] == "num_ctx                        1024"
    assert "system" not in described


def test_a_client_may_be_shown_the_name_it_asked_for() -> None:
    assert show(model("m"), basename="M:latest")["model_info"]["general.basename"] == "M:latest"


def test_options_and_system_prompt_are_told_as_ollama_writes_them() -> None:
    described = show(DESCRIBED["an alias with settings"])
    assert described["parameters"].splitlines() == [
        "num_ctx                        512",
        "temperature                    1",
        'stop                           "<|im_end|>"',
        'stop                           "\\n"',
        "use_mmap                       false",
        "top_p                          0.9",
    ]
    assert described["system"] == 'Be brief.\nSay "I".'
    assert '\nSYSTEM """Be brief.\nSay "I"."""\n' in described["modelfile"]
    assert "\nSYSTEM Be brief.\n" in show(replace(model(), system="Be brief."))["modelfile"]


@given(
    st.dictionaries(
        st.sampled_from(["created", "meta", "size", "n_params", "context_length", "max_model_len", "owned_by", "type"]),
        st.none() | st.text() | st.integers() | st.floats() | st.booleans(),
    )
)
def test_any_entry_of_a_listing_can_be_described(entry: dict[str, Any]) -> None:
    described = model("m", **entry)
    assert tags_entry(described)["size"] > 0
    assert described.context_length > 0
    assert set(show(described)["capabilities"]) <= set(CAPABILITIES)
    assert described.modified_at.endswith("Z")


# ── the OpenAI API's list


def test_an_entry_of_the_openai_list_has_what_the_back_end_says_under_the_clients_name() -> None:
    entry = {"id": "Org/Big-1", "object": "model", "created": 7, "owned_by": "org", "max_model_len": 4096, "root": None}
    listed = openai_entry(replace(read_model(entry, NOW), id="alias"))
    assert listed == {"id": "alias", "object": "model", "created": 7, "owned_by": "org", "max_model_len": 4096}
    assert list(listed)[:4] == ["id", "object", "created", "owned_by"]


@pytest.mark.parametrize("entry", [{}, {"object": None, "created": None, "owned_by": None}, {"owned_by": ""}])
def test_an_entry_of_the_openai_list_has_openais_four_fields_at_least(entry: dict[str, Any]) -> None:
    assert openai_entry(model("m", **entry)) == {"id": "m", "object": "model", "created": 0, "owned_by": "library"}


def test_an_entry_of_the_openai_list_is_a_model_whatever_the_back_end_calls_it() -> None:
    listed = openai_entry(model("m", object="something", created="2024-05-06T07:08:09Z"))
    assert listed["object"] == "model"
    assert type(listed["created"]) is int


def test_a_model_without_something_is_shown_without_it() -> None:
    lacking = without(model(), frozenset({"tools"}))
    assert "tools" not in lacking.capabilities
    assert lacking.lacks >= {"tools"}
    assert without(lacking, frozenset()) == lacking


def test_a_model_that_has_shown_something_is_shown_with_it_unless_it_is_known_to_lack_it() -> None:
    able = with_also(model(), frozenset({"embedding"}))
    assert able.capabilities == ("completion", "tools", "embedding")
    assert "embedding" in able.told
    assert with_also(able, frozenset({"embedding"})) == able
    lacking = without(model(), frozenset({"embedding"}))
    assert with_also(lacking, frozenset({"embedding"})) == lacking


@pytest.mark.parametrize(
    "odd",
    [
        *({}, {"id": ""}, {"id": " "}, {"id": 7}, {"id": "a\x1b[2J"}, {"id": "x" * 257}, {"id": "\ud800"}),
        {"id": "9" * 200 + "x" + "9" * 200},
        {"id": "odd", "capabilities": [{"a": 1}], "supported_parameters": {"a": 1}},
        {"id": "odd", "created": float("inf"), "max_model_len": float("nan"), "meta": {"n_params": float("inf")}},
    ],
)
def test_an_odd_entry_costs_only_itself(odd: dict[str, Any]) -> None:
    names = [each.id for each in read_models([{"id": "a"}, odd, {"id": "b"}], NOW)]
    assert [name for name in names if name in ("a", "b")] == ["a", "b"]
    assert set(names) <= {"a", "b", "odd"}


def test_an_entry_that_cannot_be_described_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def described(entry: Mapping[str, Any], now: float, backend: str, **shown: Any) -> Model:
        if entry["id"] == "odd":
            raise OverflowError
        return read_model(entry, now, backend, **shown)

    monkeypatch.setattr(ollama_descriptions, "read_model", described)
    assert [each.id for each in read_models([{"id": "odd"}, {"id": "b"}], NOW)] == ["b"]


def test_a_model_survives_json_whatever_its_fields() -> None:
    model = replace(
        read_model({"id": "m", "created": 1, "extra": [1, {"a": None}]}, 2.0, "lab"),
        capabilities=("completion", "tools"),
        lacks=frozenset({"vision", "audio"}),
        options={"stop": ["a"], "seed": 1},
        told=frozenset({"tools"}),
        think="high",
        think_levels=("low", "high"),
        fallback=("other",),
    )
    assert model_from_json(json.loads(json.dumps(model.as_json()))) == model
    with pytest.raises(TypeError):
        model_from_json({"id": "m"})
    defaults = {each.name for each in fields(Model) if getattr(model, each.name) == each.default}
    assert defaults <= {"system", "hidden", "known_context_length", "think_default", "fallback"}
