"""What an entry of `/v1/models` tells of a model, in any of the dialects in which servers say more than OpenAI.

OpenAI itself gives a name and a date. llama.cpp adds `meta` and `architecture`; vLLM and SGLang `max_model_len`; Groq
`context_window`; Together `type`; Mistral and Azure a `capabilities` object; OpenRouter `architecture`, `supported_parameters`
and `top_provider`; LM Studio's own list `arch`, `quantization` and `capabilities`; Infinity `capabilities` with words of its
own; OGX `custom_metadata`; LiteLLM `mode`, `max_input_tokens` and `supports_…`, which its `/model/info` has. A real Ollama
behind `/v1` tells the most in its `/api/show`. The rest is read from the name, as a hint only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_JUST_NOW = 60
"""Seconds: a model that is not older was dated by the call itself."""
_RECENT = 3600
"""Seconds: models that are all of one date, and not older, were dated by the start of their server."""
_OLLAMA = "library"
"""The owner of the models of a real Ollama, whose dates are those of its files."""

_CONTEXT_KEYS = (
    "loaded_context_length",
    "context_length",
    "max_model_len",
    "context_window",
    "max_context_length",
    "max_input_tokens",
    "n_ctx",
    "n_ctx_train",
)
_WORDS = {
    "audio": "audio",
    "chat": "completion",
    "chat_completion": "completion",
    "code": "completion",
    "completion": "completion",
    "completion_chat": "completion",
    "completion_fim": "insert",
    "embed": "embedding",
    "embedding": "embedding",
    "embeddings": "embedding",
    "fim": "insert",
    "function_calling": "tools",
    "image_input": "vision",
    "insert": "insert",
    "language": "completion",
    "llm": "completion",
    "text_completion": "completion",
    "multimodal": "vision",
    "reasoning": "thinking",
    "responses": "completion",
    "thinking": "thinking",
    "tool_use": "tools",
    "tools": "tools",
    "vision": "vision",
    "vlm": "vision",
}
_NO_TEXT = frozenset(
    {
        *("image", "audio", "rerank", "reranker", "transcribe", "video", "classify", "audio_embed", "image_embed"),
        *("image_generation", "image_edit", "video_generation", "audio_transcription", "audio_speech", "search", "ocr"),
    }
)
"""Types of models that neither chat nor embed texts."""
_SUPPORTS = {
    "supports_function_calling": "tools",
    "supports_vision": "vision",
    "supports_reasoning": "thinking",
    "supports_audio_input": "audio",
}
_KNOWN = ("completion", "tools", "insert", "vision", "embedding", "thinking", "audio", "decision")
_MODALITIES = {"image": "vision", "audio": "audio"}

_EMBEDDING_NAME = re.compile(
    # Gemma's and others' versions may be called e5, too.
    r"embed|(?<![a-z])(?:bge|gte|minilm|colbert|e5-(?:small|base|large|mistral)|multilingual-e5)(?![a-z])",
    re.IGNORECASE,
)
_VISION_NAME = re.compile(
    r"gpt-4o|gpt-4\.1|gpt-5|chatgpt-4o|(?<![a-z])o[134](?![a-z])|claude|gemini|gemma-?3|llava|llama-?4|pixtral|vision|"
    r"[-_]vl(?![a-z])|\dvl(?![a-z])|moondream|minicpm-v|internvl",
    re.IGNORECASE,
)
_THINKING_NAME = re.compile(
    r"gpt-5|gpt-oss|(?<![a-z])o[134](?![a-z])|(?<![a-z])r1(?![a-z])|reason|think|qwq|qwen-?3|magistral|grok-[34]", re.IGNORECASE
)
_COUNT_NAME = re.compile(r"(?<![a-z0-9.])(?:(\d+)x)?(\d+(?:\.\d+)?)([bm])(?![a-z0-9])", re.IGNORECASE)
_QUANTIZATION_NAME = re.compile(
    r"(?<![a-z0-9])(i?q\d(?:_[a-z0-9]+)*|b?f16|fp16|fp8|int4|int8|awq|gptq|mxfp4|nvfp4)(?![a-z0-9])", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is known of a model. Numbers are 0 and texts empty where nothing is.

    Attributes:
        capabilities: what the server says that the model can do, or cannot.
        hints: what its name suggests; good enough to show, not to refuse anything.
        think_levels: the levels of thinking that it has, as a real Ollama tells them.
        think_default: the one of these that counts where a request names none.
    """

    created: int = 0
    size: int = 0
    family: str = ""
    parameter_count: int = 0
    parameter_size: str = ""
    quantization: str = ""
    context_length: int = 0
    embedding_length: int = 0
    capabilities: Mapping[str, bool] = field(default_factory=dict)
    hints: Mapping[str, bool] = field(default_factory=dict)
    think_levels: tuple[bool | str, ...] = ()
    think_default: bool | str | None = None


def has_dates(entries: Sequence[Mapping[str, Any]], now: float) -> bool:
    """Return whether the dates in a list of models are those of the models.

    Some servers date all their models by the call itself, or by their own start.

    Args:
        entries: of the list.
        now: when the list was made, in seconds of the Unix epoch.
    """
    dates = [_number(entry, "created") or _number(entry, "created_at") for entry in entries]
    dates = [date for date in dates if date]
    if not dates:
        return False
    own = any(entry.get("owned_by") == _OLLAMA for entry in entries)
    return own or max(dates) - min(dates) > _JUST_NOW or max(dates) < now - _RECENT


def read_metadata(entry: Mapping[str, Any], now: float, shown: Mapping[str, Any] | None = None) -> Metadata:
    """Read an entry that was made at `now` (seconds of the Unix epoch). Values of unexpected types count as absent.

    Args:
        entry: of the list of models.
        now: when the list was made.
        shown: what `/api/show` of a real Ollama says of the model.
    """
    known = _read_entry(entry, now)
    return _with_shown(known, shown) if shown else known


def _read_entry(entry: Mapping[str, Any], now: float) -> Metadata:
    name = str(entry["id"])
    custom = _object(entry.get("custom_metadata"))
    meta = _object(entry.get("meta"))
    provider = _object(entry.get("top_provider"))
    capabilities = _capabilities(entry)
    embedding_name = bool(_EMBEDDING_NAME.search(name)) and "embedding" not in capabilities
    hints: dict[str, bool] = {}
    if embedding_name:
        hints = {"embedding": True, "completion": False, "tools": False}
    elif not capabilities.get("embedding"):
        hints = {"vision": bool(_VISION_NAME.search(name)), "thinking": bool(_THINKING_NAME.search(name))}
    context_lengths = (_number(place, key) for place in (entry, provider, meta, custom) for key in _CONTEXT_KEYS)
    created = _number(entry, "created") or _number(entry, "created_at")
    embeds = embedding_name or capabilities.get("embedding", False)
    return Metadata(
        # llama.cpp and vLLM put the time of the call there, which would make the model a new one at each call.
        created=created if created < now - _JUST_NOW else 0,
        size=_number(meta, "size"),
        family=_family(entry, name, embeds=embeds),
        parameter_count=_number(meta, "n_params") or _count(name),
        quantization=_quantization(entry, name) or _text(meta, "ftype"),
        context_length=next(filter(None, context_lengths), 0),
        embedding_length=(
            _number(meta, "n_embd") or _number(entry, "output_vector_size") or _number(custom, "embedding_dimension")
        ),
        capabilities=capabilities,
        hints=hints,
    )


def _capabilities(entry: Mapping[str, Any]) -> dict[str, bool]:
    there: dict[str, bool] = {}
    match entry.get("capabilities"):
        case dict(flags):
            # Two words may mean one capability, of which either is enough.
            for word, flag in flags.items():
                if word in _WORDS and isinstance(flag, bool):
                    there[_WORDS[word]] = there.get(_WORDS[word], False) or flag
        case list(words):
            # A list says what there is, but not what it would say of what there is not.
            there |= {_WORDS[word]: True for word in words if isinstance(word, str) and word in _WORDS}
            if not there and any(isinstance(word, str) and word in _NO_TEXT for word in words):
                there |= {"completion": False, "tools": False}
    if parameters := _strings(entry.get("supported_parameters")):
        there["tools"] = "tools" in parameters
        there["thinking"] = "reasoning" in parameters or "include_reasoning" in parameters
    architecture = _object(entry.get("architecture"))
    if modalities := _strings(architecture.get("input_modalities")):
        there |= {capability: modality in modalities for modality, capability in _MODALITIES.items()}
    if "embeddings" in _strings(architecture.get("output_modalities")):
        there["embedding"] = True
    # What LiteLLM does not know of a model, it says to be false.
    there |= {capability: True for field, capability in _SUPPORTS.items() if entry.get(field) is True}
    kind = _text(entry, "type") or _text(entry, "mode") or _text(_object(entry.get("custom_metadata")), "model_type")
    if kind in _NO_TEXT:
        there |= {"completion": False, "tools": False}
    elif kind in _WORDS:
        there[_WORDS[kind]] = True
    if there.get("embedding") and not there.get("completion"):
        there |= {"completion": False, "tools": False}
    return there


def _with_shown(known: Metadata, shown: Mapping[str, Any]) -> Metadata:
    """What is known of a model with what a real Ollama says of it."""
    info, details = _object(shown.get("model_info")), _object(shown.get("details"))
    architecture = _text(info, "general.architecture")
    words = _strings(shown.get("capabilities"))
    thinking = _object(shown.get("thinking"))
    values = thinking.get("values")
    levels = tuple(level for level in values if isinstance(level, bool | str)) if isinstance(values, list) else ()
    default = thinking.get("default")
    return replace(
        known,
        family=_text(details, "family") or architecture or known.family,
        parameter_count=_number(info, "general.parameter_count") or known.parameter_count,
        parameter_size=_text(details, "parameter_size"),
        quantization=_text(details, "quantization_level") or known.quantization,
        context_length=_number(info, f"{architecture}.context_length") or known.context_length,
        embedding_length=_number(info, f"{architecture}.embedding_length") or known.embedding_length,
        # Ollama's list of capabilities is complete.
        capabilities={word: word in words for word in _KNOWN} if words else known.capabilities,
        hints={} if words else known.hints,
        think_levels=levels,
        think_default=default if isinstance(default, bool | str) else None,
    )


def _family(entry: Mapping[str, Any], name: str, *, embeds: bool) -> str:
    if arch := _text(entry, "arch"):
        return arch
    if embeds:
        # By this family some clients tell embedding models from the others.
        return "bert"
    match = re.match(r"[a-z]+", name.rpartition("/")[2].lower())
    return match.group() if match else "llama"


def _count(name: str) -> int:
    if not (match := _COUNT_NAME.search(name)):
        return 0
    experts, number, unit = match.groups()
    return int(int(experts or 1) * float(number) * (1e9 if unit in "bB" else 1e6))


def _quantization(entry: Mapping[str, Any], name: str) -> str:
    if said := _text(entry, "quantization"):
        return said
    match = _QUANTIZATION_NAME.search(name)
    return match.group().upper() if match else ""


def _number(place: Mapping[str, Any], key: str) -> int:
    value = place.get(key)
    return int(value) if isinstance(value, int | float) and 0 < value < 1e18 else 0


def _text(place: Mapping[str, Any], key: str) -> str:
    value = place.get(key)
    return value if isinstance(value, str) else ""


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _strings(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
