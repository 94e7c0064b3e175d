"""Train the demo model and write scripts/demo_model/demo.gguf; scripts/train_demo_model makes the environment for this."""

import argparse
import random
import sys
import time
from itertools import count
from pathlib import Path
from typing import Any

import torch
from demo_model.conversations import FOLDER, Conversation, Conversations
from demo_model.network import NOT_LEARNED, Network, optimizer, rate_at, write_gguf
from demo_model.vocabulary import Vocabulary, learn

VOCABULARY_SAMPLES = 12_000
WORD_MERGES = 760
SPACED_WORDS = 320
CHUNK = 2048
"""Conversations made at once, and sorted by length to waste little on padding."""
LONGEST = 640
HIGHEST_RATE = 4e-3


def example(conversation: Conversation, vocabulary: Vocabulary) -> tuple[list[int], list[int]]:
    """Return the ids of a conversation, and for each the target: the next id, or `NOT_LEARNED` within the prompt."""
    ids = vocabulary.encode(conversation.prompt + conversation.continuation)
    given = len(vocabulary.encode(conversation.prompt + conversation.forced))
    return ids[:-1], [NOT_LEARNED] * (given - 1) + ids[given:]


def batches(conversations: Conversations, vocabulary: Vocabulary, tokens: int, seed: int) -> Any:
    """Yield batches of about so many tokens: ids and targets, each of shape (batch, length)."""
    chance = random.Random(seed)
    padding = vocabulary.ids["<|endoftext|>"]
    while True:
        examples = [example(conversations.next(), vocabulary) for _ in range(CHUNK)]
        examples = sorted((each for each in examples if len(each[0]) <= LONGEST), key=lambda each: len(each[0]))
        groups: list[list[tuple[list[int], list[int]]]] = [[]]
        for each in examples:
            if (len(groups[-1]) + 1) * len(each[0]) > tokens:
                groups.append([])
            groups[-1].append(each)
        chance.shuffle(groups)
        for group in groups:
            length = max(len(ids) for ids, _ in group)
            yield (
                torch.tensor([ids + [padding] * (length - len(ids)) for ids, _ in group]),
                torch.tensor([targets + [NOT_LEARNED] * (length - len(targets)) for _, targets in group]),
            )


def main(argv: list[str] | None = None) -> int:
    """Train, and write the file at the end and every now and then."""
    parser = argparse.ArgumentParser(prog="scripts/train_demo_model", description="Trains the demo model by heart, from scratch.")
    parser.add_argument("--steps", type=int, default=4000, help="steps of training (default %(default)s)")
    parser.add_argument("--tokens", type=int, default=8192, help="tokens in a batch (default %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="threads for the computation (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="seed of everything random (default %(default)s)")
    parser.add_argument("--output", type=Path, default=FOLDER / "demo.gguf", help="the file to write (default %(default)s)")
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
    training = optimizer(network, HIGHEST_RATE)
    source = batches(Conversations(options.seed + 1), vocabulary, options.tokens, options.seed)
    started, loss_sum, since = time.monotonic(), 0.0, 0
    for step in count(1):
        for group in training.param_groups:
            group["lr"] = rate_at(step / options.steps, HIGHEST_RATE)
        loss = network.loss(*next(source))
        training.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        training.step()
        loss_sum, since = loss_sum + loss.item(), since + 1
        if step % 50 == 0:
            print(f"step {step}: loss {loss_sum / since:.4f}, {time.monotonic() - started:.0f} s", flush=True)
            loss_sum, since = 0.0, 0
        if step % 500 == 0 or step >= options.steps:
            write_gguf(options.output, network, vocabulary, template)
        if step >= options.steps:
            break
    return 0


if __name__ == "__main__":
    sys.exit(main())
