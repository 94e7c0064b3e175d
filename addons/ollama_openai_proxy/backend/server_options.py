"""What the settings or the models file say of the way to a server, beside its URL and its key."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from ..api.path_table import COUNT_TOKENS, MESSAGES, OPENAI_CHAT, OPENAI_COMPLETIONS, OPENAI_RESPONSES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pydantic import SecretStr

    from ..settings import ApiName

_API_OF: dict[str, ApiName] = {
    OPENAI_CHAT: "chat",
    OPENAI_COMPLETIONS: "completions",
    OPENAI_RESPONSES: "responses",
    MESSAGES: "messages",
    COUNT_TOKENS: "messages",
}


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """The way to a server.

    Attributes:
        headers: sent with each call, in place of headers of the same name.
        query: parameters of the query of each call, in place of parameters of the same name.
        apis: the APIs of the server that are used; None uses each one that the server turns out to have.
        ca_file: a file in PEM with certificate authorities that are trusted besides the usual ones.
    """

    headers: Mapping[str, SecretStr] = field(default_factory=dict)
    query: Mapping[str, SecretStr] = field(default_factory=dict)
    apis: frozenset[ApiName] | None = None
    ca_file: Path | None = None

    def uses(self, path: str, translated: frozenset[str] = frozenset()) -> bool:
        """Return whether calls of a path (`/v1/…`) may go to the server as they are.

        Args:
            path: of the call.
            translated: the APIs that are translated where nobody says which APIs are used.
        """
        api = _API_OF.get(path)
        return api is None or (api not in translated if self.apis is None else api in self.apis)

    def plain_headers(self) -> dict[str, str]:
        """Return the headers with their values in plain text."""
        return {name: value.get_secret_value() for name, value in self.headers.items()}

    def plain_query(self) -> dict[str, str]:
        """Return the parameters with their values in plain text."""
        return {name: value.get_secret_value() for name, value in self.query.items()}

    def with_query(self, target: str) -> str:
        """Return a path and query with the parameters of this server in its query."""
        if not self.query:
            return target
        path, _, query = target.partition("?")
        own = self.plain_query()
        kept = [pair for pair in query.split("&") if pair and unquote(pair.partition("=")[0]) not in own]
        added = [f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in own.items()]
        return f"{path}?{'&'.join([*kept, *added])}"
