"""Log lines: one for each request, as text or as JSON, with the id of its request on every other one.

No line holds a key or a body: of a request there is its path without the query, of an error its kind.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from ..api.path_table import LIVE, METRICS, READY
from ..net.request_context import current_record
from .lossy_stream import lossy

if TYPE_CHECKING:
    from ..net.request_context import Record

type LogFormat = Literal["text", "json"]

access = logging.getLogger("ollama_openai_proxy.access")
"""The logger of the one line for each request."""
_LONGEST_PATH = 256
QUIET_PATHS = frozenset({LIVE, READY, METRICS})
"""What is asked every few seconds is logged at debug."""


class AccessLog:
    """Writes a line when a request has been answered."""

    def began(self, record: Record) -> None:
        """Nothing is logged before the end."""

    def ended(self, record: Record) -> None:
        """Log a request."""
        level = logging.DEBUG if record.path in QUIET_PATHS else logging.INFO
        if access.isEnabledFor(level):
            fields = access_fields(record)
            access.log(level, "%s", _as_text(fields), extra={"fields": fields})


def access_fields(record: Record) -> dict[str, Any]:
    """What the line says, in its order; what is not known is left out."""
    fields = {
        "request_id": record.request_id,
        "caller": record.caller,
        "method": record.method,
        "arrived_as": record.arrived_as if record.arrived_as != record.method else "",
        "path": record.path if len(record.path) <= _LONGEST_PATH else record.path[:_LONGEST_PATH] + "…",
        "status": record.status,
        "error": record.error,
        "model": record.model,
        "backend": record.backend,
        "fallback": record.fallback,
        "backend_ids": record.backend_ids,
        "bytes": record.bytes,
        "frames": record.frames,
        "first_part_ms": _milliseconds(record.first_part),
        "duration_ms": _milliseconds(record.duration),
        "prompt_tokens": record.prompt_tokens,
        "completion_tokens": record.completion_tokens,
        "retries": record.retries,
        "waits": record.waits,
        "heartbeats": record.heartbeats,
        "client_gone": record.gone,
    }
    always = ("status", "bytes", "duration_ms")
    return {name: value for name, value in fields.items() if value or name in always or (value == 0 and "tokens" in name)}


def set_up_logging(level: str, form: LogFormat) -> None:
    """Log to stderr; to be called once, by a process that is nothing but the proxy."""
    logging.basicConfig(level=level.upper(), handlers=[_handler(form)], force=True)


def set_up_own_logging(level: str, form: LogFormat) -> None:
    """Log what this package says to stderr, unless logging has been configured; for a process that serves other things, too."""
    package = logging.getLogger(__name__.partition(".")[0])
    if not package.hasHandlers():
        package.addHandler(_handler(form))
        package.setLevel(level.upper())


def _handler(form: LogFormat) -> logging.Handler:
    handler = logging.StreamHandler(lossy(sys.stderr))
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    return handler


class TextFormatter(logging.Formatter):
    """Time, level, message, and the id of the request that it is about."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        request_id = "" if hasattr(record, "fields") else current_record().request_id
        line = super().format(record)
        # A path or a server's message with a line break in it would make a line of its own.
        line = line if record.exc_info else _printable(line)
        return line + (f" ({request_id})" if request_id else "")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `time`, `level`, `logger`, `message`, and the fields of a request."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        if fields := getattr(record, "fields", None):
            line |= {"message": "request"} | fields
        else:
            line["message"] = record.getMessage()
            if request_id := current_record().request_id:
                line["request_id"] = request_id
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        # In ASCII: some readers of logs end a line at any of Unicode's separators.
        return json.dumps(line, default=str)


def _as_text(fields: dict[str, Any]) -> str:
    head = f"{_word(fields.get('method', '-'))} {_word(fields.get('path', '-'))} → {fields['status']}"
    rest = [f"{name}={_word(value)}" for name, value in fields.items() if name not in ("method", "path", "status")]
    return " ".join([head, *rest])


def _printable(text: str) -> str:
    """The text with its control characters, separators and lone surrogates as escapes."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def _word(value: Any) -> str:
    text = ",".join(value) if isinstance(value, list) else str(value)
    plain = text.isprintable() and " " not in text and '"' not in text
    return text if plain else json.dumps(text)


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)
