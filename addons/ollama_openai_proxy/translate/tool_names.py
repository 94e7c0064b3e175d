"""Names of tools: from the client's to those that every back end takes, and back.

OpenAI and most others take names of 1 to 64 letters, digits, underscores and hyphens, Gemini only names that begin with a
letter or an underscore, and each refuses the whole call for another one. Clients send longer ones (MCP servers behind Claude
Code) and other characters (dots, slashes, blanks). The mapping depends on nothing but the names, so that it is the same for
each call of a conversation and a back end's prompt cache keeps working.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST_NAME = 64
_ALLOWED = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}", re.ASCII)
_NOT_ALLOWED = re.compile(r"[^A-Za-z0-9_-]", re.ASCII)
_UNNAMED = "unnamed"
_DIGEST_LENGTH = 8


class ToolNames:
    """Maps the names of one call's tools.

    A name that is allowed stays as it is. Another one gets its characters replaced and is cut; where that is the name of
    another tool, or too long, a digest of the client's name tells them apart.

    Args:
        names: the tools that the call offers, as the client names them.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        offered = dict.fromkeys(names)
        self._sent = {name: name for name in offered if _ALLOWED.fullmatch(name)}
        self._originals = dict(self._sent)
        for name in offered:
            if name not in self._sent:
                self._sent[name] = sent = self._allowed(name)
                self._originals[sent] = name

    def sent(self, name: str) -> str:
        """The name for the back end. A tool that is not offered, but occurs in the history or as a choice, gets one too."""
        return self._sent.get(name) or (name if _ALLOWED.fullmatch(name) else self._allowed(name))

    def original(self, name: str) -> str:
        """The client's name for a name that the back end sent; a name of no known tool stays as it is."""
        return self._originals.get(name, name)

    def _allowed(self, name: str) -> str:
        plain = _NOT_ALLOWED.sub("_", name) or _UNNAMED
        if not _ALLOWED.match(plain):
            plain = f"_{plain}"
        if len(plain) <= LONGEST_NAME and self._originals.get(plain, name) == name:
            return plain
        digest = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:_DIGEST_LENGTH]
        return f"{plain[: LONGEST_NAME - _DIGEST_LENGTH - 1]}_{digest}"
