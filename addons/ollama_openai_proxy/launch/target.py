"""What a program is configured with: the proxy's address and key, and the facts of one model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..api.path_table import OPENAI_BASE

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_KEY = "ollama"
"""What is sent as the key to a proxy without keys: most programs insist on one."""

FOLDER = "{folder}"
"""Stands in arguments and variables for the folder that holds the files of a setup."""

LONGEST_OUTPUT = 32_768
"""The most tokens of an answer that a program is told to expect, unless the context is smaller."""


@dataclass(frozen=True, slots=True)
class Target:
    """A model of a proxy.

    Attributes:
        url: of the proxy, without a slash at the end.
        model: the name of the model.
        key: the client's key; "" for a proxy without keys.
        context_length: tokens that the model takes; 0 if it is not known.
        thinking: the names of the levels of thinking; empty for a model that does not think or has no levels.
        thinks: whether the model thinks.
        vision: whether the model takes pictures.
    """

    url: str
    model: str
    key: str = ""
    context_length: int = 0
    thinking: tuple[str, ...] = ()
    thinks: bool = False
    vision: bool = False

    @property
    def openai_url(self) -> str:
        """The base URL for clients of the OpenAI API."""
        return self.url + OPENAI_BASE

    @property
    def sent_key(self) -> str:
        """The key, or a text in its place for a proxy without keys."""
        return self.key or NO_KEY

    @property
    def output_length(self) -> int:
        """Tokens of an answer that a program may expect: a quarter of the context; 0 if the context is not known."""
        return min(self.context_length // 4, LONGEST_OUTPUT)


@dataclass(frozen=True, slots=True)
class Setup:
    """How a program is run with a target.

    Attributes:
        environment: variables to set.
        arguments: what comes before the user's own arguments.
        files: texts of files by their names, which are written into a folder of their own; `FOLDER` stands for that folder.
        unset: variables that must not reach the program, since they would count before the ones that are set.
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ()

    def placed(self, folder: str) -> Setup:
        """The setup with a folder for its files."""
        return Setup(
            {name: value.replace(FOLDER, folder) for name, value in self.environment.items()},
            tuple(argument.replace(FOLDER, folder) for argument in self.arguments),
            self.files,
            self.unset,
        )


def read_target(url: str, key: str, model: str, shown: Mapping[str, Any]) -> Target:
    """The target of a model that a reply of `/api/show` describes; fields of unexpected types count as absent.

    Source: docs/wire.md, `thinking` has the levels of newer releases of Ollama.
    """
    capabilities = shown.get("capabilities")
    named = [word for word in capabilities if isinstance(word, str)] if isinstance(capabilities, list) else []
    info = shown.get("model_info")
    lengths = (
        [value for name, value in info.items() if name.endswith(".context_length") and isinstance(value, int)]
        if isinstance(info, dict)
        else []
    )
    thinking = shown.get("thinking")
    values = thinking.get("values") if isinstance(thinking, dict) else None
    levels = tuple(value for value in values if isinstance(value, str)) if isinstance(values, list) else ()
    return Target(
        url.rstrip("/"),
        model,
        key,
        context_length=max([0, *lengths]),
        thinking=levels,
        thinks="thinking" in named or bool(levels),
        vision="vision" in named,
    )
