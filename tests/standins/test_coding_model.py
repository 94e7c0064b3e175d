"""The scripted coding model: what it does next, and that it refuses what a real server refuses."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.standins.coding_model import ANSWER, CodingModel, next_step

TASK = {"role": "user", "content": "Please write two words into notes.txt and read it back"}
SYSTEM = {"role": "system", "content": "<cwd>/work/here</cwd>"}


def tool(name: str, *required: str, **properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return {"type": "function", "function": {"name": name, "parameters": schema}}


TEXT = {"type": "string"}
WRITE = tool("Write", "file_path", "content", file_path=TEXT, content=TEXT)
READ = tool("Read", "file_path", file_path=TEXT, offset={"type": "integer"})
SHELL = tool("exec_command", "cmd", "why", "safe", cmd=TEXT, why=TEXT, safe={"type": "boolean"})
OLD_SHELL = tool("shell", "command", command={"type": "array", "items": TEXT})
IMAGE = tool("view_image", "path", path=TEXT)
WRITTEN = {"role": "tool", "content": "ok"}


@pytest.mark.parametrize(
    ("messages", "tools", "expected"),
    [
        ([SYSTEM, TASK], [READ, WRITE], ("Write", {"file_path": "/work/here/notes.txt", "content": "two words\n"})),
        ([TASK], [WRITE], ("Write", {"file_path": "notes.txt", "content": "two words\n"})),
        ([SYSTEM, TASK, WRITTEN], [WRITE, IMAGE, READ], ("Read", {"file_path": "/work/here/notes.txt"})),
        ([TASK, WRITTEN], [IMAGE, OLD_SHELL], ("shell", {"command": ["bash", "-lc", "cat notes.txt"]})),
        ([TASK, WRITTEN, {"role": "tool", "content": "two words"}], [WRITE], "The file notes.txt holds: two words"),
        ([TASK, WRITTEN, {"role": "tool", "content": "no"}], [WRITE], "The file could not be read. no"),
        ([{"role": "user", "content": "Hello"}], [WRITE], ANSWER),
        ([TASK], [], ANSWER),
        # A conversation that was compacted.
        (
            [TASK, WRITTEN, {"role": "user", "content": "Write a summary."}],
            [],
            "The task: write two words into notes.txt and read it back\nResult: ok",
        ),
        (
            [{"role": "user", "content": "The task: write two words into notes.txt and read it back\nResult: ok"}],
            [READ],
            ("Read", {"file_path": "notes.txt"}),
        ),
    ],
)
def test_the_next_step(messages: list[Any], tools: list[Any], expected: object) -> None:
    assert next_step(messages, tools) == expected


def test_a_shell_gets_all_that_it_requires() -> None:
    arguments = {"cmd": "printf '%s\\n' 'two words' > notes.txt", "why": "Work on the file.", "safe": False}
    assert next_step([TASK], [SHELL]) == ("exec_command", arguments)


def test_a_wrong_key_a_wrong_model_and_a_wrong_path_are_refused() -> None:
    with CodingModel(key="right") as model, httpx.Client(base_url=model.base_url, trust_env=False) as client:
        assert client.get("/models").status_code == 401
        client.headers["Authorization"] = "Bearer right"
        assert client.get("/models").json()["data"][0]["max_model_len"] == 65_536
        assert client.post("/chat/completions", json={"model": "other"}).status_code == 404
        assert client.post("/responses", json={}).status_code == 404
        whole = client.post("/chat/completions", json={"model": "coder", "messages": [TASK], "tools": [WRITE]}).json()
        assert whole["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "Write"
        assert model.tools_called == ["Write"]
        streamed = client.post("/chat/completions", json={"model": "coder", "messages": [], "stream": True}).text
        assert streamed.endswith("data: [DONE]\n\n")
