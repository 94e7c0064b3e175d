"""Reads the errors of servers: also those that look like answers, and in whatever words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import BackendError
from ..context_overflow import OVERFLOW_CODES, says_overflow
from ..error_text import error_text, is_markup, page_title
from ..not_found import MISSING, names_missing_route

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NOT_UNDERSTOOD = "the back end sent an answer that cannot be understood"
_LONGEST_QUOTE = 300

_CODE_KEYS = ("code", "status_code", "statusCode", "error_code", "errorCode", "errcode", "http_code", "status")
_CHUNK_KEYS = frozenset({"id", "object", "created", "model", "choices", "usage", "system_fingerprint", "service_tier"})
"""What a chunk has that tells nothing but the usage."""
_FINE = frozenset({"", "0", "200", "20000", "success", "ok", "none", "null", "true"})
_FAILED_STATUS = frozenset({"error", "failed", "failure", "fail"})
_UNDER_WAY = frozenset(
    ["accepted", "in_progress", "loading", "pending", "processing", "queued", "running", "started", "starting", "waiting"]
)
_NUMBER = re.compile(r"(?<![\w.<-])(?:\d{1,3}(?:[,_]\d{3})+|\d{3,})(?![\w-])")
_MAXIMUM = re.compile(
    r"(?:max\w{0,6}|context|limit\w{0,4}|window|allowed|less\sthan|only|<=?|of)[^\d.;]{0,40}?(\d[\d,_]{0,19})|(?<![\d,_])(\d[\d,_]{0,19})\s(?:tokens?\s)?max",
    re.IGNORECASE,
)
_BY_WORDS = (
    (re.compile(r"rate[\s_-]?limit|too\smany\srequests|throttl|\bqps\b|\btpm\b|\brpm\b", re.IGNORECASE), 429),
    (re.compile(r"insufficient\W?(?:balance|quota|credit|funds)|billing|arrears|payment", re.IGNORECASE), 402),
    (re.compile(r"overload|unavailable|\bbusy\b|no\savailable|at\scapacity", re.IGNORECASE), 503),
    (re.compile(r"unauthori[sz]ed|invalid[\s_]api[\s_]key|authentication", re.IGNORECASE), 401),
    (re.compile(r"model[\s_]not[\s_]found|model\b.{0,80}\bdoes\snot\sexist", re.IGNORECASE), 404),
    (re.compile(r"invalid[\s_]?(?:request|parameter|argument)|bad[\s_]?request", re.IGNORECASE), 400),
)


@dataclass(frozen=True, slots=True)
class ModelNames:
    """How a model is called on both sides, so that errors name the model as the client wrote it.

    Attributes:
        client: as the client wrote it.
        server: as the server was told.
    """

    client: str = ""
    server: str = ""

    def put_right(self, text: str) -> str:
        """The text with the client's name in place of the server's."""
        if not (self.client and self.server) or self.client == self.server:
            return text
        return re.sub(rf"(?<![\w./:-]){re.escape(self.server)}(?![\w/-]|[.:]\w)", lambda _: self.client, text)


def error_in_chunk(chunk: Mapping[str, Any], choice: Mapping[str, Any] | None) -> Any:
    """The part of a chunk, or of a whole answer, that is an error; None where there is none.

    Whatever has no choices and carries a message, or a code other than 0 or 200, is an error.

    Args:
        chunk: what the server sent.
        choice: the choice of the answer in it, if there is one.
    """
    for place in (chunk, choice):
        if place is not None and _tells(error := place.get("error")):
            # A gateway may put the message beside a mere word or flag.
            return error if isinstance(error, dict) or place is choice else chunk
    base = chunk.get("base_resp")
    if isinstance(base, dict) and not _is_fine(base.get("status_code")):
        return chunk
    if choice is not None or chunk.get("choices"):
        return None
    if chunk.get("object") == "error" or chunk.get("type") == "error":
        return chunk
    if chunk.keys() <= _CHUNK_KEYS:
        return None
    codes = [str(chunk[key]).lower() for key in _CODE_KEYS if _is_word(chunk.get(key))]
    # The word under `status` may tell of progress.
    status = chunk.get("status")
    if isinstance(status, str) and status.lower() not in _FAILED_STATUS and not status.isdecimal():
        codes.remove(status.lower())
        if status.lower() in _UNDER_WAY and not codes:
            return None
    failed = any(code not in _FINE for code in codes) or chunk.get("success") is False
    told_fine = codes or isinstance(base, dict)
    return chunk if failed or (error_text(chunk) and not told_fine) else None


def server_error(error: Any, names: ModelNames, *, status: int = 0, headers: Mapping[str, str] | None = None) -> BackendError:
    """The error for the client.

    Args:
        error: a body, or a part of one, in any shape.
        names: of the model.
        status: with which it came; 0 for an error in a stream, or in an answer with status 200.
        headers: further headers of the reply.
    """
    text = error_text(error)
    if not text and isinstance(error, str) and is_markup(error):
        title = page_title(error)
        text = f"the back end sent a web page: {title}" if title else "the back end sent a web page instead of an answer"
    places = list(_objects(error))
    code, kind, param = (_first(places, keys) for keys in (_CODE_KEYS[:-1], ("type", "status"), ("param",)))
    if status in MISSING and (status != 404 or names_missing_route(error)):
        # A client of Ollama takes a 404 for a model that is not there.
        status, text = 501, f"the back end has no such call: it answered {status}" + (f" ({text})" if text else "")
    elif not 400 <= status <= 599:
        status = _status(places, text, f"{code} {kind}")
    text = text or "the back end reported an error"
    if (told := _overflow(places, text, code, kind)) is not None:
        return BackendError(
            400,
            names.put_right(told),
            headers,
            kind="context_overflow",
            code=code if isinstance(code, str) and not code.isdecimal() else "context_length_exceeded",
            error_type="invalid_request_error",
            param=_string(param),
        )
    return BackendError(
        status,
        names.put_right(text),
        headers,
        kind="backend_refused" if status < 500 else "",
        code=code,
        error_type=str(kind or ""),
        param=_string(param),
    )


def not_understood(said: str, names: ModelNames) -> BackendError:
    """The error for a body that is no answer.

    Args:
        said: what the body says, as far as it is text.
        names: of the model.
    """
    said = said.strip()
    if is_markup(said):
        return server_error(said, names, status=502)
    quote = error_text(said)[:_LONGEST_QUOTE]
    return BackendError(502, names.put_right(f"{NOT_UNDERSTOOD}: {quote}" if quote else NOT_UNDERSTOOD))


def _tells(error: Any) -> bool:
    if isinstance(error, dict):
        return bool(error_text(error)) or any(not _is_fine(error.get(key)) for key in ("code", "type", "status"))
    return bool(error)


def _is_word(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _is_fine(code: Any) -> bool:
    return code is None or (_is_word(code) and str(code).lower() in _FINE)


def _objects(error: Any) -> Iterator[Mapping[str, Any]]:
    """The objects of an error, from the inside out: the inner one has the details."""
    if isinstance(error, list):
        for each in error[:1]:
            yield from _objects(each)
    elif isinstance(error, dict):
        for key in ("error", "base_resp", "fault"):
            yield from _objects(error.get(key))
        if isinstance(errors := error.get("errors"), list):
            yield from _objects(errors)
        yield error


def _first(places: list[Mapping[str, Any]], keys: tuple[str, ...]) -> str | int | None:
    for place in places:
        for key in keys:
            value = place.get(key)
            if isinstance(value, str | int) and not isinstance(value, bool) and value not in ("", "error"):
                return value
    return None


def _string(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _status(places: list[Mapping[str, Any]], text: str, words: str) -> int:
    for place in places:
        for key in _CODE_KEYS:
            value = place.get(key)
            number = int(str(value)) if _is_word(value) and str(value).isdecimal() and len(str(value)) == 3 else 0
            if 400 <= number <= 599:
                return number
    said = f"{words} {text}"
    return next((status for pattern, status in _BY_WORDS if pattern.search(said)), 500)


def _overflow(places: list[Mapping[str, Any]], text: str, code: object, kind: object) -> str | None:
    """What to say of a prompt that is too long for the model, in words that clients look for; None for another error.

    Claude Code compacts the conversation at "prompt is too long", and reads the two numbers.
    """
    named = str(code).lower() in OVERFLOW_CODES or str(kind).lower() in OVERFLOW_CODES
    if not (named or says_overflow(text)):
        return None
    if text.lower().startswith("prompt is too long"):
        return text
    given = next(((p["n_prompt_tokens"], p["n_ctx"]) for p in places if {"n_prompt_tokens", "n_ctx"} <= p.keys()), None)
    tokens, maximum = given or _numbers(text)
    if not (isinstance(tokens, int) and isinstance(maximum, int) and tokens > maximum > 0):
        return f"prompt is too long: {text}"
    return f"prompt is too long: {tokens} tokens > {maximum} maximum. {text}"


def _numbers(text: str) -> tuple[int, int]:
    """The tokens of a prompt and the most that the model takes; 0 for what the text does not say."""
    numbers = sorted({_number(found) for found in _NUMBER.findall(text)}, reverse=True)
    if len(numbers) < 2:
        return 0, 0
    stated = [_number(before or behind) for before, behind in _MAXIMUM.findall(text)]
    maximum = next((number for number in stated if number in numbers[1:]), numbers[1])
    return numbers[0], maximum


def _number(text: str) -> int:
    return int(text.replace(",", "").replace("_", ""))
