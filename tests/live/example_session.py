"""Makes `examples/session.mitm`: `python -m tests.live.example_session`.

A few calls to a scripted back end, saved by a real mitmdump, moved to the usual port and to a date of its own.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from mitmproxy.http import HTTPFlow
from mitmproxy.io import FlowReader, FlowWriter
from mitmproxy.proxy.mode_specs import ReverseMode

from tests.live.proxy import ROOT, ProxyProcess
from tests.standins import ScriptedBackend, Sleep, Stream, finish, reasoning, role, text, tool_delta, usage

if TYPE_CHECKING:
    from tests.standins import Step

SESSION = ROOT / "examples" / "session.mitm"
SAVE = ["--set", "store_streamed_bodies=true"]
"""Without this, mitmdump saves no streamed answer."""
PORT = 11434
START = 1767348000.0
BETWEEN = 10.0
MODEL = "gpt-test"
HELLO = [{"role": "user", "content": "Hello"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city",
        "parameters": {
            "type": "object",
            "required": ["city"],
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        },
    },
}
QUESTION = [
    {"role": "system", "content": "Answer in one sentence."},
    {"role": "user", "content": "What is the weather in Paris?"},
]
GREETING: list[Step] = [text("Hello"), Sleep(0.05), text(" there"), Sleep(0.05), text("!"), finish(), usage(9, 3)]
CALL: list[Step] = [
    Sleep(0.2),
    *(reasoning("The user wants the weather,"), Sleep(0.1), reasoning(" so I ask for it."), Sleep(0.1)),
    *(tool_delta(0, name="weather", call_id="call_1", arguments=""), tool_delta(0, arguments='{"city": "Paris"}')),
    *(finish("tool_calls"), usage(71, 24)),
]
CALLS: list[tuple[str, dict[str, Any], list[Step]]] = [
    ("/api/chat", {"model": MODEL, "messages": HELLO}, GREETING),
    (
        "/api/chat",
        {"model": MODEL, "messages": QUESTION, "tools": [WEATHER], "options": {"temperature": 0, "num_gpu": 1}},
        CALL,
    ),
    ("/api/generate", {"model": MODEL, "prompt": "Say hello.", "stream": False}, [text("Hello!"), finish(), usage(4, 2)]),
    ("/api/chat", {"model": "gpt-tset", "messages": HELLO}, []),
    ("/v1/chat/completions", {"model": MODEL, "messages": HELLO, "stream": True}, GREETING),
]


def record(folder: Path) -> list[HTTPFlow]:
    """Make the calls, and return what mitmdump saved of them."""
    file = folder / "session.mitm"
    with ScriptedBackend() as backend:
        settings: dict[str, Any] = {"OPENAI_API_BASE_URL": backend.base_url}
        with ProxyProcess(door="mitmdump", arguments=["-w", str(file), *SAVE], cwd=folder, **settings) as proxy:
            for path, body, steps in CALLS:
                if steps:
                    backend.reply_with(Stream([role(), *steps]))
                headers = {"Content-Type": "application/json", "User-Agent": "curl/8.5.0"}
                httpx.post(proxy.url + path, content=json.dumps(body), headers=headers, trust_env=False)
        here, there = backend.base_url, "http://127.0.0.1:8080/v1"
    with file.open("rb") as saved:
        flows = [flow for flow in FlowReader(saved).stream() if isinstance(flow, HTTPFlow) and flow.request.method == "POST"]
    for number, flow in enumerate(flows):
        _move(flow, START + number * BETWEEN, number)
        if side := flow.metadata.get("ollama_backend"):
            side["url"] = side["url"].replace(here, there)
    return flows


def _move(flow: HTTPFlow, begin: float, number: int) -> None:
    shift = begin - flow.request.timestamp_start
    flow.timestamp_created += shift
    for each in (flow.request, flow.response, flow.client_conn, flow.server_conn):
        for name in ("start", "end", "tcp_setup"):
            if value := getattr(each, f"timestamp_{name}", None):
                setattr(each, f"timestamp_{name}", value + shift)
    flow.request.host, flow.request.port = "127.0.0.1", PORT
    flow.request.headers["Host"] = f"localhost:{PORT}"
    flow.client_conn.peername, flow.client_conn.sockname = ("127.0.0.1", 50000 + number), ("127.0.0.1", PORT)
    flow.client_conn.proxy_mode = ReverseMode.parse(f"reverse:http://127.0.0.1:{PORT}")
    flow.server_conn.address = ("127.0.0.1", PORT)


def main() -> None:
    """Write the file."""
    with tempfile.TemporaryDirectory() as folder:
        flows = record(Path(folder))
    with SESSION.open("wb") as file:
        writer = FlowWriter(file)
        for flow in flows:
            writer.add(flow)


if __name__ == "__main__":
    main()
