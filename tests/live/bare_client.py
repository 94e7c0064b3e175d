"""A client that adds nothing of its own to a call, and what the clients' tests send with it and answer to it."""

from __future__ import annotations

import base64
import http.client
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.patience import PATIENCE
from tests.standins import ScriptedBackend, finish, role, text, tool_delta, usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.standins import Step

KEY = "the-proxys-own-key"
HELLO = [{"role": "user", "content": "hello"}]
SAID = "Hello world!"
PLAIN = {"model": "gpt-test", "messages": HELLO, "stream": True, "stream_options": {"include_usage": True}}
"""What the back end is asked when a client leaves everything open."""
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(8)).decode()
JSON = {"Content-Type": "application/json"}
NDJSON = "application/x-ndjson"
GO = {"User-Agent": "ollama/0.0.0 (amd64 linux) Go/go1.26.8", "Accept": NDJSON, "Accept-Encoding": "gzip", **JSON}
UPGRADE = {
    "Connection": "Upgrade, HTTP2-Settings",
    "Upgrade": "h2c",
    "HTTP2-Settings": "AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
    "User-Agent": "Java-http-client/21.0.2",
}
CHAT = {"model": "gpt-test", "messages": HELLO}
GENERATE = {"model": "gpt-test", "prompt": "hello"}
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "weather", "description": "d", "parameters": PARAMETERS}}
ARGUMENTS = {"city": "Rome"}
FUNCTION = {"name": "weather", "arguments": ARGUMENTS}
CALL: list[Step] = [role(), tool_delta(0, "call_1", "weather", '{"city":"Rome"}'), finish("tool_calls"), usage(7, 2)]
ANSWER: list[Step] = [role(), text("It is "), text("sunny."), finish(), usage(9, 2)]


def asked(backend: ScriptedBackend) -> Any:
    """The body of the last call to a model."""
    return next(request.json for request in reversed(backend.requests) if request.method == "POST")


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def frames(self) -> list[Any]:
        assert self.status == 200, self.body
        assert self.headers["Content-Type"] == NDJSON
        assert self.body.endswith(b"\n")
        return [json.loads(line) for line in self.body.removesuffix(b"\n").split(b"\n")]

    @property
    def said(self) -> str:
        """The text of an answer, streamed or whole."""
        frames = self.frames if self.headers["Content-Type"] == NDJSON else [self.json]
        assert self.status == 200, frames
        assert [frame["done"] for frame in frames] == [False] * (len(frames) - 1) + [True]
        return "".join(frame["message"]["content"] if "message" in frame else frame["response"] for frame in frames)


def send(
    url: str, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None, *, chunked: bool = False
) -> Answer:
    """Make one call with these headers and no others but `Host` and the body's framing; a body that is no bytes is JSON."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=PATIENCE)
    try:
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        if chunked:
            connection.putheader("Transfer-Encoding", "chunked")
        elif content is not None:
            connection.putheader("Content-Length", str(len(content)))
        connection.endheaders(iter([content[:5], content[5:]]) if chunked and content else content, encode_chunked=chunked)
        response = connection.getresponse()
        assert response.version == 11
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()
