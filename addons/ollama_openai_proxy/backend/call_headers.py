"""The headers of the calls to one server: whose key they carry, the id of the request, and what the settings add."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..net.http_messages import REQUEST_ID
from ..net.request_context import current_record
from ..translate.ollama_descriptions import DEFAULT_BACKEND
from .lazy_sdk import openai

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import SecretStr

    from ..translate.refused_key import KeyOwner
    from .server_options import ServerOptions

type Headers = Mapping[str, str | openai.Omit]

KEY_HEADERS = frozenset({"authorization", "x-api-key", "api-key", "x-goog-api-key"})
"""Headers in which servers expect a key."""
_SDK_HEADERS = {"authorization": "Authorization", "user-agent": "User-Agent", "accept": "Accept"}
"""Headers that the SDK sends by itself, in its spelling: it would send another spelling besides."""


class CallHeaders:
    """Makes the headers of the calls of the request that is being answered.

    Args:
        name: what the models file calls the server.
        key: the proxy's own key.
        options: the way to the server.
        passthrough: whether the key that a client brings takes the place of the proxy's own.
    """

    def __init__(self, name: str, key: SecretStr | None, options: ServerOptions, *, passthrough: bool) -> None:
        self._name = name
        self._key = key
        self._options = options
        self._passthrough = passthrough

    def of_the_sdk(self) -> Headers:
        """Return what a call of the SDK carries beside its own headers."""
        record = current_record()
        headers: dict[str, str | openai.Omit] = {REQUEST_ID: record.request_id} if record.request_id else {}
        if self._passthrough and record.client_key:
            headers["Authorization"] = f"Bearer {record.client_key}"
        elif self._key is None:
            headers["Authorization"] = openai.Omit()
        for name, value in self._options.plain_headers().items():
            headers[_SDK_HEADERS.get(name.lower(), name)] = value
        return headers

    def beside_a_clients(self) -> list[tuple[str, str]]:
        """Return what is sent beside a client's harmless headers. Anthropic's API has a header of its own for the key."""
        record = current_record()
        own = self._key.get_secret_value() if self._key else ""
        key = (record.client_key if self._passthrough else None) or own
        keys = [("Authorization", f"Bearer {key}"), ("X-Api-Key", key)] if key else []
        return [("Accept-Encoding", "identity"), *keys, *self._options.plain_headers().items()]

    def brings_key(self) -> bool:
        """Whether a call carries a key."""
        return self.key_sent()[0] != "nobody"

    def key_sent(self) -> tuple[KeyOwner, str]:
        """Return whose key a call carries, and how the settings call the proxy's."""
        named = "OPENAI_API_KEY" if self._name == DEFAULT_BACKEND else f"of the back end {self._name}"
        if self._passthrough and current_record().client_key:
            return "client", named
        # A server may also be configured with a header of its own for the key.
        own = self._key is not None or any(name.lower() in KEY_HEADERS for name in self._options.plain_headers())
        return ("proxy" if own else "nobody"), named
