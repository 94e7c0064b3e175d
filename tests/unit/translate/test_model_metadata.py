"""What the lists of models of many servers tell, each in its own dialect."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.translate.model_metadata import Metadata, has_dates, read_metadata

NOW = 1_800_000_000.0

_OPENROUTER = {
    "canonical_slug": "vendor/model-20260101",
    "hugging_face_id": "",
    "name": "Vendor: Model",
    "description": "A model.",
    "pricing": {"prompt": "0.000001", "completion": "0.000003", "request": "0", "image": "0"},
    "per_request_limits": None,
}
_MISTRAL = {"completion_fim": False, "fine_tuning": False, "classification": False, "ocr": False, "moderation": False}
_AZURE = {"fine_tune": False, "inference": True}
_PERMISSION = {"id": "modelperm-1", "object": "model_permission", "allow_sampling": True, "organization": "*", "group": None}
_LLAMA_CPP = {"vocab_type": 2, "n_vocab": 128256, "n_ctx_train": 131072, "n_embd": 4096, "n_params": 8_030_261_312}

ENTRIES: dict[str, dict[str, Any]] = {
    "OpenAI": {"id": "gpt-4o", "object": "model", "created": 1715367049, "owned_by": "system"},
    "OpenAI, reasoning": {"id": "o3-mini", "object": "model", "created": 1737146383, "owned_by": "system"},
    "OpenAI, embedding": {"id": "text-embedding-3-small", "object": "model", "created": 1705948997, "owned_by": "system"},
    "OpenAI, fine-tuned": {"id": "ft:gpt-4o-mini:org::AbC", "object": "model", "created": 1721172741, "owned_by": "org"},
    "llama.cpp": {
        "id": "../models/Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf",
        "object": "model",
        "created": int(NOW),
        "owned_by": "llamacpp",
        "meta": _LLAMA_CPP | {"n_ctx": 8192, "size": 4_912_898_304},
    },
    "llama.cpp, an alias": {
        "id": "local",
        "aliases": ["local"],
        "tags": [],
        "object": "model",
        "created": int(NOW),
        "owned_by": "llamacpp",
        "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]},
        "meta": _LLAMA_CPP | {"size": 8_015_415_464, "ftype": "Q8_0"},
    },
    "llama.cpp, still loading": {
        "id": "qwen2.5-0.5b-instruct-q8_0.gguf",
        "object": "model",
        "created": int(NOW),
        "owned_by": "llamacpp",
        "meta": None,
    },
    "llama.cpp, router": {
        "id": "ggml-org/gemma-3-4b-it-GGUF:Q4_K_M",
        "object": "model",
        "owned_by": "llamacpp",
        "created": int(NOW),
        "status": {"value": "unloaded", "args": ["--model", "gemma.gguf"]},
        "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
    },
    "vLLM": {
        "id": "Qwen/Qwen3-30B-A3B-FP8",
        "object": "model",
        "created": int(NOW),
        "owned_by": "vllm",
        "root": "Qwen/Qwen3-30B-A3B-FP8",
        "parent": None,
        "max_model_len": 40960,
        "permission": [_PERMISSION],
    },
    "vLLM, an adapter": {
        "id": "sql-lora",
        "object": "model",
        "created": int(NOW),
        "owned_by": "vllm",
        "root": "/adapters/sql-lora",
        "parent": "meta-llama/Llama-2-7b-hf",
        "max_model_len": None,
        "permission": [_PERMISSION],
    },
    "SGLang": {
        "id": "deepseek-ai/DeepSeek-R1",
        "object": "model",
        "created": int(NOW),
        "owned_by": "sglang",
        "root": "deepseek-ai/DeepSeek-R1",
        "parent": None,
        "max_model_len": 163840,
    },
    "OpenRouter": _OPENROUTER
    | {
        "id": "google/gemini-2.5-pro",
        "created": 1750169544,
        "context_length": 1048576,
        "architecture": {
            "modality": "text+image->text",
            "input_modalities": ["text", "image", "file", "audio", "video"],
            "output_modalities": ["text"],
            "tokenizer": "Gemini",
            "instruct_type": None,
        },
        "top_provider": {"context_length": 1048576, "max_completion_tokens": 65536, "is_moderated": False},
        "supported_parameters": ["include_reasoning", "max_tokens", "reasoning", "stop", "temperature", "tool_choice", "tools"],
    },
    "OpenRouter, plain": _OPENROUTER
    | {
        "id": "mistralai/mistral-7b-instruct:free",
        "created": 1716768000,
        "context_length": None,
        "architecture": {
            "modality": "text->text",
            "input_modalities": ["text"],
            "output_modalities": ["text"],
            "tokenizer": "Mistral",
            "instruct_type": "mistral",
        },
        "top_provider": {"context_length": 32768, "max_completion_tokens": None, "is_moderated": False},
        "supported_parameters": ["max_tokens", "temperature", "top_p"],
    },
    "OpenRouter, embedding": _OPENROUTER
    | {
        "id": "qwen/qwen3-8b-vectors",
        "created": 1761662922,
        "context_length": 32000,
        "architecture": {
            "modality": "text->embeddings",
            "input_modalities": ["text"],
            "output_modalities": ["embeddings"],
            "tokenizer": "Qwen3",
            "instruct_type": None,
        },
        "top_provider": {"context_length": 32000, "max_completion_tokens": None, "is_moderated": False},
        "supported_parameters": [],
    },
    "LM Studio": {"id": "qwen2.5-7b-instruct", "object": "model", "owned_by": "organization_owner"},
    "LM Studio's own list": {
        "id": "qwen2-vl-7b-instruct",
        "object": "model",
        "type": "vlm",
        "publisher": "mlx-community",
        "arch": "qwen2_vl",
        "compatibility_type": "mlx",
        "quantization": "4bit",
        "state": "loaded",
        "max_context_length": 32768,
        "loaded_context_length": 4096,
        "capabilities": ["tool_use"],
    },
    "LM Studio's own list, without tools": {
        "id": "gemma-3-270m-it",
        "object": "model",
        "type": "llm",
        "publisher": "lmstudio-community",
        "arch": "gemma3",
        "compatibility_type": "gguf",
        "quantization": "Q4_K_M",
        "state": "not-loaded",
        "max_context_length": 32768,
    },
    "LM Studio's own list, embedding": {
        "id": "text-embedding-nomic-embed-text-v1.5",
        "object": "model",
        "type": "embeddings",
        "publisher": "nomic-ai",
        "arch": "nomic-bert",
        "compatibility_type": "gguf",
        "quantization": "Q4_0",
        "state": "not-loaded",
        "max_context_length": 2048,
    },
    "Groq": {
        "id": "llama-3.3-70b-versatile",
        "object": "model",
        "created": 1733447754,
        "owned_by": "Meta",
        "active": True,
        "context_window": 131072,
        "public_apps": None,
        "max_completion_tokens": 32768,
    },
    "Mistral": {
        "id": "magistral-small-2509",
        "object": "model",
        "created": 1758000000,
        "owned_by": "mistralai",
        "capabilities": _MISTRAL
        | {"completion_chat": True, "function_calling": True, "vision": True, "reasoning": True, "audio": False},
        "name": "magistral-small-2509",
        "description": "A reasoning model.",
        "max_context_length": 131072,
        "aliases": ["magistral-small-latest"],
        "deprecation": None,
        "default_model_temperature": 0.7,
        "type": "base",
    },
    "Mistral, code": {
        "id": "codestral-2508",
        "object": "model",
        "created": 1753747200,
        "owned_by": "mistralai",
        "capabilities": _MISTRAL | {"completion_chat": True, "completion_fim": True, "function_calling": True, "vision": False},
        "max_context_length": 256000,
        "type": "base",
    },
    "Mistral, embedding": {
        "id": "mistral-embed",
        "object": "model",
        "created": 1702339200,
        "owned_by": "mistralai",
        "capabilities": _MISTRAL | {"completion_chat": False, "function_calling": False, "vision": False},
        "max_context_length": 8192,
        "type": "base",
    },
    "Together": {
        "id": "mistralai/Mixtral-8x7B-Instruct-v0.1",
        "object": "model",
        "created": 1702211200,
        "type": "chat",
        "running": False,
        "display_name": "Mixtral-8x7B Instruct v0.1",
        "organization": "mistralai",
        "link": "",
        "license": "apache-2.0",
        "context_length": 32768,
        "pricing": {"hourly": 0, "input": 0.6, "output": 0.6, "base": 0, "finetune": 0},
    },
    "Together, embedding": {
        "id": "togethercomputer/m2-bert-80M-32k-retrieval",
        "object": "model",
        "created": 0,
        "type": "embedding",
        "context_length": 32768,
    },
    "Together, images": {"id": "black-forest-labs/FLUX.1-dev", "object": "model", "created": 0, "type": "image"},
    "Together, guard": {"id": "meta-llama/Llama-Guard-4-12B", "object": "model", "created": 0, "type": "moderation"},
    "Ollama": {"id": "llama3.2:latest", "object": "model", "created": 1730000000, "owned_by": "library"},
    "DeepSeek": {"id": "deepseek-reasoner", "object": "model", "owned_by": "deepseek"},
    "Gemini": {"id": "models/gemini-2.5-flash", "object": "model", "owned_by": "google", "display_name": "Gemini 2.5 Flash"},
    "Gemini, embedding": {"id": "models/gemini-embedding-001", "object": "model", "owned_by": "google"},
    "Azure": {
        "status": "succeeded",
        "capabilities": _AZURE | {"completion": False, "chat_completion": True, "embeddings": False},
        "lifecycle_status": "generally-available",
        "deprecation": {"fine_tune": None, "inference": 1767225600},
        "id": "gpt-4o-2024-08-06",
        "created_at": 1722902400,
        "object": "model",
    },
    "Azure, completion": {
        "status": "succeeded",
        "capabilities": _AZURE | {"completion": True, "chat_completion": False, "embeddings": False},
        "lifecycle_status": "generally-available",
        "id": "curie",
        "created_at": 1646126127,
        "object": "model",
    },
    "Azure, embedding": {
        "status": "succeeded",
        "capabilities": _AZURE | {"completion": False, "chat_completion": False, "embeddings": True},
        "lifecycle_status": "generally-available",
        "id": "text-embedding-3-large",
        "created_at": 1705968000,
        "object": "model",
    },
}
"""Entries of lists as servers send them, cut to what matters and to what might be mistaken for it."""

_EMBEDS = {"embedding": True, "completion": False, "tools": False}
_NO_HINTS = {"vision": False, "thinking": False}
_THINKS = {"vision": False, "thinking": True}
_SEES = {"vision": True, "thinking": False}

KNOWN: dict[str, Metadata] = {
    "OpenAI": Metadata(created=1715367049, family="gpt", hints=_SEES),
    "OpenAI, reasoning": Metadata(created=1737146383, family="o", hints={"vision": True, "thinking": True}),
    "OpenAI, embedding": Metadata(created=1705948997, family="bert", hints=_EMBEDS),
    "OpenAI, fine-tuned": Metadata(created=1721172741, family="ft", hints=_SEES),
    "llama.cpp": Metadata(
        size=4_912_898_304,
        family="meta",
        parameter_count=8_030_261_312,
        quantization="Q4_K_M",
        context_length=8192,
        embedding_length=4096,
        hints=_NO_HINTS,
    ),
    "llama.cpp, an alias": Metadata(
        size=8_015_415_464,
        family="local",
        parameter_count=8_030_261_312,
        quantization="Q8_0",
        context_length=131072,
        embedding_length=4096,
        capabilities={"vision": True, "audio": False},
        hints=_NO_HINTS,
    ),
    "llama.cpp, still loading": Metadata(family="qwen", parameter_count=500_000_000, quantization="Q8_0", hints=_NO_HINTS),
    "llama.cpp, router": Metadata(
        family="gemma",
        parameter_count=4_000_000_000,
        quantization="Q4_K_M",
        capabilities={"vision": False, "audio": False},
        hints=_SEES,
    ),
    "vLLM": Metadata(family="qwen", parameter_count=30_000_000_000, quantization="FP8", context_length=40960, hints=_THINKS),
    "vLLM, an adapter": Metadata(family="sql", hints=_NO_HINTS),
    "SGLang": Metadata(family="deepseek", context_length=163840, hints=_THINKS),
    "OpenRouter": Metadata(
        created=1750169544,
        family="gemini",
        context_length=1048576,
        capabilities={"tools": True, "thinking": True, "vision": True, "audio": True},
        hints=_SEES,
    ),
    "OpenRouter, plain": Metadata(
        created=1716768000,
        family="mistral",
        parameter_count=7_000_000_000,
        context_length=32768,
        capabilities={"tools": False, "thinking": False, "vision": False, "audio": False},
        hints=_NO_HINTS,
    ),
    "OpenRouter, embedding": Metadata(
        created=1761662922,
        family="bert",
        parameter_count=8_000_000_000,
        context_length=32000,
        capabilities=_EMBEDS | {"vision": False, "audio": False},
    ),
    "LM Studio": Metadata(family="qwen", parameter_count=7_000_000_000, hints=_NO_HINTS),
    "LM Studio's own list": Metadata(
        family="qwen2_vl",
        parameter_count=7_000_000_000,
        quantization="4bit",
        context_length=4096,
        capabilities={"tools": True, "vision": True},
        hints=_SEES,
    ),
    "LM Studio's own list, without tools": Metadata(
        family="gemma3",
        parameter_count=270_000_000,
        quantization="Q4_K_M",
        context_length=32768,
        capabilities={"completion": True},
        hints=_SEES,
    ),
    "LM Studio's own list, embedding": Metadata(
        family="nomic-bert", quantization="Q4_0", context_length=2048, capabilities=_EMBEDS
    ),
    "Groq": Metadata(
        created=1733447754, family="llama", parameter_count=70_000_000_000, context_length=131072, hints=_NO_HINTS
    ),
    "Mistral": Metadata(
        created=1758000000,
        family="magistral",
        context_length=131072,
        capabilities={"completion": True, "insert": False, "tools": True, "vision": True, "thinking": True, "audio": False},
        hints=_THINKS,
    ),
    "Mistral, code": Metadata(
        created=1753747200,
        family="codestral",
        context_length=256000,
        capabilities={"completion": True, "insert": True, "tools": True, "vision": False},
        hints=_NO_HINTS,
    ),
    "Mistral, embedding": Metadata(
        created=1702339200,
        family="bert",
        context_length=8192,
        capabilities={"completion": False, "insert": False, "tools": False, "vision": False},
        hints=_EMBEDS,
    ),
    "Together": Metadata(
        created=1702211200,
        family="mixtral",
        parameter_count=56_000_000_000,
        context_length=32768,
        capabilities={"completion": True},
        hints=_NO_HINTS,
    ),
    "Together, embedding": Metadata(family="bert", parameter_count=80_000_000, context_length=32768, capabilities=_EMBEDS),
    "Together, images": Metadata(family="flux", capabilities={"completion": False, "tools": False}, hints=_NO_HINTS),
    "Together, guard": Metadata(family="llama", parameter_count=12_000_000_000, hints=_NO_HINTS),
    "Ollama": Metadata(created=1730000000, family="llama", hints=_NO_HINTS),
    "DeepSeek": Metadata(family="deepseek", hints=_THINKS),
    "Gemini": Metadata(family="gemini", hints=_SEES),
    "Gemini, embedding": Metadata(family="bert", hints=_EMBEDS),
    "Azure": Metadata(created=1722902400, family="gpt", capabilities={"completion": True, "embedding": False}, hints=_SEES),
    "Azure, completion": Metadata(
        created=1646126127, family="curie", capabilities={"completion": True, "embedding": False}, hints=_NO_HINTS
    ),
    "Azure, embedding": Metadata(created=1705968000, family="bert", capabilities=_EMBEDS),
}


def read(model_id: str = "m", **entry: Any) -> Metadata:
    return read_metadata({"id": model_id, **entry}, NOW)


@pytest.mark.parametrize("server", ENTRIES)
def test_each_server_is_understood(server: str) -> None:
    assert read_metadata(ENTRIES[server], NOW) == KNOWN[server]


# ── dates and sizes


@pytest.mark.parametrize(
    ("entry", "created"),
    [
        ({"created": 1_700_000_000}, 1_700_000_000),
        ({"created": 1_700_000_000.7}, 1_700_000_000),
        ({"created_at": 1_700_000_000}, 1_700_000_000),
        pytest.param({"created": int(NOW)}, 0, id="the time of the call"),
        pytest.param({"created": NOW - 59}, 0, id="hardly before the call"),
        pytest.param({"created": NOW * 1000}, 0, id="milliseconds"),
        pytest.param({"created_at": "2026-01-01T00:00:00Z"}, 0, id="a text"),
        *[({"created": value}, 0) for value in (0, -5, None, "x", float("nan"), float("inf"))],
    ],
)
def test_a_model_is_as_old_as_the_server_says(entry: dict[str, Any], created: int) -> None:
    assert read(**entry).created == created


@pytest.mark.parametrize(
    ("entry", "length"),
    [
        ({"context_length": 1}, 1),
        ({"max_model_len": 2}, 2),
        ({"context_window": 3}, 3),
        ({"max_context_length": 4}, 4),
        ({"meta": {"n_ctx": 5, "n_ctx_train": 6}}, 5),
        ({"meta": {"n_ctx_train": 6}}, 6),
        ({"top_provider": {"context_length": 7}}, 7),
        ({"max_context_length": 9, "loaded_context_length": 8}, 8),
        ({"meta": None}, 0),
        ({"meta": "x", "top_provider": [], "context_length": 0, "max_model_len": "8"}, 0),
        ({}, 0),
    ],
)
def test_the_context_length_is_found_where_servers_put_it(entry: dict[str, Any], length: int) -> None:
    assert read(**entry).context_length == length


@pytest.mark.parametrize(
    ("model_id", "count"),
    [
        ("llama-3.1-8b", 8_000_000_000),
        ("qwen2.5:0.5B", 500_000_000),
        ("Mixtral-8x22B", 176_000_000_000),
        ("Qwen3-30B-A3B", 30_000_000_000),
        ("smollm-135M", 135_000_000),
        ("yi-34b-200k", 34_000_000_000),
        *[(name, 0) for name in ("gpt-4.1", "text-embedding-3-small", "e5-base", "bge-m3", "phi3.5", "mb", "v3b2")],
    ],
)
def test_a_number_of_parameters_is_read_from_the_name(model_id: str, count: int) -> None:
    assert read(model_id).parameter_count == count


@pytest.mark.parametrize(
    ("model_id", "entry", "quantization"),
    [
        ("m-Q4_K_M.gguf", {}, "Q4_K_M"),
        ("m:iq2_xs", {}, "IQ2_XS"),
        ("m-awq", {}, "AWQ"),
        ("m-BF16", {}, "BF16"),
        ("gpt-oss-mxfp4", {}, "MXFP4"),
        ("m", {"quantization": "4bit"}, "4bit"),
        ("m-q8_0", {"quantization": ""}, "Q8_0"),
        ("m-q8_0", {"quantization": {"name": "Q4_0"}}, "Q8_0"),
        ("m", {"meta": {"ftype": "Q6_K"}}, "Q6_K"),
        ("qwq-32b", {}, ""),
    ],
)
def test_the_quantization_is_what_the_server_says_or_the_name(model_id: str, entry: dict[str, Any], quantization: str) -> None:
    assert read(model_id, **entry).quantization == quantization


# ── what a model can do


@pytest.mark.parametrize(
    ("entry", "capabilities"),
    [
        ({}, {}),
        pytest.param({"capabilities": ["completion", "multimodal"]}, {"completion": True, "vision": True}, id="a list"),
        pytest.param({"capabilities": ["x", 1, None]}, {}, id="a list of nothing known"),
        pytest.param({"capabilities": {"vision": True, "tools": "yes", "x": True}}, {"vision": True}, id="flags"),
        pytest.param({"capabilities": {"chat": True, "completion": False}}, {"completion": True}, id="either word is enough"),
        pytest.param({"capabilities": "tools"}, {}, id="a text"),
        *[({"capabilities": [word]}, {"insert": True}) for word in ("insert", "fim", "completion_fim")],
        *[({"capabilities": [word]}, {"tools": True}) for word in ("tool_use", "function_calling")],
        *[({"capabilities": [word]}, {"vision": True}) for word in ("vision", "vlm", "image_input")],
        *[({"capabilities": [word]}, {"thinking": True}) for word in ("thinking", "reasoning")],
        *[({"capabilities": [word]}, {"completion": True}) for word in ("completion_chat", "chat_completion", "language")],
        ({"capabilities": ["audio"]}, {"audio": True}),
        pytest.param({"capabilities": ["tools"]}, {"tools": True}, id="a list with tools"),
        pytest.param({"capabilities": ["embedding"]}, _EMBEDS, id="a list of an embedding model"),
        pytest.param({"capabilities": ["embedding", "completion"]}, {"embedding": True, "completion": True}, id="both at once"),
        pytest.param({"supported_parameters": []}, {}, id="no parameters named"),
        pytest.param({"supported_parameters": ["tools"]}, {"tools": True, "thinking": False}, id="parameters"),
        pytest.param({"supported_parameters": ["include_reasoning"]}, {"tools": False, "thinking": True}, id="reasoning"),
        pytest.param({"architecture": "llama"}, {}, id="an architecture that is a name"),
        *[({"type": kind}, {"completion": True}) for kind in ("chat", "language", "code", "llm")],
        ({"type": "vlm"}, {"vision": True}),
        *[({"type": kind}, _EMBEDS) for kind in ("embedding", "embeddings")],
        *[
            ({"type": kind}, {"completion": False, "tools": False})
            for kind in ("image", "audio", "rerank", "transcribe", "video")
        ],
        *[({"type": kind}, {}) for kind in ("base", "model", "moderation", 5)],
    ],
)
def test_what_a_server_says_of_a_model_is_known(entry: dict[str, Any], capabilities: dict[str, bool]) -> None:
    assert read(**entry).capabilities == capabilities


@pytest.mark.parametrize(
    ("model_id", "vision", "thinking"),
    [
        *[(name, True, False) for name in ("gpt-4o-mini", "gpt-4.1-nano", "claude-3-5-haiku", "llava:7b", "pixtral-12b")],
        *[(name, True, False) for name in ("Llama-4-Scout", "gemma-3-27b-it", "llama3.2-vision", "InternVL2", "moondream")],
        *[(name, True, True) for name in ("gpt-5", "o1", "o4-mini", "openai/o3", "Qwen3-VL-8B")],
        *[(name, False, True) for name in ("gpt-oss-120b", "deepseek-r1:8b", "QwQ-32B", "kimi-k2-thinking", "grok-4")],
        *[(name, False, False) for name in ("gpt-4", "gpt-3.5-turbo", "llama3.1", "turbo1", "solo3", "bar1", "nvl-x")],
    ],
)
def test_a_name_hints_at_sight_and_thought(model_id: str, vision: bool, thinking: bool) -> None:
    assert read(model_id).hints == {"vision": vision, "thinking": thinking}


@pytest.mark.parametrize(
    ("model_id", "embeds"),
    [
        *[(name, True) for name in ("text-embedding-3-small", "nomic-embed-text", "BAAI/bge-m3", "intfloat/e5-large")],
        *[(name, True) for name in ("all-MiniLM-L6-v2", "gte-large", "jina-colbert-v2", "models/embedding-001")],
        *[(name, True) for name in ("multilingual-e5-large", "e5-mistral-7b-instruct", "org/e5-base-v2")],
        *[(name, False) for name in ("gpt-4o", "made5-up", "bgez", "aggte", "my-e5", "gemma-e5-chat", "e5")],
    ],
)
def test_a_name_hints_at_an_embedding_model(model_id: str, embeds: bool) -> None:
    assert read(model_id).hints.get("embedding", False) is embeds


def test_what_the_server_says_makes_hints_idle() -> None:
    assert read("embed-chat", capabilities={"embeddings": False}).hints == {"vision": False, "thinking": False}
    assert read("vectors", type="embedding").hints == {}


@pytest.mark.parametrize(
    ("model_id", "entry", "family"),
    [
        ("gpt-4o", {}, "gpt"),
        ("vendor/Qwen3-8B", {}, "qwen"),
        ("accounts/x/models/llama-v3", {}, "llama"),
        pytest.param("4o", {}, "llama", id="a name without letters in front"),
        ("x/", {}, "llama"),
        ("text-embedding-3-small", {}, "bert"),
        ("m", {"arch": "phi3"}, "phi3"),
        ("m", {"arch": ""}, "m"),
        ("m", {"arch": 3}, "m"),
    ],
)
def test_the_family_is_the_architecture_or_what_the_name_begins_with(model_id: str, entry: dict[str, Any], family: str) -> None:
    assert read(model_id, **entry).family == family


_KEYS = ["created", "created_at", "meta", "top_provider", "context_length", "capabilities", "architecture", "type", "arch"]
_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text()


@given(st.text(min_size=1), st.dictionaries(st.sampled_from([*_KEYS, "quantization", "supported_parameters"]), _LEAVES))
def test_whatever_an_entry_holds_it_is_read(model_id: str, entry: dict[str, Any]) -> None:
    assert read(model_id, **entry).family


# ── what further servers say


@pytest.mark.parametrize(
    ("entry", "capabilities"),
    [
        ({"capabilities": ["embed"], "owned_by": "infinity"}, {"embedding": True, "completion": False, "tools": False}),
        ({"capabilities": ["rerank"]}, {"completion": False, "tools": False}),
        ({"capabilities": ["mystery"]}, {}),
        ({"mode": "chat", "supports_vision": True, "supports_function_calling": False}, {"completion": True, "vision": True}),
        ({"mode": "embedding"}, {"embedding": True, "completion": False, "tools": False}),
        ({"mode": "image_generation"}, {"completion": False, "tools": False}),
        ({"custom_metadata": {"model_type": "embedding"}}, {"embedding": True, "completion": False, "tools": False}),
        ({"custom_metadata": {"model_type": "llm"}}, {"completion": True}),
    ],
)
def test_infinity_litellm_and_ogx_are_understood(entry: dict[str, Any], capabilities: dict[str, bool]) -> None:
    assert read(**entry).capabilities == capabilities


def test_lengths_are_found_where_further_servers_put_them() -> None:
    litellm = read(max_input_tokens=8191, output_vector_size=1536)
    ogx = read(custom_metadata={"embedding_dimension": 384, "context_length": 512})
    assert (litellm.context_length, litellm.embedding_length) == (8191, 1536)
    assert (ogx.context_length, ogx.embedding_length) == (512, 384)


@pytest.mark.parametrize(
    ("entries", "has"),
    [
        ([], False),
        ([{}], False),
        ([{"created": NOW - 120}, {"created": NOW - 120}], False),
        ([{"created": NOW - 120}], False),
        ([{"created": NOW - 120}, {"created": NOW - 900}], True),
        ([{"created": NOW - 4000}, {"created": NOW - 4000}], True),
        ([{"created_at": NOW - 120, "owned_by": "library"}], True),
    ],
)
def test_a_server_that_dates_all_its_models_now_has_no_dates(entries: list[dict[str, Any]], has: bool) -> None:
    assert has_dates(entries, NOW) is has


SHOWN = {
    "thinking": {"values": [False, "high", 3], "default": "high"},
    "details": {"family": "qwen3", "parameter_size": "8.2B", "quantization_level": "Q4_K_M"},
    "model_info": {
        "general.architecture": "qwen3",
        "general.parameter_count": 8_200_000_000,
        "qwen3.context_length": 40960,
        "qwen3.embedding_length": 4096,
    },
    "capabilities": ["completion", "thinking"],
}


def test_what_a_real_ollama_shows_counts_most() -> None:
    known = read_metadata({"id": "llava", "owned_by": "library"}, NOW, SHOWN)
    assert (known.family, known.parameter_size, known.parameter_count) == ("qwen3", "8.2B", 8_200_000_000)
    assert (known.quantization, known.context_length, known.embedding_length) == ("Q4_K_M", 40960, 4096)
    assert {word for word, there in known.capabilities.items() if there} == {"completion", "thinking"}
    assert known.capabilities["vision"] is False
    assert known.hints == {}
    assert (known.think_levels, known.think_default) == ((False, "high"), "high")


@pytest.mark.parametrize("shown", [{"x": 1}, {"thinking": 1, "details": [], "model_info": "", "capabilities": {}}])
def test_what_a_real_ollama_does_not_show_stays(shown: dict[str, Any]) -> None:
    entry = {"id": "llava", "owned_by": "library"}
    assert read_metadata(entry, NOW, shown) == read_metadata(entry, NOW)
