"""Reads streams that may be cut: behind an error event on OpenAI's completions, the proxy cuts the connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from tests.patience import PATIENCE

CUT_AFTER_ERRORS = ("/v1/chat/completions", "/v1/completions")


@dataclass(frozen=True, slots=True)
class Read:
    """What came of a stream, and whether it was cut before its end."""

    status: int
    content: bytes
    cut: bool

    @property
    def lines(self) -> list[str]:
        return [line for line in self.content.decode().splitlines() if line]


def read_stream(url: str, path: str, body: dict[str, Any]) -> Read:
    """Read a stream as far as it goes."""
    content = bytearray()
    with httpx.stream("POST", url + path, json=body, timeout=PATIENCE, trust_env=False) as response:
        try:
            for part in response.iter_raw():
                content += part
        except httpx.RemoteProtocolError:
            return Read(response.status_code, bytes(content), cut=True)
    return Read(response.status_code, bytes(content), cut=False)
