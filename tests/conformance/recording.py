"""Recorded exchanges: requests and their replies, as a JSON file holds them.

A file is `{"server", "note", "exchanges": [{"name", "request", "response"}]}`. A request has `method`, `path`, `headers`, and
a body as `json` or `text` if it has one. A response has `status`, `headers` (only those that `KEPT_HEADERS` names), and its
body as `json`, as `frames` (the objects of an NDJSON stream), or as `text` (anything else, and no body at all).
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

type BodyKind = Literal["text", "json", "frames"]

DIRECTORY = Path(os.environ.get("GOLDEN_DIR") or Path(__file__).parents[3] / "shared" / "golden")
"""Where the recordings lie; `GOLDEN_DIR` moves it."""
NEWEST = DIRECTORY / "ollama-0.33.json"
OLDER = DIRECTORY / "ollama-0.24.json"
DUE_TO_SETTINGS = frozenset({"ps GET", "ps loaded", "status"})
"""Exchanges of `NEWEST` that count as not recorded there: that Ollama could run no model, and its cloud was switched off."""
KEPT_HEADERS = ("content-type", "content-length", "transfer-encoding", "allow", "location", "vary", "access-control-")
"""Names, or beginnings of names, of the headers that a recording keeps."""
CONTEXT_KEPT = 8

_BODIES: tuple[BodyKind, ...] = ("text", "json", "frames")


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent. Without `body` there is none."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    body_is_json: bool = False


@dataclass(frozen=True, slots=True)
class Response:
    """What came. Header names are in lower case; `content` is a str, any JSON value, or a list of frames, as `kind` says."""

    status: int
    headers: Mapping[str, str]
    kind: BodyKind
    content: Any

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "")


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its reply, under a name that is unique in its recording."""

    name: str
    request: Request
    response: Response


@dataclass(frozen=True, slots=True)
class Recording:
    """A whole file."""

    server: str
    note: str
    exchanges: tuple[Exchange, ...]


def load_standard() -> Recording:
    """The requests of `OLDER` in their order, each with the response of the newest Ollama that was recorded answering.

    Raises:
        OSError: a file cannot be read.
        ValueError: a file is no recording.
    """
    older, newest = load(OLDER), load(NEWEST)
    newer = {each.name: each for each in newest.exchanges if each.name not in DUE_TO_SETTINGS}
    exchanges = tuple(newer.get(each.name, each) for each in older.exchanges)
    return Recording(f"{newest.server}, else {older.server}", older.note, exchanges)


def load(path: Path) -> Recording:
    """Read a recording.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no recording.
    """
    try:
        data = json.loads(path.read_text("utf-8"))
        exchanges = tuple(
            Exchange(each["name"], _request(each["request"]), _response(each["response"])) for each in data["exchanges"]
        )
        return Recording(data["server"], data["note"], exchanges)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a recording of exchanges ({error!r})") from None


def save(recording: Recording, path: Path) -> None:
    """Write a recording, the long `context` lists cut to `CONTEXT_KEPT` numbers."""
    exchanges = [
        {"name": each.name, "request": _request_data(each.request), "response": _response_data(each.response)}
        for each in recording.exchanges
    ]
    data = {"server": recording.server, "note": recording.note, "exchanges": exchanges}
    path.write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", "utf-8")


def _request(data: dict[str, Any]) -> Request:
    body: bytes | None = None
    if "json" in data:
        body = json.dumps(data["json"], ensure_ascii=False, separators=(",", ":")).encode()
    elif "text" in data:
        body = data["text"].encode()
    return Request(data["method"], data["path"], data.get("headers", {}), body, "json" in data)


def _response(data: dict[str, Any]) -> Response:
    kind: BodyKind = next((kind for kind in _BODIES if kind in data), "text")
    headers = {name.lower(): value for name, value in data["headers"].items()}
    return Response(data["status"], headers, kind, data.get(kind, ""))


def _request_data(request: Request) -> dict[str, Any]:
    data: dict[str, Any] = {"method": request.method, "path": request.path, "headers": dict(request.headers)}
    if request.body is not None:
        data |= {"json": json.loads(request.body)} if request.body_is_json else {"text": request.body.decode()}
    return data


def _response_data(response: Response) -> dict[str, Any]:
    headers = {name: value for name, value in response.headers.items() if name.startswith(KEPT_HEADERS)}
    return {"status": response.status, "headers": headers, response.kind: _shortened(response.content)}


def _shortened(value: Any) -> Any:
    match value:
        case dict():
            cut = {"context": value["context"][:CONTEXT_KEPT]} if isinstance(value.get("context"), list) else {}
            return {key: _shortened(item) for key, item in value.items()} | cut
        case list():
            return [_shortened(item) for item in value]
    return value
