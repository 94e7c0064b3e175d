"""The model in a request's body: read it, and put another name in its place.

Pure. Whatever else is in a body stays as it is.
"""

from __future__ import annotations

import json
from email.message import Message
from typing import Any

from pydantic_core import from_json

FORM_TYPE = "multipart/form-data"
_LONGEST_HEAD = 16384
"""Bytes of the headers of a part that are read."""


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
        try:
            # The fast parser refuses halves of characters in escapes, which programs in JavaScript send.
            data = json.loads(content.decode())
        except (ValueError, RecursionError):
            return None
    return data if isinstance(data, dict) else None


def _model_field(content: bytes, content_type: str) -> tuple[int, int] | None:
    """Where in a form the field `model` has its value.

    Each part of the form is looked at once, by searches for plain bytes, so that any body is read in linear time.
    """
    header = Message()
    header["Content-Type"] = content_type
    boundary = header.get_param("boundary")
    if not isinstance(boundary, str):
        return None
    mark = b"--" + boundary.encode("utf-8", "surrogateescape")
    begin = content.find(mark)
    while begin >= 0:
        end = content.find(mark, begin + len(mark))
        if end < 0:
            return None
        head = begin + len(mark)
        # Headers are short; those of a part that has more are not those of a field.
        value = content.find(b"\r\n\r\n", head, min(end, head + _LONGEST_HEAD))
        if content[head : head + 2] == b"\r\n" and value >= 0 and _names_model(content[head + 2 : value]):
            span = (value + 4, end - 2)
            model = content[slice(*span)]
            if content[end - 2 : end] == b"\r\n" and span[0] <= span[1] and b"\r" not in model and b"\n" not in model:
                return span
        begin = end
    return None


def _names_model(head: bytes) -> bool:
    """Whether the headers of a part say that the part is the field `model`."""
    for line in head.split(b"\r\n"):
        name, _, disposition = line.partition(b":")
        if name.strip().lower() == b"content-disposition":
            parameters = [parameter.strip().lower() for parameter in disposition.split(b";")]
            return b"name=model" in parameters or b'name="model"' in parameters
    return False
