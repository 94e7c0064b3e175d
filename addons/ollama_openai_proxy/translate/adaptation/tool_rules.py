"""The rule for tools whose schemas a server refuses, and the change that it asks for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ..simple_schemas import simplified_parameters
from .changes import Call, Change, Kind
from .finding import Finding

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from .finding import Sent
    from .refusal_text import RefusalText

_OF_TOOLS = re.compile(
    # OpenAI; Gemini; Anthropic and Bedrock; Moonshot; llama.cpp, which makes a grammar of the schemas.
    r"schema for function|function_declarations|input_?schema|tools?\W{0,3}\d\W{0,3}|tools?\.function|function\.parameters"
    r"|schema[^\n]{0,60}\b(?:tools?|functions?)\b|\b(?:tools?|functions?)\b[^\n]{0,60}(?:schema|parameters)"
    r"|json schema conversion|(?:parse|compile|generate|convert)[^\n]{0,30}(?:grammar|parser)",
    re.IGNORECASE,
)
_OF_NAMES = re.compile(r"function name|\.name\b|tool name", re.IGNORECASE)
_BAD_SCHEMA = re.compile(
    r"schema|\btypes?\b|\bitems\b|propert|Unknown name|predicate|\$ref|anyOf|oneOf|grammar|parser|parameters", re.IGNORECASE
)
_REFUSES = re.compile(
    r"invalid|not (?:a )?valid|missing|must|unsupported|not (?:supported|permitted|allowed)|fail|cannot|can not|unable|unknown"
    r"|unrecognized|incorrect|expected|unresolv|illegal",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class SimpleToolSchemas(Change):
    """Says the schemas of tools in the words that the strictest servers know."""

    kind: ClassVar[Kind] = "rebuild"
    order: ClassVar[int] = 3

    @property
    def key(self) -> Hashable:
        """There is one such change."""
        return "tool schemas"

    def apply(self, call: Call) -> Call:
        """Simplify the schema of each tool."""
        tools = call.parameters.get("tools")
        return call.with_parameters(tools=[_simple(tool) for tool in tools]) if isinstance(tools, list) else call

    def describe(self) -> str:
        """Say what becomes of the schemas."""
        return "the schemas of tools are simplified"


def simplify_tools(refusal: RefusalText, sent: Sent) -> Iterator[Finding]:
    """Simplify the schemas of tools."""
    text = refusal.text
    if not sent.get("tools") or _OF_NAMES.search(text) or ("response_format" in sent and "response_format" in text):
        return
    named = refusal.param == "tools" and refusal.path != "tools"
    if (named or _OF_TOOLS.search(text)) and _BAD_SCHEMA.search(text) and _REFUSES.search(text):
        yield Finding(SimpleToolSchemas(), "" if named else text)


def _simple(tool: object) -> object:
    match tool:
        case {"function": {"parameters": dict(parameters), **function}, **rest}:
            return {**rest, "function": {**function, "parameters": simplified_parameters(parameters)}}
    return tool
