"""Invent tools, calls of them, and what the tools return."""

from __future__ import annotations

import json
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .invention import Invention

type Message = dict[str, Any]
type Tool = dict[str, Any]


def to_json(value: object) -> str:
    """Return JSON as llama.cpp's template engine writes it."""
    return json.dumps(value, ensure_ascii=False)


def call_text(call: Message) -> str:
    """Return a tool call as the model writes it."""
    function = call["function"]
    return f'<tool_call>\n{{"name": "{function["name"]}", "arguments": {to_json(function["arguments"])}}}\n</tool_call>'


def name_of(tool: Tool) -> str:
    """Return the name of a tool, or of the tool that a call calls."""
    name: str = tool["function"]["name"]
    return name


def tool(name: str, parameters: Mapping[str, str | dict[str, Any]] = MappingProxyType({})) -> Tool:
    """Return a tool's description; a parameter is a schema or a type's name."""
    properties = {key: {"type": schema} if isinstance(schema, str) else schema for key, schema in parameters.items()}
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "parameters": schema}}


def called(tool: Tool, text: str, numbers: tuple[int, ...] = ()) -> Message:
    """Return a call: the text for each string, the numbers in their order, and a default for everything else."""
    arguments: dict[str, Any] = {}
    left = list(numbers)
    for name, schema in tool["function"]["parameters"]["properties"].items():
        match schema["type"]:
            case "string":
                arguments[name] = schema["enum"][0] if "enum" in schema else text
            case "integer" | "number":
                arguments[name] = left.pop(0) if left else 1
            case "boolean":
                arguments[name] = True
            case "array":
                arguments[name] = []
            case _:
                arguments[name] = {}
    return {"type": "function", "function": {"name": name_of(tool), "arguments": arguments}}


def report(calls: list[Message], texts: list[str]) -> str:
    """Return what the model says when calls have returned texts."""
    places = [next(iter(call["function"]["arguments"].values()), None) for call in calls]
    weather = (re.search("weather|temperature|forecast|conditions", name_of(call), re.IGNORECASE) for call in calls)
    if all(weather) and all(isinstance(place, str) for place in places):
        return "\n".join(f"In {place}: {text}" for place, text in zip(places, texts, strict=True))
    return "\n".join(f"The result: {text}" for text in texts)


class Tools:
    """An endless supply of tools and results."""

    def __init__(self, invention: Invention) -> None:
        self._invention = invention
        self._words: dict[str, list[str]] = invention.corpus["tools"]

    def known(self, kind: str) -> str:
        """Return one of the corpus's words of a kind."""
        return self._invention.chance.choice(self._words[kind])

    def weather(self) -> Tool:
        """Return a tool that tells the weather in a place."""
        chance, happens = self._invention.chance, self._invention.happens
        words = [
            chance.choice(("", "get", "get", "get", "fetch", "check", "lookup", "query")),
            chance.choice(("", "", "current")),
        ]
        name = self._join(*filter(None, words), *self.known("weather").split("_"))
        if happens(0.1):
            name = chance.choice(
                (f"{name}_for_city", f"{name}_in_city", f"mcp__weather__{name}", f"{name}_now", f"{name}ByCity")
            )
        parameters: dict[str, str | dict[str, Any]] = {
            self._invention.word() if happens(0.15) else self.known("place"): "string"
        }
        if happens(0.2):
            key, *values = self.known("unit").split("=") if happens(0.8) else (self._invention.word() for _ in range(3))
            parameters[key] = {"type": "string", "enum": values}
        if happens(0.1):
            parameters[chance.choice(("days", "hours", "detail"))] = chance.choice(("integer", "number", "boolean"))
        return tool(name, parameters)

    def other(self) -> Tool:
        """Return a tool for something else."""
        chance, happens, invented = self._invention.chance, self._invention.happens, self._invention.word
        words = [self.known("verb") if happens(0.7) else invented(), self.known("noun") if happens(0.7) else invented()]
        if happens(0.2):
            words.append(invented())
        if happens(0.25):
            words = [invented() if happens(0.3) else self.known("short")]
        parameters: dict[str, str | dict[str, Any]] = {}
        for _ in range(chance.choice((0, 1, 1, 1, 2, 2, 3))):
            parameter = self.known("parameter") if happens(0.7) else self._join(invented(), self.known("parameter"))
            parameters[parameter] = (
                {"type": "string", "enum": [invented(), invented()]} if happens(0.07) else self.known("type")
            )
        return tool(self._join(*words), parameters)

    def among(self, wanted: Tool) -> list[Tool]:
        """Return a list of tools with the wanted one in it."""
        tools = [wanted, *(self.other() for _ in range(self._invention.chance.choice((0, 0, 0, 1, 1, 2, 3, 4))))]
        self._invention.chance.shuffle(tools)
        return tools

    def any(self, avoid: str = "") -> list[Tool]:
        """Return a list of any tools, none of which has the word `avoid` in its name."""
        tools = [
            self.weather() if self._invention.happens(0.4) else self.other()
            for _ in range(self._invention.chance.choice((1, 1, 2, 3, 4)))
        ]
        return [each for each in tools if not avoid or avoid not in name_of(each).lower()]

    def result(self) -> str:
        """Return the text of a tool's result."""
        chance = self._invention.chance
        if self._invention.happens(0.25):
            words = (
                self._invention.word() if self._invention.happens(0.5) else str(chance.randint(0, 99))
                for _ in range(chance.randint(1, 6))
            )
            return " ".join(words)
        if self._invention.happens(0.1):
            return "\n".join(f"{name_of(self.other())}.md" for _ in range(chance.randint(2, 8)))
        return self.known("result").format(chance.randint(0, 39))

    def _join(self, *words: str) -> str:
        """Join words as programmers do, mostly with underscores."""
        style = self._invention.chance.random()
        if style < 0.75:
            return "_".join(words)
        if style < 0.9:
            return words[0] + "".join(word.capitalize() for word in words[1:])
        return "-".join(words) if style < 0.95 else "".join(word.capitalize() for word in words)
