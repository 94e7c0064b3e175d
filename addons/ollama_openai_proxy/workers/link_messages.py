"""The messages between the supervisor and its workers: one JSON object a line, over a pair of Unix sockets.

What a worker sends names its operation in `op`; if the message has an `id`, the supervisor answers with this `id` and a
`value`.
`workers.shared_state` lists the operations of the state that workers share, and `workers.supervisor` the others.
"""

from __future__ import annotations

import json
from typing import Any

type Message = dict[str, Any]


def encode(message: Message) -> bytes:
    """Write a message; what JSON does not know, such as a date in the options of a model, is written as text."""
    return json.dumps(message, separators=(",", ":"), default=str).encode() + b"\n"


class MessageReader:
    """Splits what arrives into messages."""

    def __init__(self) -> None:
        self._received = b""

    def feed(self, data: bytes) -> list[Message]:
        """Take bytes; returns the messages that are complete."""
        *lines, self._received = (self._received + data).split(b"\n")
        return [json.loads(line) for line in lines]
