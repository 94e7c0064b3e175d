"""A scripted coding model behind `/v1/chat/completions`: does one task with whichever tools a coding agent offers.

The task stands in the user's message as ``write TEXT into FILE and read it back``. The model calls a tool that writes the file,
then a tool that reads it, then answers with the file's name and with what the read tool has given back. So an agent passes only
if its tools have run, and if their results have come back through the proxy.

Asked for a summary, the model tells the task and the results so far, and goes on from there. A message without the task, such
as one that asks for a title, is answered with a fixed text.
"""

import itertools
import json
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from aiohttp import web

from tests.standins._thread import ThreadedServer

TASK = re.compile(r"write (?P<text>\S[^\n]*?) into (?P<file>[\w./-]+) and read it back")
DONE = "The file {file} holds: {text}"
ANSWER = "Fine."
UNREAD = "The file could not be read."

_FOLDER = re.compile(
    r"(?:working directory|current directory|in the directory|cwd)\b[^/\n\w]{0,12}(/[^\s<>\"'`,)]+)", re.IGNORECASE
)
_SUMMARISE = re.compile(r"\b(?:write|create|provide)\b[^.]{0,60}\bsummary\b", re.IGNORECASE)
_SUMMARISED = re.compile(r"^Result: ?(.*)$", re.MULTILINE)
_SHELL_NAMES = re.compile(r"bash|shell|command|exec|terminal", re.IGNORECASE)
_PATHS = ("file_path", "filePath", "filepath", "path", "absolute_path", "target_file", "file")
_CONTENTS = ("content", "contents", "new_text", "text", "file_text")
_COMMANDS = ("command", "cmd", "commands", "script")


class CodingModel(ThreadedServer):
    """An OpenAI-compatible server with one model under `/v1`.

    Args:
        model: the name of the model.
        context_length: of the model, as vLLM lists it; None lists none.
        key: the bearer token that a client must send; None lets everyone in.
        port: 0 takes a free one.

    Attributes:
        tools_called: the names of the tools that the model called, in order.
    """

    def __init__(
        self, *, model: str = "coder", context_length: int | None = 65_536, key: str | None = None, port: int = 0
    ) -> None:
        super().__init__(port=port)
        self.model = model
        self.context_length = context_length
        self.key = key
        self.tools_called: list[str] = []
        self._ids = itertools.count(1)

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes as its base URL."""
        return f"{self.url}/v1"

    def add_routes(self, app: web.Application) -> None:
        app.router.add_route("*", "/{path:.*}", self._answer)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        recorded = self._note_request(request, await request.read())
        if self.key is not None and request.headers.get("Authorization") != f"Bearer {self.key}":
            return web.json_response(
                {"error": {"message": "Incorrect API key provided.", "code": "invalid_api_key"}}, status=401
            )
        match request.method, request.path:
            case "GET", "/v1/models":
                length = {} if self.context_length is None else {"max_model_len": self.context_length}
                entry = {"id": self.model, "object": "model", "created": 1_700_000_000, "owned_by": "tests", **length}
                return web.json_response({"object": "list", "data": [entry]})
            case "POST", "/v1/chat/completions":
                return await self._complete(request, recorded.json)
        return web.json_response({"detail": "Not Found"}, status=404)

    async def _complete(self, request: web.Request, body: Mapping[str, Any]) -> web.StreamResponse:
        if body.get("model") != self.model:
            message = f"The model `{body.get('model')}` does not exist."
            return web.json_response({"error": {"message": message, "code": "model_not_found"}}, status=404)
        said = next_step(body.get("messages") or [], body.get("tools") or [])
        reply: dict[str, Any] = {"role": "assistant", "content": said}
        reason = "stop"
        if not isinstance(said, str):
            name, arguments = said
            self.tools_called.append(name)
            function = {"name": name, "arguments": json.dumps(arguments)}
            reply["content"] = None
            reply["tool_calls"] = [{"id": f"call_{next(self._ids)}", "type": "function", "function": function}]
            reason = "tool_calls"
        envelope = {"id": f"chatcmpl-{next(self._ids)}", "created": 1_700_000_000, "model": self.model}
        usage = {"prompt_tokens": 1000, "completion_tokens": 20, "total_tokens": 1020}
        if not body.get("stream"):
            choice = {"index": 0, "message": reply, "finish_reason": reason}
            return web.json_response({**envelope, "object": "chat.completion", "choices": [choice], "usage": usage})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for delta, ended in _deltas(reply, reason):
            choice = {"index": 0, "delta": delta, "finish_reason": ended}
            chunk = {**envelope, "object": "chat.completion.chunk", "choices": [choice]}
            await self.write(response, f"data: {json.dumps(chunk)}\n\n".encode())
        last = {**envelope, "object": "chat.completion.chunk", "choices": [], "usage": usage}
        await self.write(response, f"data: {json.dumps(last)}\n\ndata: [DONE]\n\n".encode())
        await response.write_eof()
        return response


def next_step(messages: list[Mapping[str, Any]], tools: list[Mapping[str, Any]]) -> str | tuple[str, dict[str, Any]]:
    """The model's answer to a conversation: a text, or the name and the arguments of a tool to call."""
    asked = [index for index, message in enumerate(messages) if message.get("role") == "user" and TASK.search(_text(message))]
    if not asked:
        return ANSWER
    task = TASK.search(_text(messages[asked[-1]]))
    assert task is not None
    text, file = task["text"], task["file"]
    # What a summary says of results that are no longer there.
    results = _SUMMARISED.findall(_text(messages[asked[-1]]))
    results += [_text(message) for message in messages[asked[-1] :] if message.get("role") == "tool"]
    if _SUMMARISE.search(_text(messages[-1])):
        return "\n".join([f"The task: {task[0]}", *(f"Result: {' '.join(each.split())}" for each in results)])
    if not tools:
        return ANSWER
    folder = _folder(messages)
    if not results:
        return write_call(tools, f"{folder}/{file}" if folder else file, text)
    if len(results) == 1:
        return read_call(tools, f"{folder}/{file}" if folder else file)
    return DONE.format(file=file, text=text) if text in results[-1] else f"{UNREAD} {results[-1]}"


def write_call(tools: list[Mapping[str, Any]], path: str, text: str) -> tuple[str, dict[str, Any]]:
    """The call that writes a file: of a tool for it, else of a shell."""
    for name, properties, required in _described(tools):
        where = next((key for key in _PATHS if key in properties), None)
        what = next((key for key in _CONTENTS if key in properties), None)
        if where and what and set(required) <= {where, what}:
            return name, {where: path, what: text + "\n"}
    return _shell(tools, f"printf '%s\\n' {shlex.quote(text)} > {shlex.quote(path)}")


def read_call(tools: list[Mapping[str, Any]], path: str) -> tuple[str, dict[str, Any]]:
    """The call that reads a file: of a tool for it, else of a shell."""
    for name, properties, required in _described(tools):
        where = next((key for key in _PATHS if key in properties), None)
        if where and re.search(r"read|view(?!_image)", name, re.IGNORECASE) and set(required) <= {where}:
            return name, {where: path}
    return _shell(tools, f"cat {shlex.quote(path)}")


def _shell(tools: list[Mapping[str, Any]], command: str) -> tuple[str, dict[str, Any]]:
    for name, properties, required in _described(tools):
        key = next((key for key in _COMMANDS if key in properties), None)
        if key is None or not _SHELL_NAMES.search(name):
            continue
        listed = _types(properties[key]) == ["array"]
        whole = ["bash", "-lc", command] if listed and key == "command" else [command]
        given: dict[str, Any] = {key: whole if listed else command}
        others: dict[str, Any] = {
            each: "Work on the file." for each in required if each != key and "string" in _types(properties[each])
        }
        others |= {each: False for each in required if each != key and "boolean" in _types(properties[each])}
        return name, given | others
    raise AssertionError(f"no tool writes, reads or runs: {[name for name, *_ in _described(tools)]}")


def _described(tools: list[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any], list[str]]]:
    for tool in tools:
        function = tool.get("function") or {}
        schema = function.get("parameters") or {}
        yield function.get("name", ""), schema.get("properties") or {}, schema.get("required") or []


def _types(schema: Mapping[str, Any]) -> list[str]:
    kind = schema.get("type", "string")
    return [kind] if isinstance(kind, str) else list(kind)


def _folder(messages: list[Mapping[str, Any]]) -> str:
    """The agent's working directory, which its prompts name."""
    found = (_FOLDER.search(_text(message)) for message in messages if message.get("role") in ("system", "developer", "user"))
    return next((match[1].rstrip("/.") for match in found if match), "")


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    return "\n".join(part.get("text", "") for part in content or ())


def _deltas(message: Mapping[str, Any], reason: str) -> Iterator[tuple[dict[str, Any], str | None]]:
    yield {"role": "assistant", "content": ""}, None
    if (text := message["content"]) is not None:
        for piece in re.findall(r"\S+\s*", text):
            yield {"content": piece}, None
    for index, call in enumerate(message.get("tool_calls") or ()):
        arguments = call["function"]["arguments"]
        yield {"tool_calls": [call | {"index": index, "function": {"name": call["function"]["name"], "arguments": ""}}]}, None
        for start in range(0, len(arguments), 16):
            yield {"tool_calls": [{"index": index, "function": {"arguments": arguments[start : start + 16]}}]}, None
    yield {}, reason
