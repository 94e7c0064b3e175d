"""Train the demo model, and write its file; scripts/train_demo_model makes the environment for this and documents it."""

import argparse
import sys
import time
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from scripts.demo_model.conversations import FOLDER, Conversation, Conversations
from scripts.demo_model.network import NOT_LEARNED, Network, optimizers, rate_at, write_gguf
from scripts.demo_model.vocabulary import END_OF_TEXT, END_OF_TURN, Vocabulary, learn

VOCABULARY_SAMPLES = 6_000
WORD_MERGES = 760
SPACED_WORDS = 320
GROUP = 8
LONGEST = 640
SHAPE = 32
"""Lengths are multiples of this, because PyTorch compiles its kernels anew for each shape of a matrix."""


type Group = tuple[Tensor, Tensor, Tensor]
"""Ids, targets and forbidden tokens of some examples, each of shape (group, length)."""


class Example(NamedTuple):
    """A conversation in tokens: three lists of one length."""

    ids: list[int]
    targets: list[int]
    """The next token, or `NOT_LEARNED` within the prompt."""
    forbidden: list[int]
    """A token that cannot be next, or -1."""


def example(conversation: Conversation, vocabulary: Vocabulary) -> Example:
    """Return a conversation in tokens."""
    ids = vocabulary.encode(conversation.prompt + conversation.continuation)
    given = len(vocabulary.encode(conversation.prompt))
    forbidden = [-1] * (len(ids) - 1)
    if conversation.must_go_on:
        forbidden[given - 1] = vocabulary.ids[END_OF_TURN]
    targets = [NOT_LEARNED] * (given - 1) + ids[given:]
    return Example(ids[:-1], targets, forbidden)


def batch(conversations: Conversations, vocabulary: Vocabulary, size: int) -> list[Group]:
    """Return a batch of conversations, in groups of similar lengths to waste little on padding."""
    examples = [example(conversations.next(), vocabulary) for _ in range(size)]
    examples = sorted((each for each in examples if len(each.ids) <= LONGEST), key=lambda each: len(each.ids))
    fillings = Example([vocabulary.ids[END_OF_TEXT]], [NOT_LEARNED], [-1])
    groups: list[Group] = []
    for start in range(0, len(examples), GROUP):
        group = examples[start : start + GROUP]
        length = -(-len(group[-1].ids) // SHAPE) * SHAPE
        ids, targets, forbidden = (
            torch.tensor([values + filling * (length - len(values)) for values in column])
            for column, filling in zip(zip(*group, strict=True), fillings, strict=True)
        )
        groups.append((ids, targets, forbidden))
    return groups


def main(argv: list[str] | None = None) -> int:
    """Train from scratch; write the file at the end, and after every 500 steps to see how it gets on."""
    parser = argparse.ArgumentParser(prog="scripts/train_demo_model", add_help=False)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=FOLDER / "demo.gguf")
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)

    samples = Conversations(options.seed)
    vocabulary = learn(
        (each.prompt + each.continuation for each in (samples.next() for _ in range(VOCABULARY_SAMPLES))),
        words=WORD_MERGES,
        spaced=SPACED_WORDS,
    )
    network = Network(len(vocabulary.tokens))
    size = sum(parameter.numel() for parameter in network.parameters())
    print(f"{size:,} parameters, {len(vocabulary.tokens)} tokens", flush=True)
    template = (FOLDER / "template.jinja").read_text("utf-8")
    training = optimizers(network)
    highest = [[group["lr"] for group in each.param_groups] for each in training]
    source = Conversations(options.seed + 1)
    started, losses = time.monotonic(), []
    for step in range(1, options.steps + 1):
        for each, rates in zip(training, highest, strict=True):
            for group, rate in zip(each.param_groups, rates, strict=True):
                group["lr"] = rate * rate_at(step / options.steps)
        network.zero_grad()
        groups = batch(source, vocabulary, options.batch)
        for group in groups:
            loss = network.loss(*group) * (len(group[0]) / options.batch)
            loss.backward()
            losses.append(loss.item())
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        for each in training:
            each.step()
        if step % 50 == 0:
            print(f"step {step}: loss {sum(losses) / 50:.4f}, {time.monotonic() - started:.0f} s", flush=True)
            losses.clear()
        if step % 500 == 0 or step == options.steps:
            write_gguf(options.output, network, vocabulary, template)
    return 0


if __name__ == "__main__":
    sys.exit(main())
