"""Finds what a server says in an error, as one plain sentence: clients of Ollama expect text, and parse JSON."""

from __future__ import annotations

import json
import re
from typing import Any

_LONGEST = 2000
_KEYS = (
    # OpenAI; most others; AWS and Azure; FastAPI; Chinese vendors.
    *("error", "message", "Message", "detail", "msg", "Msg", "error_msg", "errorMsg", "errorMessage", "error_message"),
    # OAuth; lists of errors; Apigee; MiniMax; RFC 9457; others.
    *("error_description", "errors", "fault", "faultstring", "base_resp", "status_msg", "title", "reason", "err_msg"),
    # Volcengine, Tencent; others.
    *("Error", "ResponseMetadata", "Response", "err", "exception", "description"),
)
_MARKUP = re.compile(
    r"<(?:!doctype\b|!--|\?xml\b|(?P<tag>[a-z][\w:.-]*)(?:\s[^<>]*)?(?P<empty>/)?>)",
    re.IGNORECASE,
)
_TAGS = frozenset({"html", "head", "body", "title", "meta", "center", "h1", "h2", "p", "div", "pre", "hr", "br"})
_MARKUP_MESSAGE = re.compile(r"<(message|faultstring|msg)>([^<]*)</\1>", re.IGNORECASE)
_TITLE = re.compile(r"<(title|h1|h2)\b[^<>]*>([^<]*)</\1>", re.IGNORECASE)


def error_text(body: Any) -> str:
    """The message in an error's body, in whichever of the usual shapes it comes; "" where there is none.

    A page of HTML has none; of XML the element `Message` counts.
    """
    match body:
        case str():
            text = body.strip()
            if text[:1] in ("{", "["):
                try:
                    return error_text(json.loads(text))
                except (ValueError, RecursionError):
                    pass
            if is_markup(text):
                message = _MARKUP_MESSAGE.search(text)
                return message[2].strip()[:_LONGEST] if message else ""
            return text[:_LONGEST]
        case list():
            return "; ".join(filter(None, map(error_text, body)))[:_LONGEST]
        case {"loc": [_, _, *_] as place, "msg": str(text)}:
            # FastAPI names the parameter beside its message.
            return f"{'.'.join(map(str, place))}: {text}"[:_LONGEST]
        case {"path": [_, *_] as place, "message": str(text)}:
            return f"{'.'.join(map(str, place))}: {text}"[:_LONGEST]
        case {"message": str(text)} if (reason := _behind(body)) and reason not in text:
            return f"{text}: {reason}"[:_LONGEST]
        case {"error": str(word)} if " " not in word.strip() and (text := _text_beside_word(body)):
            return text
        case dict():
            for key in _KEYS:
                if key in body and (text := error_text(body[key])):
                    return text
    return ""


def is_markup(text: str) -> bool:
    """Whether a text is a page of HTML, or XML: begins with a tag. `<400>`, as DashScope's errors begin, is no tag."""
    text = text.lstrip()
    found = _MARKUP.match(text)
    tag = found["tag"] if found else None
    if found is None or tag is None:
        return found is not None
    return tag.lower() in _TAGS or found["empty"] is not None or f"</{tag}>" in text


def page_title(text: str) -> str:
    """The title of a page of HTML; "" where it has none."""
    found = _TITLE.search(text)
    return " ".join(found[2].split())[:_LONGEST] if found else ""


def _behind(body: dict[Any, Any]) -> str:
    """What the server behind a gateway said, or what stands in a place for something else; "" where there is nothing."""
    match body:
        case {"metadata": {"raw": raw}}:
            # OpenRouter.
            return error_text(raw)
        case {"param": str(text)} if " " in text.strip():
            # Xiaomi writes the sentence there.
            return text[:_LONGEST]
        case {"param": [dict(), *_] as errors}:
            return error_text(errors)
    for key in ("cause", "details"):
        if isinstance(told := body.get(key), str) and told.lstrip()[:1] == "{" and (inner := error_text(told)) != told.strip():
            return inner
    return ""


def _text_beside_word(body: dict[Any, Any]) -> str:
    """The sentence beside an `error` that is only a word for programs."""
    found = (
        error_text(body[key]) for key in ("message", "error_description", "detail", "msg") if isinstance(body.get(key), str)
    )
    return next((text for text in found if " " in text), "")
