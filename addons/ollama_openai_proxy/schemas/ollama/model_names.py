"""Ollama's model names: `[host/][namespace/]model[:tag]` (docs/wire.md#model-names)."""

from __future__ import annotations

import re
from typing import NamedTuple

DEFAULT_HOST = "registry.ollama.ai"
DEFAULT_NAMESPACE = "library"
DEFAULT_TAG = "latest"

LONGEST_NAME = 256
"""Characters of a model's name, in any of its forms."""

_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}")
_NAMESPACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}")
_MODEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")


class Name(NamedTuple):
    """The parts of a name, with Ollama's defaults for those that were left out."""

    host: str
    namespace: str
    model: str
    tag: str

    @property
    def valid(self) -> bool:
        """Whether Ollama could have a model of this name."""
        return bool(
            _HOST.fullmatch(self.host)
            and _NAMESPACE.fullmatch(self.namespace)
            and _MODEL.fullmatch(self.model)
            and _MODEL.fullmatch(self.tag)
        )

    @property
    def full(self) -> str:
        """The name with all its parts, as some of Ollama's errors show it."""
        return f"{self.host}/{self.namespace}/{self.model}:{self.tag}"

    @property
    def shortest(self) -> str:
        """The name with its tag, without a host and a namespace that are Ollama's defaults, as other errors show it."""
        host = "" if self.host == DEFAULT_HOST else f"{self.host}/"
        namespace = "" if not host and self.namespace == DEFAULT_NAMESPACE else f"{self.namespace}/"
        return f"{host}{namespace}{self.model}:{self.tag}"


def shown(name: str) -> str:
    """Return a name for a text: cut, and with escapes for control characters, which may command a terminal."""
    name = name if len(name) <= LONGEST_NAME else name[:LONGEST_NAME] + "…"
    if name.isprintable():
        return name
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in name)


def parse_name(text: str) -> Name:
    """Take a name apart; more than three parts make it invalid."""
    rest = text.partition("://")[2] or text
    path, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:
        path, tag = rest, DEFAULT_TAG
    *front, model = path.split("/")
    host, namespace = DEFAULT_HOST, DEFAULT_NAMESPACE
    if len(front) == 1:
        namespace = front[0]
    elif len(front) >= 2:
        host, namespace = "/".join(front[:-1]), front[-1]
    return Name(host, namespace, model, tag)
