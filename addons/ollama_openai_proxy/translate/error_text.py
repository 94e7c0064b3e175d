"""What a back end says in an error, as one plain sentence: clients of Ollama expect text, and parse what looks like JSON."""

from __future__ import annotations

import json
import re
from typing import Any

_LONGEST = 2000
_MARKUP = re.compile(r"<[!?/a-zA-Z]")


def error_text(body: Any) -> str:
    """The message in an error's body, in whichever of the usual shapes it comes; "" where there is none."""
    match body:
        case str():
            text = body.strip()
            if text[:1] in ("{", "["):
                try:
                    return error_text(json.loads(text))
                except (ValueError, RecursionError):
                    pass
            # DashScope's texts begin with a status: `<400> InternalError`.
            return "" if _MARKUP.match(text) else text[:_LONGEST]
        case list():
            return "; ".join(filter(None, map(error_text, body)))[:_LONGEST]
        case {"loc": [_, _, *_] as place, "msg": str(text)}:
            # FastAPI names the parameter beside its message.
            return f"{'.'.join(map(str, place))}: {text}"[:_LONGEST]
        case {"message": str(text), "metadata": {"raw": raw}} if reason := error_text(raw):
            # OpenRouter puts there what the server behind it said.
            return f"{text}: {reason}"[:_LONGEST]
        case dict():
            # OpenAI's "error" and "message", FastAPI's "detail" with its "msg", others' "errors".
            for key in ("error", "message", "detail", "msg", "errors"):
                if text := error_text(body.get(key)):
                    return text
    return ""
