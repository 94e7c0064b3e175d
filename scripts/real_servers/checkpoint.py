"""The demo model as a checkpoint in the form of Hugging Face's transformers, made of its GGUF file.

Qwen2's tensors have the shapes of the GGUF file in both forms. The sources of the names are `gguf.constants` and
`transformers.models.qwen2`.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from typing import TYPE_CHECKING, Any

from scripts.locked_packages import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    type Tensors = dict[str, np.ndarray[Any, np.dtype[np.float32]]]

DEMO = ROOT / "scripts" / "demo_model" / "demo.gguf"
_LAYERS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_OUTER = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}
_PRETOKEN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
"""How Qwen2 takes a text apart before the merges."""
_FORM = 2
"""Changes where checkpoints of an older program are to be written anew."""
_CONTROL, _USER_DEFINED = 3, 4
"""Types of tokens in a GGUF file."""


def checkpoint_key(source: Path = DEMO) -> str:
    """Return a name for the checkpoint of a GGUF file, which another file, or another form of checkpoints, does not have."""
    return f"{hashlib.sha256(source.read_bytes()).hexdigest()[:16]}-{_FORM}"


def write_checkpoint(folder: Path, source: Path = DEMO) -> None:
    """Write the checkpoint of a GGUF file into a folder."""
    from gguf import GGUFReader

    folder.mkdir(parents=True, exist_ok=True)
    reader = GGUFReader(source)
    facts = {name: field.contents() for name, field in reader.fields.items()}
    _write_tensors(folder / "model.safetensors", _tensors(reader))
    files = {
        "config.json": _config(facts),
        "generation_config.json": {"eos_token_id": _ends(facts), "pad_token_id": facts["tokenizer.ggml.padding_token_id"]},
        "tokenizer.json": _tokenizer(facts),
        "tokenizer_config.json": _tokenizer_config(facts),
    }
    for name, contents in files.items():
        (folder / name).write_text(json.dumps(contents, ensure_ascii=False), "utf-8")
    (folder / "chat_template.jinja").write_text(_template(facts), "utf-8")


def _tensors(reader: Any) -> Tensors:
    from gguf import quants

    return {checkpoint_name(it.name): quants.dequantize(it.data, it.tensor_type) for it in reader.tensors}


def checkpoint_name(name: str) -> str:
    """The name in a checkpoint for the name of a tensor in a GGUF file."""
    if name in _OUTER:
        return _OUTER[name]
    found = re.fullmatch(r"blk\.(\d+)\.(\w+)\.(weight|bias)", name)
    if found is None or found[2] not in _LAYERS:
        raise ValueError(f"a Qwen2 model has no tensor {name!r}")
    layer, part, kind = found.groups()
    return f"model.layers.{layer}.{_LAYERS[part]}.{kind}"


def _write_tensors(path: Path, tensors: Tensors) -> None:
    """Write a safetensors file: the length of the head, the head as JSON, then all numbers."""
    head: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, values in tensors.items():
        start, end = end, end + values.size * 4
        head[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [start, end]}
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for values in tensors.values():
            file.write(values.astype("<f4").tobytes())


def _ends(facts: dict[str, Any]) -> list[int]:
    return [facts["tokenizer.ggml.eos_token_id"], facts["tokenizer.ggml.padding_token_id"]]


def _config(facts: dict[str, Any]) -> dict[str, Any]:
    layers = facts["qwen2.block_count"]
    return {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "vocab_size": len(facts["tokenizer.ggml.tokens"]),
        "hidden_size": facts["qwen2.embedding_length"],
        "intermediate_size": facts["qwen2.feed_forward_length"],
        "num_hidden_layers": layers,
        "num_attention_heads": facts["qwen2.attention.head_count"],
        "num_key_value_heads": facts["qwen2.attention.head_count_kv"],
        "max_position_embeddings": facts["qwen2.context_length"],
        "rms_norm_eps": facts["qwen2.attention.layer_norm_rms_epsilon"],
        "rope_theta": facts["qwen2.rope.freq_base"],
        "rope_parameters": {"rope_type": "default", "rope_theta": facts["qwen2.rope.freq_base"]},
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "use_sliding_window": False,
        "layer_types": ["full_attention"] * layers,
        "bos_token_id": None,
        "eos_token_id": facts["tokenizer.ggml.eos_token_id"],
        "torch_dtype": "float32",
        "dtype": "float32",
    }


def _tokenizer(facts: dict[str, Any]) -> dict[str, Any]:
    tokens, types = facts["tokenizer.ggml.tokens"], facts["tokenizer.ggml.token_type"]
    special = {_CONTROL: True, _USER_DEFINED: False}
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    added = [
        {"id": index, "content": token, "special": special[kind], **plain}
        for index, (token, kind) in enumerate(zip(tokens, types, strict=True))
        if kind in special
    ]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": _PRETOKEN}, "behavior": "Isolated", "invert": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "post_processor": byte_level,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: index for index, token in enumerate(tokens)},
            "merges": [pair.split(" ") for pair in facts["tokenizer.ggml.merges"]],
        },
    }


def _tokenizer_config(facts: dict[str, Any]) -> dict[str, Any]:
    tokens = facts["tokenizer.ggml.tokens"]
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": tokens[facts["tokenizer.ggml.eos_token_id"]],
        "pad_token": tokens[facts["tokenizer.ggml.padding_token_id"]],
        "model_max_length": facts["qwen2.context_length"],
        "clean_up_tokenization_spaces": False,
        "chat_template": _template(facts),
    }


def _template(facts: dict[str, Any]) -> str:
    """The chat template, which does not let the model think unless a call says so, as `scripts/demo_backend.py` has it."""
    return "{%- set enable_thinking = enable_thinking | default(false) -%}\n" + str(facts["tokenizer.chat_template"])
