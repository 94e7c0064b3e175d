"""The model in a request's body: read it, and put another name in its place.

Pure. Whatever else is in a body stays as it is.
"""

from __future__ import annotations

import json
import re
from email.message import Message
from typing import Any

from pydantic_core import from_json

FORM_TYPE = "multipart/form-data"


class Body:
    """A body that may name a model.

    Attributes:
        data: the JSON object, where it is one.
        model: the name; None where there is none.
    """

    def __init__(self, content: bytes, content_type: str) -> None:
        self.data: dict[str, Any] | None = None
        self.model: str | None = None
        self._content = content
        self._span: tuple[int, int] | None = None
        if content_type.lower().startswith(FORM_TYPE):
            self._span = _model_field(content, content_type)
            self.model = content[slice(*self._span)].decode("utf-8", "replace") if self._span else None
        elif content:
            self.data = _object(content)
            name = self.data.get("model") if self.data else None
            self.model = name if isinstance(name, str) else None

    def naming(self, model: str, **changed: Any) -> bytes:
        """The body with another model and, in JSON, with other fields; the very bytes where nothing changes."""
        if model == self.model and not changed:
            return self._content
        if self._span is not None:
            start, end = self._span
            return self._content[:start] + model.encode() + self._content[end:]
        return json.dumps({**(self.data or {}), "model": model, **changed}).encode()


def _object(content: bytes) -> dict[str, Any] | None:
    try:
        data = from_json(content)
    except ValueError:
        return None
    return data if isinstance(data, dict) else None


def _model_field(content: bytes, content_type: str) -> tuple[int, int] | None:
    """Where in a form the field `model` has its value."""
    header = Message()
    header["Content-Type"] = content_type
    boundary = header.get_param("boundary")
    if not isinstance(boundary, str):
        return None
    mark = re.escape(b"--" + boundary.encode("utf-8", "surrogateescape"))
    field = re.compile(
        mark + rb"\r\n(?:[^\r\n]+\r\n)*?content-disposition:[^\r\n]*\bname=(?:\"model\"|model)[ \t]*(?:;[^\r\n]*)?\r\n"
        rb"(?:[^\r\n]+\r\n)*\r\n([^\r\n]*)\r\n" + mark,
        re.IGNORECASE,
    )
    found = field.search(content)
    return found.span(1) if found else None
