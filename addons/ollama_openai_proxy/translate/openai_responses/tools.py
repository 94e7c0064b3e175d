"""The tools of a Responses request as functions, which are all that chat completions know.

A `custom` tool takes free text: it becomes a function with that text for its one parameter. A `namespace` holds tools whose
names are only its own: they get names of which it is a part. OpenAI's own tools, such as `web_search`, run on its servers and
cannot be offered. The names lead back from a call to the tool as the client knows it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ...schemas.openai_responses import ResponsesRequest, Tool
    from ..tool_names import ToolNames

type OfferedTools = Mapping[str, OfferedTool]
"""Tools by the names of their functions."""

SEARCH = "tool_search"
"""The type of the tool with which a model looks for further tools, and the name of the function in its place."""

_SEARCH_PARAMETERS = {
    "type": "object",
    "properties": {"query": {"type": "string", "description": "What the tool is to do."}, "limit": {"type": "integer"}},
    "required": ["query"],
}
_ITEMS_WITH_TOOLS = frozenset({"additional_tools", "tool_search_output"})


@dataclass(frozen=True, slots=True)
class OfferedTool:
    """A tool that the model is offered, as the client knows it.

    Attributes:
        namespace: the name of the namespace that it belongs to, or "".
    """

    tool: Tool
    namespace: str = ""

    @property
    def name(self) -> str:
        """The name within the namespace; a search for tools has none of its own."""
        return SEARCH if self.is_search else self.tool.name

    @property
    def is_search(self) -> bool:
        """Whether it looks for further tools, so that a call of it is a `tool_search_call`."""
        return self.tool.type == SEARCH

    @property
    def is_custom(self) -> bool:
        """Whether it takes free text, so that a call of it is a `custom_tool_call`."""
        return self.tool.type == "custom"

    def function(self, name: str) -> dict[str, Any]:
        """The tool as a function."""
        tool = self.tool
        function: dict[str, Any] = {"name": name}
        if description := tool.description + (_input_rule(tool) if self.is_custom else ""):
            function["description"] = description.strip()
        own = tool.parameters or _SEARCH_PARAMETERS if self.is_search else tool.parameters
        function["parameters"] = _free_text() if self.is_custom else own
        if tool.strict and not self.is_custom:
            function["strict"] = True
        return function


class ChosenTools(NamedTuple):
    """The functions that the model is offered, under the names of `offered_tools`, and the parameters that go with them."""

    functions: list[dict[str, Any]]
    parameters: dict[str, Any]


def offered_tools(asked: ResponsesRequest) -> OfferedTools:
    """The tools that can be offered; of two that get the same name the first counts."""
    offered: dict[str, OfferedTool] = {}
    later = (tool for item in asked.input if item.type in _ITEMS_WITH_TOOLS for tool in item.tools)
    for tool in (*asked.tools, *later):
        for each in _offered(tool):
            offered.setdefault(function_name(each.name, each.namespace), each)
    return offered


def chosen_tools(asked: ResponsesRequest, offered: OfferedTools, names: ToolNames) -> ChosenTools:
    """The tools, and which of them to call.

    Tools that `allowed_tools` does not name are left out: few servers know that choice.

    Raises:
        InvalidRequest: a tool must be called that is not offered.
    """
    choice = asked.tool_choice
    how: str | dict[str, Any] = choice.type
    match choice.type:
        case "auto" | "none" | "required":
            pass
        case "allowed_tools":
            how = choice.mode
            allowed = {tool.name for tool in choice.tools if tool.name}
            offered = {name: each for name, each in offered.items() if allowed & {name, each.name, each.namespace}}
        case "function" | "custom":
            name = next((name for name, each in offered.items() if choice.name in (name, each.name)), None)
            if name is None:
                raise InvalidRequest('"tool_choice" names a tool that is not among the tools.')
            how = {"type": "function", "function": {"name": names.sent(name)}}
        case _:
            raise InvalidRequest('"tool_choice" asks for one of OpenAI\'s own tools, which cannot be run here.')
    if not offered:
        if how == "required":
            raise InvalidRequest('"tool_choice" requires the call of a tool, but there is none that can be offered.')
        return ChosenTools([], {})
    parameters: dict[str, Any] = {}
    if how != "auto":
        parameters["tool_choice"] = how
    if not asked.parallel_tool_calls:
        parameters["parallel_tool_calls"] = False
    return ChosenTools([each.function(name) for name, each in offered.items()], parameters)


def function_name(name: str, namespace: str = "") -> str:
    """The name of a tool's function; a tool in a namespace has both names in it."""
    if not namespace:
        return name
    between = "" if namespace.endswith("_") or name.startswith("_") else "__"
    return namespace + between + name


def custom_input(arguments: Mapping[str, Any]) -> str:
    """The free text in the arguments of a call."""
    match arguments:
        case {"input": str(text)}:
            return text
    match list(arguments.values()):
        case [str(text)]:
            # Some models name the one parameter otherwise.
            return text
    return json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))


def _offered(tool: Tool, namespace: str = "") -> Iterator[OfferedTool]:
    match tool.type:
        case "function" | "custom":
            if not tool.name:
                raise InvalidRequest('A tool in "tools" has no name.')
            yield OfferedTool(tool, namespace)
        case "tool_search" if tool.execution == "client":
            yield OfferedTool(tool)
        case "tool_search" if tool.execution:
            raise InvalidRequest(f'tool_search execution "{tool.execution}" is not supported; use client execution')
        case "namespace":
            for each in tool.tools:
                yield from _offered(each, tool.name)


def _free_text() -> dict[str, Any]:
    text = {"type": "string", "description": "The whole input of the tool, as plain text."}
    return {"type": "object", "properties": {"input": text}, "required": ["input"], "additionalProperties": False}


def _input_rule(tool: Tool) -> str:
    """What the description says of a grammar, which chat completions cannot enforce."""
    match tool.format:
        case {"type": "grammar", "syntax": str(syntax), "definition": str(definition)}:
            return f"\n\nThe input must follow this {syntax} grammar:\n{definition}"
    return ""
