"""Tool calls get the names by which the client knows the tools."""

from typing import Any

from ollama_openai_proxy.translate.renamed_calls import RenamingReader
from ollama_openai_proxy.translate.tool_names import ToolNames


def chunk(**delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta}]}


def test_a_call_has_the_clients_name() -> None:
    names = ToolNames(["files.read"])
    reader = RenamingReader(original_tool_name=names.original)
    assert reader.feed(chunk(content="a")) is not None
    function = {"name": names.sent("files.read"), "arguments": "{}"}
    reader.feed(chunk(tool_calls=[{"index": 0, "id": "1", "function": function}]))
    ended = reader.finish()
    assert ended is not None
    assert ended.tool_calls[0]["function"]["name"] == "files.read"
    assert ended.tool_calls[0]["id"] == "1"
