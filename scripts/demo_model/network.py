"""A tiny network of the Qwen2 architecture, its training, and its GGUF file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, silu, softmax

if TYPE_CHECKING:
    from pathlib import Path

    from .vocabulary import Vocabulary

LAYERS = 4
WIDTH = 128
HEADS = 4
FEED_FORWARD = 320
CONTEXT = 2048
ROPE_BASE = 1_000_000.0
EPSILON = 1e-6
MATRIX_RATE = 0.02
VECTOR_RATE = 0.003
_FAST = 4
"""Pairs of a head's dimensions that rotary embeddings turn so fast that they tell neighbours apart."""
_SHARPNESS = 7.75
USUAL_LENGTH = 25
"""Tokens of an answer of usual length: such an answer counts by its mean."""
NOT_LEARNED = -100
"""The target of tokens that belong to the prompt."""


class Block(nn.Module):
    """Attention and a gated feed-forward layer, each normalised before and added to the residual stream."""

    def __init__(self) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(WIDTH, eps=EPSILON)
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.output = nn.Linear(WIDTH, WIDTH, bias=False)
        self.feed_forward_norm = nn.RMSNorm(WIDTH, eps=EPSILON)
        self.gate, self.up = (nn.Linear(WIDTH, FEED_FORWARD, bias=False) for _ in range(2))
        self.down = nn.Linear(FEED_FORWARD, WIDTH, bias=False)

    def forward(self, states: Tensor, cosine: Tensor, sine: Tensor, hidden: Tensor) -> Tensor:
        """Return the states after this block; states are of shape (batch, length, width)."""
        batch, length, _ = states.shape
        normalised = self.attention_norm(states)
        query, key, value = (
            projection(normalised).view(batch, length, HEADS, WIDTH // HEADS).transpose(1, 2)
            for projection in (self.query, self.key, self.value)
        )
        query, key = (rotate(each, cosine, sine) for each in (query, key))
        # On a CPU and with short sequences, plain products are faster than the fused attention.
        scores = query @ key.transpose(-1, -2) * (WIDTH // HEADS) ** -0.5 + hidden
        mixed = softmax(scores, dim=-1, dtype=value.dtype) @ value
        states = states + self.output(mixed.transpose(1, 2).reshape(batch, length, WIDTH))
        normalised = self.feed_forward_norm(states)
        return states + self.down(silu(self.gate(normalised)) * self.up(normalised))


def rotate(states: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Apply rotary position embeddings, with the halves of a head's dimensions paired as Qwen2 does."""
    first, second = states.chunk(2, dim=-1)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), dim=-1)


class Network(nn.Module):
    """The whole network; the token embedding is the output layer, too."""

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(tokens, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.norm = nn.RMSNorm(WIDTH, eps=EPSILON)
        for parameter in self.parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=WIDTH**-0.5)
        for block in self.blocks:
            for projection in (block.output, block.down):
                nn.init.normal_(projection.weight, std=(2 * LAYERS * projection.in_features) ** -0.5)
            for projection in (block.query, block.key, block.value):
                nn.init.zeros_(projection.bias)
        nn.init.normal_(self.embedding.weight, std=0.6)
        nn.init.constant_(self.norm.weight, 0.1)
        with torch.no_grad():
            self._begin_with_copying()
        frequencies = ROPE_BASE ** (-torch.arange(0, WIDTH // HEADS, 2) / (WIDTH // HEADS))
        angles = torch.outer(torch.arange(CONTEXT), frequencies)
        self.register_buffer("cosine", angles.cos(), persistent=False)
        self.register_buffer("sine", angles.sin(), persistent=False)

    def _begin_with_copying(self) -> None:
        """Set the weights of some heads so that the network continues a sequence as it continued before.

        Training alone needs many times as long to find these induction heads (Olsson et al., 2022, "In-context learning and
        induction heads") as to learn everything else. The first head of the first layer writes the previous token into
        dimensions that no embedding uses. The heads of the second layer, but for one, look for the current token there, and
        copy what stands at that place: the token after its last occurrence.
        """
        size, free = WIDTH // HEADS, WIDTH - WIDTH // HEADS
        self.embedding.weight[:, free:] = 0
        directions = torch.linalg.qr(torch.randn(free, free)).Q
        previous, following = self.blocks[0], self.blocks[1]
        # A position looks one back: rotary embeddings turn the constant biases to each other there, and nowhere else.
        for projection in (previous.query, previous.key):
            projection.weight[:size] = 0
        turn = ROPE_BASE ** (-torch.arange(0, size, 2) / size)[:_FAST]
        previous.key.bias[:_FAST] = _SHARPNESS
        previous.query.bias[:_FAST] = _SHARPNESS * turn.cos()
        previous.query.bias[size // 2 : size // 2 + _FAST] = -_SHARPNESS * turn.sin()
        # Only slowly turning dimensions compare tokens well over a distance.
        slow = torch.tensor([index % (size // 2) >= _FAST for index in range(size)], dtype=torch.float)[:, None]
        compared = directions[:size]
        previous.value.weight[:size] = 0
        previous.value.weight[:size, :free] = compared
        previous.output.weight[:, :size] = 0
        previous.output.weight[free:, :size] = 0.6 * torch.eye(size)
        for head in range(free // size):
            rows = slice(head * size, (head + 1) * size)
            for projection in (following.query, following.key, following.value):
                projection.weight[rows] = 0
            following.query.weight[rows, :free] = 1.6 * compared * slow
            following.key.weight[rows, free:] = 1.6 * torch.eye(size) * slow
            following.value.weight[rows, :free] = directions[rows]
            following.output.weight[:, rows] = 0
            following.output.weight[:free, rows] = directions[rows].T

    def forward(self, ids: Tensor) -> Tensor:
        """Return the last hidden states, of shape (batch, length, width), for ids of shape (batch, length)."""
        length = ids.shape[1]
        states = self.embedding(ids)
        cosine, sine = (each[:length].to(torch.bfloat16) for each in (self.cosine, self.sine))
        hidden = torch.full((length, length), -1e4, dtype=torch.bfloat16).triu(1)
        for block in self.blocks:
            states = block(states, cosine, sine, hidden)
        return self.norm(states)

    def loss(self, ids: Tensor, targets: Tensor, forbidden: Tensor) -> Tensor:
        """Return the mean loss of conversations: the cross-entropy of the targets that are not `NOT_LEARNED`.

        A conversation counts by the root of its length, so that short answers are learned as well as long ones.

        All arguments are of shape (batch, length); `forbidden` has tokens that cannot be next, or -1.
        """
        learned = targets != NOT_LEARNED
        with torch.autocast("cpu", torch.bfloat16):
            states = self(ids)
        # In full precision: the number of learned targets differs from batch to batch.
        scores = states.float()[learned] @ self.embedding.weight.T
        rows = (forbidden[learned] >= 0).nonzero().squeeze(1)
        scores = scores.index_put((rows, forbidden[learned][rows]), torch.tensor(-1e4))
        weights = learned.sum(1, keepdim=True).clamp(min=1) ** -0.5
        each = cross_entropy(scores, targets[learned], reduction="none")
        return (each * weights.expand_as(learned)[learned]).sum() / (USUAL_LENGTH**0.5 * len(ids))


def optimizers(network: Network) -> list[torch.optim.Optimizer]:
    """Return the optimizers: Muon for the matrices of the blocks, and AdamW for the embedding and all vectors."""
    matrices = [parameter for parameter in network.blocks.parameters() if parameter.dim() == 2]
    vectors = [parameter for parameter in network.parameters() if parameter.dim() < 2]
    others = [{"params": [network.embedding.weight], "weight_decay": 0.05}, {"params": vectors, "weight_decay": 0.0}]
    return [
        torch.optim.Muon(matrices, lr=MATRIX_RATE, weight_decay=0.02, momentum=0.95),
        torch.optim.AdamW(others, lr=VECTOR_RATE, betas=(0.9, 0.98)),
    ]


def rate_at(progress: float) -> float:
    """Return the learning rate relative to the highest: up during the first 2 %, and down to nothing from 40 % on."""
    return min(1.0, progress / 0.02 + 0.01, (1.0 - progress) / 0.6 + 0.01)


def write_gguf(path: Path, network: Network, vocabulary: Vocabulary, template: str) -> None:
    """Write the network, quantised to Q8_0, with its vocabulary and chat template."""
    from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType, TokenType, quants

    from .vocabulary import CONTROL, MARKERS

    kinds: dict[str, Any] = dict.fromkeys(MARKERS, TokenType.USER_DEFINED) | dict.fromkeys(CONTROL, TokenType.CONTROL)
    writer = GGUFWriter(path, "qwen2")
    writer.add_name("Demo of ollama-openai-proxy")
    writer.add_license("mit")
    writer.add_file_type(LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(2)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_block_count(LAYERS)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_freq_base(ROPE_BASE)
    writer.add_layer_norm_rms_eps(EPSILON)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types([int(kinds.get(token, TokenType.NORMAL)) for token in vocabulary.tokens])
    writer.add_token_merges([f"{first} {second}" for first, second in vocabulary.merges])
    writer.add_eos_token_id(vocabulary.ids["<|im_end|>"])
    writer.add_pad_token_id(vocabulary.ids["<|endoftext|>"])
    writer.add_bos_token_id(vocabulary.ids["<|endoftext|>"])
    writer.add_add_bos_token(False)
    writer.add_chat_template(template)

    def add(name: str, values: Tensor) -> None:
        array = values.detach().float().numpy()
        if array.ndim == 1:
            writer.add_tensor(name, array)
        else:
            kind = GGMLQuantizationType.Q8_0
            writer.add_tensor(name, quants.quantize(array, kind), raw_dtype=kind)

    add("token_embd.weight", network.embedding.weight)
    add("output_norm.weight", network.norm.weight)
    for number, block in enumerate(network.blocks):
        names = {
            "attn_norm": block.attention_norm,
            "attn_q": block.query,
            "attn_k": block.key,
            "attn_v": block.value,
            "attn_output": block.output,
            "ffn_norm": block.feed_forward_norm,
            "ffn_gate": block.gate,
            "ffn_up": block.up,
            "ffn_down": block.down,
        }
        for name, layer in names.items():
            add(f"blk.{number}.{name}.weight", layer.weight)
            if getattr(layer, "bias", None) is not None:
                add(f"blk.{number}.{name}.bias", layer.bias)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
