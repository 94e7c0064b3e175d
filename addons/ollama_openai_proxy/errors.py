"""What can go wrong with a request, as one small hierarchy: raised where it is known, answered in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class ApiError(Exception):
    """An error that the client is told.

    Attributes:
        status: the HTTP status, if the answer has not begun.
        message: one plain sentence or Ollama's own text; never JSON, since clients parse it.
        headers: further headers of the reply, such as `Retry-After`.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})


class InvalidRequest(ApiError):
    """The request cannot be understood, or asks for what its model cannot do."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(status, message)


class ModelNotFound(ApiError):
    """The request names a model that is not there."""

    def __init__(self, message: str) -> None:
        super().__init__(404, message)


class BackendError(ApiError):
    """The back end refused, failed, or could not be reached."""
