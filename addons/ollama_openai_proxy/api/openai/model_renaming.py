"""Puts the client's name for a model in the place of the back end's, in the replies to OpenAI calls."""

from __future__ import annotations

import json
import re
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from ...net.messages import Reply


def renamed(reply: Reply, target: str, name: str) -> Reply:
    """The reply with `name` for `target` wherever JSON or events say which model answered."""
    if target == name:
        return reply
    rename = _Renaming(target, name)
    if isinstance(reply.body, bytes):
        return replace(reply, body=rename(reply.body))
    if reply.length is not None and "json" not in reply.headers.get("Content-Type", ""):
        # A file, in which there is no name.
        return reply
    return replace(reply, body=_lines(reply.body, rename), length=None)


class _Renaming:
    def __init__(self, target: str, name: str) -> None:
        # The quotes of a text in a text are escaped, so this matches the key alone.
        spelled = {json.dumps(target), json.dumps(target, ensure_ascii=False)}
        alternatives = "|".join(re.escape(text) for text in sorted(spelled))
        self._pattern = re.compile(rf'("model"\s*:\s*)(?:{alternatives})'.encode())
        self._name = json.dumps(name).encode()

    def __call__(self, data: bytes) -> bytes:
        return self._pattern.sub(lambda found: found[1] + self._name, data)


async def _lines(parts: AsyncGenerator[bytes, None], rename: _Renaming) -> AsyncGenerator[bytes, None]:
    """Line by line, so that no name is cut in two."""
    rest: list[bytes] = []
    async with aclosing(parts):
        async for part in parts:
            end = part.rfind(b"\n") + 1
            if end:
                yield rename(b"".join([*rest, part[:end]]))
                rest = []
            rest.append(part[end:])
    if last := b"".join(rest):
        yield rename(last)
