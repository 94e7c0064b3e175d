"""The commands that mitmproxy's prompt and mitmweb's command bar get: read, repeat and compare the calls of a model.

A command takes flows as mitmproxy names them: `@focus`, `@marked`, a filter such as `"~comment error:"`. mitmproxy shows what
a command returns; mitmweb shows it as JSON, so there it stands in the event log as well, and nowhere else: it holds what
users said.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Sequence  # noqa: TC003  # mitmproxy reads the annotations of commands
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mitmproxy import command, ctx, exceptions, flow, http
from mitmproxy.addons.eventstore import EventStore
from mitmproxy.log import ALERT, LogEntry
from mitmproxy.utils import strutils

from ...api.path_table import API_PREFIXES
from .backend_side import BACKEND, CALL, kept
from .curl import ollama_curl, openai_curl
from .flow_comparison import Side, difference, statistics_of
from .flow_list import MARKERS
from .request_text import conversation_of, model_of, read_body
from .response_reader import read_answer
from .response_text import answer_text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

REPLAY = "ollama_replay"
"""In the metadata of a repeated call: what it repeats, in words."""
_MODEL = "model="
_KEYS = ("authorization", "x-api-key", "api-key")

logger = logging.getLogger(__name__)


def _command[**P, R](path: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """The decorator of mitmproxy, with its type."""
    decorate: Callable[[Callable[P, R]], Callable[P, R]] = command.command(path)
    return decorate


class Commands:
    """The commands, as an addon; it belongs behind the proxy's own, whose comments it completes.

    Args:
        models: asks for the names of the models.
        url: where the proxy answers, without a slash at the end.
    """

    name = "ollama_commands"

    def __init__(self, models: Callable[[], Awaitable[list[str]]], url: Callable[[], str]) -> None:
        self._models = models
        self._url = url
        self._asking: asyncio.Task[None] | None = None

    def done(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()

    def response(self, flow: http.HTTPFlow) -> None:
        """Let a repeated call say what it repeats."""
        label = flow.metadata.get(REPLAY)
        if label and label not in flow.comment:
            flow.comment = f"{label} · {flow.comment}" if flow.comment else label

    error = response

    # Their names must not shadow the modules that the annotations name, nor events of mitmproxy.

    @_command("ollama.models")
    def list_models(self) -> None:
        """List the names of the models, in the event log."""
        # A command cannot wait for a back end.
        if self._asking is None or self._asking.done():
            self._asking = asyncio.get_running_loop().create_task(self._list(), name="ollama.models")

    @_command("ollama.conversation")
    def conversation(self, flows: Sequence[flow.Flow]) -> str:
        """Show a call as a conversation: what was asked, and what was answered."""
        call = _one(flows, "ollama.conversation")
        asked = conversation_of(call.request.path, _content(call.request), call.request.method)
        answered = answer_text(_content(call.response), kept(call.metadata, CALL)) if call.response else "(no answer yet)\n"
        return self._shown(f"{asked}\n{answered}")

    @_command("ollama.curl")
    def curl(self, flows: Sequence[flow.Flow]) -> str:
        """Write a call as a curl command for this proxy. A key is taken from $OLLAMA_API_KEY."""
        call = _one(flows, "ollama.curl")
        request, content = call.request, _content(call.request)
        body = read_body(content)
        if content and body is None:
            raise exceptions.CommandError("ollama.curl writes requests whose body is a JSON object; this one has another body.")
        has_key = any(name in request.headers for name in _KEYS)
        return self._shown(ollama_curl(self._url(), request.method, request.path, body, has_key=has_key))

    @_command("ollama.openai")
    def openai(self, flows: Sequence[flow.Flow]) -> str:
        """Write the call to the back end as a curl command. The key is taken from $OPENAI_API_KEY."""
        side = kept(_one(flows, "ollama.openai").metadata, BACKEND)
        if side is None:
            raise exceptions.CommandError("This call went to no back end: there is no OpenAI call to show.")
        try:
            return self._shown(openai_curl(side))
        except ValueError as error:
            raise exceptions.CommandError(f"There is no curl command for this flow: {error}.") from None

    @_command("ollama.replay")
    def replay(self, flows: Sequence[flow.Flow], model: str) -> None:
        """Make calls again with another model: ollama.replay @focus model=llama3.2. Each result is a flow of its own."""
        name = model.removeprefix(_MODEL).strip()
        if not name:
            raise exceptions.CommandError("ollama.replay needs a model: ollama.replay @focus model=llama3.2")
        if not flows:
            raise exceptions.CommandError("ollama.replay needs a call, and no flow was chosen.")
        repeated = [self._repeated(_http(call, "ollama.replay"), name) for call in flows]
        if view := ctx.master.addons.get("view"):
            view.add(repeated)
        ctx.master.commands.call("replay.client", repeated)

    @_command("ollama.diff")
    def diff(self, flows: Sequence[flow.Flow]) -> str:
        """Show how two answers differ: mark two flows, then ollama.diff @marked."""
        calls = _chosen(flows)
        if len(calls) != 2:
            raise exceptions.CommandError(f"ollama.diff compares two flows, but {_count(len(calls))} chosen: mark two of them.")
        return self._shown(difference(*(_side(_http(call, "ollama.diff")) for call in calls)))

    @_command("ollama.stats")
    def stats(self, flows: Sequence[flow.Flow]) -> str:
        """Count requests, errors and tokens for each model, and how fast it is: ollama.stats @all."""
        return self._shown(statistics_of([info for each in flows if isinstance(each, http.HTTPFlow) and (info := _info(each))]))

    async def _list(self) -> None:
        try:
            names = await self._models()
        except Exception as error:  # whatever it is, the user is owed an answer
            logger.error("The models cannot be listed: %s", error)
        else:
            # mitmweb's event log has no alerts.
            level = logging.INFO if "web_columns" in ctx.options else ALERT
            logger.log(level, "%s: %s", "1 model" if len(names) == 1 else f"{len(names)} models", ", ".join(names) or "none")

    def _repeated(self, call: http.HTTPFlow, name: str) -> http.HTTPFlow:
        if call.request.raw_content is None:
            raise exceptions.CommandError("This request cannot be repeated: its body was not kept.")
        body = read_body(_content(call.request))
        if body is None or not model_of(body):
            raise exceptions.CommandError("This request names no model, so it cannot be repeated with another one.")
        copy: http.HTTPFlow = call.copy()
        before = model_of(body)
        body["model"] = name
        body.pop("name", None)  # which older clients send instead
        copy.request.headers.pop("content-encoding", None)
        copy.request.content = json.dumps(body).encode()
        # A flow from a file may have been for a proxy elsewhere.
        here = urlsplit(self._url())
        if here.hostname and here.scheme in ("http", "https"):
            copy.request.scheme, copy.request.host = here.scheme, here.hostname
            copy.request.port = here.port or (443 if here.scheme == "https" else 80)
            if "host" in copy.request.headers:
                copy.request.headers["host"] = here.netloc
        copy.response = copy.error = None
        copy.marked = ""
        copy.comment = f"{name} instead of {before}"
        copy.metadata = {REPLAY: copy.comment}
        return copy

    def _shown(self, text: str) -> str:
        text = strutils.escape_control_characters(text)
        events = ctx.master.addons.get("eventstore")
        if isinstance(events, EventStore):
            entry = LogEntry(text, "info")
            events.data.append(entry)
            events.sig_add.send(entry)
        return text


def _chosen(flows: Sequence[flow.Flow]) -> Sequence[flow.Flow]:
    """The flows that the user chose; `@marked` has also those that the proxy marked."""
    if len(flows) <= 2:
        return flows
    own = [each for each in flows if each.marked and each.marked not in MARKERS]
    return own or flows


def _one(flows: Sequence[flow.Flow], name: str) -> http.HTTPFlow:
    if len(flows) != 1:
        flows = _chosen(flows) if len(flows) > 2 else [each for each in flows if each.marked not in MARKERS]
    if len(flows) != 1:
        raise exceptions.CommandError(f"{name} takes one flow, but {_count(len(flows))} chosen.")
    return _http(flows[0], name)


def _http(chosen: flow.Flow, name: str) -> http.HTTPFlow:
    if isinstance(chosen, http.HTTPFlow) and str(chosen.request.path).startswith(API_PREFIXES):
        return chosen
    raise exceptions.CommandError(f"{name} is for calls of the Ollama API or the OpenAI API, which this flow is not.")


def _count(number: int) -> str:
    return {0: "none was", 1: "one was"}.get(number, f"{number} were")


def _content(message: http.Message) -> bytes:
    return message.get_content(strict=False) or b""


def _side(call: http.HTTPFlow) -> Side:
    if call.response is None:
        raise exceptions.CommandError("ollama.diff compares answers, and one of the two flows has none.")
    info = _info(call) or {}
    asked_at = time.strftime("%H:%M:%S", time.localtime(call.request.timestamp_start))
    title = f"{info.get('model') or '(no model)'}  {call.request.method} {call.request.path}  at {asked_at}"
    return Side(title, _content(call.response), info)


def _info(call: http.HTTPFlow) -> dict[str, Any] | None:
    """What the proxy counted; of a flow that another program saved, what shows in it. None for other traffic."""
    if (info := kept(call.metadata, CALL)) is not None:
        return info
    if not call.request.path.startswith(API_PREFIXES):
        return None
    prompt, completion = read_answer(_content(call.response)).counters.tokens.told if call.response else (0, 0)
    failed = call.error is not None or (call.response is not None and call.response.status_code >= HTTPStatus.BAD_REQUEST)
    return {
        "model": model_of(read_body(_content(call.request)) or {}),
        "prompt_tokens": prompt or None,
        "completion_tokens": completion or None,
        "error": "failed" if failed else "",
    }
