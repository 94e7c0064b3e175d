"""A scripted coding model behind `/v1/chat/completions`: does one task with whichever tools a coding agent offers.

The task stands in the user's message as ``write TEXT into FILE and read it back``. The model calls a tool that writes the file,
then a tool that reads it, then answers with the file's name and with what the read tool has given back. So an agent passes only
if its tools have run, and if their results have come back through the proxy. The model writes its edits as text for an agent
without tools that asks for whole files (aider).

Asked for a summary, the model tells the task and the results so far, and goes on from there. A message without the task, such
as one that asks for a title, is answered with a fixed text.

`Manner` says what is special about a run: two calls at once, reasoning, silence, refusals.
"""

import asyncio
import itertools
import json
import re
import shlex
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

from tests.patience import PATIENCE
from tests.standins._thread import ThreadedServer

TASK = re.compile(r"write (?P<text>\S[^\n]*?) into (?P<file>[\w./-]+) and read it back")
DONE = "The file {file} holds: {text}"
ANSWER = "Fine."
UNREAD = "The file could not be read."
REASONING_MISSING = "The `reasoning_content` in the thinking mode must be passed back to the API."
"""How DeepSeek refuses a tool call without its reasoning."""

_FOLDER = re.compile(
    r"(?:working directory|current directory|in the directory|cwd)\b[^/\n\w]{0,12}(/[^\s<>\"'`,)]+)", re.IGNORECASE
)
_SUMMARISE = re.compile(r"\b(?:write|create|provide)\b[^.]{0,60}\bsummary\b", re.IGNORECASE)
_SUMMARISED = re.compile(r"^Result: ?(.*)$", re.MULTILINE)
_WHOLE_FILES = re.compile(r"\bfile listing\b", re.IGNORECASE)
_SHELL_NAMES = re.compile(r"bash|shell|command|exec|terminal", re.IGNORECASE)
_PATHS = ("file_path", "filePath", "filepath", "path", "absolute_path", "target_file", "file")
_CONTENTS = ("content", "contents", "new_text", "text", "file_text")
_COMMANDS = ("command", "cmd", "commands", "script")

type Call = tuple[str, dict[str, Any]]
"""The name and the arguments of a tool to call."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error in the place of an answer to a call about the task."""

    status: int
    error: Mapping[str, Any]
    times: int | None = None
    """How many calls are refused; None is all."""


@dataclass(slots=True)
class Manner:
    """What is special about a run.

    Attributes:
        parallel: whether two files are written by two calls of one answer, and then read by two.
        reasons: whether the model reasons before each answer, and refuses tool calls that come back without reasoning.
        silence: seconds in which nothing comes of the first answer about the task.
        silent: where the silence is: before the first byte, or within the arguments of the call.
        refusals: errors, the first of which counts until it has been given often enough.
        longest: the most results of tools that a conversation may have before it is too long; None is any number.
    """

    parallel: bool = False
    reasons: bool = False
    silence: float = 0
    silent: Literal["before", "within"] = "before"
    refusals: list[Refusal] = field(default_factory=list)
    longest: int | None = None


class CodingModel(ThreadedServer):
    """An OpenAI-compatible server with one model under `/v1`.

    Args:
        model: the name of the model.
        context_length: of the model, as vLLM lists it; None lists none.
        key: the bearer token that a client must send; None lets everyone in.
        port: 0 takes a free one.

    Attributes:
        manner: what is special about the answers from now on.
        tools_called: the names of the tools that the model called, in order.
        refused: how many calls about the task were refused.
        summaries: how many summaries were asked for.
        reasoning: what the model reasoned, in order.
        reasoning_back: the reasoning that came back with tool calls, each as often as it came.
    """

    def __init__(
        self, *, model: str = "coder", context_length: int | None = 65_536, key: str | None = None, port: int = 0
    ) -> None:
        super().__init__(port=port)
        self.model = model
        self.context_length = context_length
        self.key = key
        self._ids = itertools.count(1)
        self.begin(Manner())

    def begin(self, manner: Manner) -> None:
        """Begin a run: forget what was asked and said before."""
        self.manner = manner
        self.requests.clear()
        self.tools_called: list[str] = []
        self.refused = 0
        self.summaries = 0
        self.reasoning: list[str] = []
        self.reasoning_back: list[str] = []
        self._refusals = list(manner.refusals)
        self._was_silent = False
        self._silent = threading.Event()
        while self.wait_for_disconnect(timeout=0) is not None:
            pass

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes as its base URL."""
        return f"{self.url}/v1"

    @property
    def calls(self) -> list[Any]:
        """The bodies of the calls so far."""
        return [request.json for request in self.requests if request.path == "/v1/chat/completions" and request.body]

    def wait_until_silent(self, timeout: float = PATIENCE) -> bool:
        """Wait until the silence of the manner has begun; False when the time is up."""
        return self._silent.wait(timeout)

    def add_routes(self, app: web.Application) -> None:
        app.router.add_route("*", "/{path:.*}", self._answer)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        recorded = self._note_request(request, await request.read())
        if self.key is not None and request.headers.get("Authorization") != f"Bearer {self.key}":
            self.refused += request.path == "/v1/chat/completions"
            return _refused(401, message="Incorrect API key provided.", code="invalid_api_key")
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
            return _refused(404, message=f"The model `{body.get('model')}` does not exist.", code="model_not_found")
        messages, tools = body.get("messages") or [], body.get("tools") or []
        if refusal := self._refusal(messages):
            self.refused += 1
            return _refused(refusal.status, **refusal.error)
        self.summaries += _wants_summary(messages)
        said = next_step(messages, tools, parallel=self.manner.parallel)
        reply: dict[str, Any] = {"role": "assistant", "content": said}
        reason = "stop"
        if self.manner.reasons:
            reply["reasoning_content"] = f"This is thought number {next(self._ids)}."
            self.reasoning.append(reply["reasoning_content"])
        if not isinstance(said, str):
            self.tools_called += [name for name, _ in said]
            reply["content"] = None
            reply["tool_calls"] = [
                {
                    "id": f"call_{next(self._ids)}",
                    "type": "function",
                    "function": {"name": name, "arguments": json.dumps(arguments)},
                }
                for name, arguments in said
            ]
            reason = "tool_calls"
        return await self._send(request, body, reply, reason, silence=self._silence(messages))

    async def _send(
        self, request: web.Request, body: Mapping[str, Any], reply: dict[str, Any], reason: str, *, silence: float
    ) -> web.StreamResponse:
        envelope = {"id": f"chatcmpl-{next(self._ids)}", "created": 1_700_000_000, "model": self.model}
        usage = {"prompt_tokens": 1000, "completion_tokens": 20, "total_tokens": 1020}
        if self.manner.silent == "before" or not body.get("stream"):
            await self._be_silent(silence)
        if not body.get("stream"):
            choice = {"index": 0, "message": reply, "finish_reason": reason}
            return web.json_response({**envelope, "object": "chat.completion", "choices": [choice], "usage": usage})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        deltas = list(_deltas(reply, reason))
        for number, (delta, ended) in enumerate(deltas):
            if self.manner.silent == "within" and number == len(deltas) // 2:
                await self._be_silent(silence)
            choice = {"index": 0, "delta": delta, "finish_reason": ended}
            chunk = {**envelope, "object": "chat.completion.chunk", "choices": [choice]}
            await self.write(response, f"data: {json.dumps(chunk)}\n\n".encode())
        last = {**envelope, "object": "chat.completion.chunk", "choices": [], "usage": usage}
        await self.write(response, f"data: {json.dumps(last)}\n\ndata: [DONE]\n\n".encode())
        await response.write_eof()
        return response

    def _refusal(self, messages: list[Mapping[str, Any]]) -> Refusal | None:
        """Why a call is refused, by what was set or by a rule of the model."""
        place = _place_of_task(messages)
        if place is None:
            return None
        if self._refusals:
            refusal = self._refusals[0]
            if refusal.times is not None and self.refused + 1 >= refusal.times:
                del self._refusals[0]
            return refusal
        results = [message for message in messages[place:] if message.get("role") == "tool"]
        if self.manner.longest is not None and len(results) > self.manner.longest and not _wants_summary(messages):
            message = "This model's maximum context length is 1000 tokens. However, your messages resulted in 2000 tokens."
            error = {"message": message, "type": "invalid_request_error", "param": "messages"}
            return Refusal(400, error | {"code": "context_length_exceeded"})
        if self.manner.reasons:
            back = [message.get("reasoning_content") for message in messages[place:] if message.get("tool_calls")]
            if not all(back):
                return Refusal(400, {"message": REASONING_MISSING, "type": "invalid_request_error"})
            self.reasoning_back += map(str, back)
        return None

    def _silence(self, messages: list[Mapping[str, Any]]) -> float:
        """How long an answer is silent: only the first one about the task."""
        if self._was_silent or _place_of_task(messages) is None:
            return 0
        self._was_silent = True
        return self.manner.silence

    async def _be_silent(self, seconds: float) -> None:
        if seconds:
            self._silent.set()
            await asyncio.sleep(seconds)


def next_step(messages: list[Mapping[str, Any]], tools: list[Mapping[str, Any]], *, parallel: bool = False) -> str | list[Call]:
    """The model's answer to a conversation: a text, or the tools to call.

    Args:
        messages: of the conversation.
        tools: that the agent offers.
        parallel: whether two files are written and read at once.
    """
    place = _place_of_task(messages)
    if place is None:
        return ANSWER
    task = TASK.search(_text(messages[place]))
    assert task is not None
    files = {task["file"]: task["text"]}
    if parallel:
        files[f"second-{task['file']}"] = " ".join(reversed(task["text"].split()))
    # What a summary says of results that are no longer there.
    summarised = _SUMMARISED.findall(_text(messages[place]))
    in_text = not tools and any(_WHOLE_FILES.search(_text(message)) for message in messages)
    results = [_text(message) for message in _results(messages[place:], "user" if in_text else "tool")]
    results = [*summarised, *results]
    if _wants_summary(messages):
        return "\n".join([f"The task: {task[0]}", *(f"Result: {' '.join(each.split())}" for each in results)])
    if in_text and not results:
        return "\n\n".join(f"{file}\n```\n{text}\n```" for file, text in files.items())
    if not (tools or in_text):
        return ANSWER
    folder = _folder(messages)
    paths = {f"{folder}/{file}" if folder else file: text for file, text in files.items()}
    if not results:
        return [write_call(tools, path, text) for path, text in paths.items()]
    if len(results) <= len(files) and not in_text:
        return [read_call(tools, path) for path in paths]
    read = results[-len(files) :]
    if all(text in result for text, result in zip(files.values(), read, strict=True)):
        return "\n".join(DONE.format(file=file, text=text) for file, text in files.items())
    return f"{UNREAD} {' '.join(read)}"


def _place_of_task(messages: list[Mapping[str, Any]]) -> int | None:
    """Where the newest task stands."""
    places = (index for index, message in enumerate(messages) if message.get("role") == "user" and TASK.search(_text(message)))
    return max(places, default=None)


def _wants_summary(messages: list[Mapping[str, Any]]) -> bool:
    return bool(messages and _SUMMARISE.search(_text(messages[-1])))


def _results(messages: list[Mapping[str, Any]], role: str) -> list[Mapping[str, Any]]:
    """The results behind a task; those of tools in the order of the calls, by their ids."""
    found = [message for message in messages[1:] if message.get("role") == role]
    if role == "user":
        return found
    order = [call.get("id") for message in messages for call in message.get("tool_calls") or ()]
    return sorted(found, key=lambda it: order.index(it.get("tool_call_id")) if it.get("tool_call_id") in order else len(order))


def write_call(tools: list[Mapping[str, Any]], path: str, text: str) -> Call:
    """The call that writes a file: of a tool for it, else of a shell."""
    for name, properties, required in _described(tools):
        where = next((key for key in _PATHS if key in properties), None)
        what = next((key for key in _CONTENTS if key in properties), None)
        if where and what and set(required) <= {where, what}:
            return name, {where: path, what: text + "\n"}
    return _shell(tools, f"printf '%s\\n' {shlex.quote(text)} > {shlex.quote(path)}")


def read_call(tools: list[Mapping[str, Any]], path: str) -> Call:
    """The call that reads a file: of a tool for it, else of a shell."""
    for name, properties, required in _described(tools):
        where = next((key for key in _PATHS if key in properties), None)
        if where and re.search(r"read|view(?!_image)", name, re.IGNORECASE) and set(required) <= {where}:
            return name, {where: path}
    return _shell(tools, f"cat {shlex.quote(path)}")


def _shell(tools: list[Mapping[str, Any]], command: str) -> Call:
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
    if "reasoning_content" in message:
        yield {"reasoning_content": message["reasoning_content"]}, None
    if (text := message["content"]) is not None:
        for piece in re.findall(r"\S+\s*", text):
            yield {"content": piece}, None
    for index, call in enumerate(message.get("tool_calls") or ()):
        arguments = call["function"]["arguments"]
        yield {"tool_calls": [call | {"index": index, "function": {"name": call["function"]["name"], "arguments": ""}}]}, None
        for start in range(0, len(arguments), 16):
            yield {"tool_calls": [{"index": index, "function": {"arguments": arguments[start : start + 16]}}]}, None
    yield {}, reason


def _refused(status: int, **error: Any) -> web.Response:
    return web.json_response({"error": error}, status=status)
