"""What can go wrong with a request, as one small hierarchy: raised where it is known, answered in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_KINDS = {
    401: "unauthorized",
    403: "forbidden",
    405: "lost_body",
    413: "too_large",
    429: "rate_limited",
    503: "busy",
}


class ApiError(Exception):
    """An error that the client is told.

    Attributes:
        status: the HTTP status, if the answer has not begun.
        message: one plain sentence or Ollama's own text; never JSON, since clients parse it.
        headers: further headers of the reply, such as `Retry-After`.
        kind: a word for logs and metrics, which may not hold the message.
        code: the server's own code for the error, for clients of APIs that have such a field; None where it gave none.
        error_type: the server's own type of error; "" where it gave none.
        param: the parameter that the server names as the reason; None where it names none.
    """

    def __init__(
        self,
        status: int,
        message: str,
        headers: Mapping[str, str] | None = None,
        *,
        kind: str = "",
        code: str | int | None = None,
        error_type: str = "",
        param: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})
        self.kind = kind or _KINDS.get(status, "other")
        self.code = code
        self.error_type = error_type
        self.param = param


class InvalidRequest(ApiError):
    """The request cannot be understood, or asks for what its model cannot do."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(status, message, kind="invalid_request")


class ModelNotFound(ApiError):
    """The request names a model that is not there."""

    def __init__(self, message: str) -> None:
        super().__init__(404, message, kind="model_not_found")


class BackendError(ApiError):
    """The back end failed or could not be reached."""

    def __init__(
        self,
        status: int,
        message: str,
        headers: Mapping[str, str] | None = None,
        *,
        kind: str = "",
        code: str | int | None = None,
        error_type: str = "",
        param: str | None = None,
    ) -> None:
        kind = kind or ("backend_timeout" if status == 504 else "backend_failed")
        super().__init__(status, message, headers, kind=kind, code=code, error_type=error_type, param=param)


class Unreachable(BackendError):
    """There is no connection to the back end: nothing was sent yet."""


class EmptyAnswer(BackendError):
    """The back end accepted a call, and ended its answer without saying anything."""


def describe(error: BaseException) -> str:
    """Return the kind and place of an error, without its message, which may quote the request's body."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    at = f" at {place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else ""
    return f"{type(error).__name__}{at}"
