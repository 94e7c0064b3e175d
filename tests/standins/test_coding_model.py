"""The scripted coding model: what it does next, and that it refuses what a real server refuses."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.standins.coding_model import ANSWER, REASONING_MISSING, CodingModel, Manner, Refusal, next_step

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
WHOLE_FILES = {"role": "system", "content": "Return a *file listing* of each file."}
WRITTEN = {"role": "tool", "content": "ok"}


@pytest.mark.parametrize(
    ("messages", "tools", "expected"),
    [
        ([SYSTEM, TASK], [READ, WRITE], [("Write", {"file_path": "/work/here/notes.txt", "content": "two words\n"})]),
        ([TASK], [WRITE], [("Write", {"file_path": "notes.txt", "content": "two words\n"})]),
        ([SYSTEM, TASK, WRITTEN], [WRITE, IMAGE, READ], [("Read", {"file_path": "/work/here/notes.txt"})]),
        ([TASK, WRITTEN], [IMAGE, OLD_SHELL], [("shell", {"command": ["bash", "-lc", "cat notes.txt"]})]),
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
            [("Read", {"file_path": "notes.txt"})],
        ),
        # An agent without tools that asks for whole files.
        ([WHOLE_FILES, TASK], [], "notes.txt\n```\ntwo words\n```"),
        ([WHOLE_FILES, TASK, {"role": "user", "content": "cat: two words"}], [], "The file notes.txt holds: two words"),
        ([WHOLE_FILES, TASK, {"role": "user", "content": "cat: none"}], [], "The file could not be read. cat: none"),
    ],
)
def test_the_next_step(messages: list[Any], tools: list[Any], expected: object) -> None:
    assert next_step(messages, tools) == expected


def test_a_shell_gets_all_that_it_requires() -> None:
    arguments = {"cmd": "printf '%s\\n' 'two words' > notes.txt", "why": "Work on the file.", "safe": False}
    assert next_step([TASK], [SHELL]) == [("exec_command", arguments)]


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


# -- Manners -------------------------------------------------------------------------------------------------------------


def called(*ids: str, **more: str) -> dict[str, Any]:
    return {"role": "assistant", "tool_calls": [{"id": each, "type": "function"} for each in ids], **more}


def result(call: str, content: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call, "content": content}


def test_two_files_are_written_and_read_at_once_and_results_are_told_apart_by_their_ids() -> None:
    written = [called("a", "b"), result("a", "ok"), result("b", "ok")]
    paths = ["notes.txt", "second-notes.txt"]
    writes = next_step([TASK], [WRITE, READ], parallel=True)
    assert not isinstance(writes, str)
    assert [arguments["file_path"] for _, arguments in writes] == paths
    reads = next_step([TASK, *written], [WRITE, READ], parallel=True)
    assert not isinstance(reads, str)
    assert [name for name, _ in reads] == ["Read", "Read"]
    read = [called("c", "d"), result("d", "words two"), result("c", "two words")]
    done = next_step([TASK, *written, *read], [WRITE, READ], parallel=True)
    assert done == "The file notes.txt holds: two words\nThe file second-notes.txt holds: words two"
    swapped = [called("c", "d"), result("c", "words two"), result("d", "two words")]
    assert str(next_step([TASK, *written, *swapped], [WRITE, READ], parallel=True)).startswith("The file could not be read.")


def ask(model: CodingModel, *messages: dict[str, Any], **more: Any) -> httpx.Response:
    body = {"model": "coder", "messages": [TASK, *messages], "tools": [WRITE, READ], **more}
    return httpx.post(f"{model.base_url}/chat/completions", json=body, trust_env=False)


def test_reasoning_must_come_back() -> None:
    with CodingModel() as model:
        model.begin(Manner(reasons=True))
        first = ask(model).json()["choices"][0]["message"]
        (call,) = first["tool_calls"]
        refused = ask(model, called(call["id"]), result(call["id"], "ok"))
        assert (refused.status_code, refused.json()["error"]["message"]) == (400, REASONING_MISSING)
        thought = first["reasoning_content"]
        assert ask(model, called(call["id"], reasoning_content=thought), result(call["id"], "ok")).status_code == 200
        assert (model.reasoning[0], model.reasoning_back) == (thought, [thought])


def test_calls_about_the_task_are_refused_as_often_as_is_said() -> None:
    with CodingModel() as model:
        model.begin(Manner(refusals=[Refusal(500, {"message": "no"}, times=1)]))
        assert [ask(model).status_code for _ in range(2)] == [500, 200]
        model.begin(Manner(refusals=[Refusal(401, {"message": "no"})]))
        assert [ask(model).status_code for _ in range(3)] == [401, 401, 401]
        assert model.refused == 3
        body = {"model": "coder", "messages": [{"role": "user", "content": "A title, please."}]}
        assert httpx.post(f"{model.base_url}/chat/completions", json=body, trust_env=False).status_code == 200


def test_a_conversation_can_be_too_long_until_there_is_a_summary() -> None:
    with CodingModel() as model:
        model.begin(Manner(longest=0))
        results = [called("a"), result("a", "ok")]
        assert ask(model).status_code == 200
        assert ask(model, *results).json()["error"]["code"] == "context_length_exceeded"
        assert ask(model, *results, {"role": "user", "content": "Write a summary."}).status_code == 200


@pytest.mark.parametrize("silent", ["before", "within"])
def test_only_the_first_answer_is_silent(silent: Any) -> None:
    with CodingModel() as model:
        model.begin(Manner(silence=3600, silent=silent))
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(
                f"{model.base_url}/chat/completions",
                json={"model": "coder", "messages": [TASK], "tools": [WRITE], "stream": True},
                timeout=0.5,
                trust_env=False,
            )
        assert model.wait_until_silent()
        assert (len(model.sent) > 0) == (silent == "within")
        assert model.wait_for_disconnect() is not None
        assert ask(model).status_code == 200
