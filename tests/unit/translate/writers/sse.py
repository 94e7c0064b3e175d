"""Server-sent events as clients read them."""

from __future__ import annotations

import json
from typing import Any


def events(body: bytes) -> list[dict[str, Any]]:
    """The objects of the events; the name of an event is the type of its object."""
    assert body.isascii()
    assert body == b"" or body.endswith(b"\n\n")
    objects = []
    for event in body.decode().split("\n\n")[:-1]:
        lines = event.split("\n")
        assert len(lines) == len(event.splitlines())
        data = lines[-1].removeprefix("data: ")
        if data == "[DONE]" or lines[0].startswith(":"):
            continue
        value = json.loads(data)
        if len(lines) == 2:
            assert lines[0] == f"event: {value['type']}"
        objects.append(value)
    return objects
