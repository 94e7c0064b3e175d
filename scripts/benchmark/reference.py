"""What the proxy is compared with: the same translation as one would write it first, with Starlette and the typed SDK.

It serves `/api/version` and `/api/chat` from the OpenAI-compatible server that OPENAI_API_BASE_URL names, on PROXY_PORT. It is
no product: of the Ollama API it knows only what the benchmark asks.
"""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import uvicorn
from openai import APIConnectionError, APIStatusError, AsyncOpenAI
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from openai import AsyncStream
    from openai.types import CompletionUsage
    from openai.types.chat import ChatCompletionChunk
    from starlette.requests import Request

client = AsyncOpenAI(base_url=os.environ["OPENAI_API_BASE_URL"], api_key=os.environ.get("OPENAI_API_KEY", "none"))


async def version(_: Request) -> Response:
    """`/api/version`."""
    return JSONResponse({"version": "0.24.0"})


async def chat(request: Request) -> Response:
    """`/api/chat`."""
    started = time.perf_counter_ns()
    asked = await request.json()
    try:
        if asked.get("stream") is False:
            completion = await client.chat.completions.create(model=asked["model"], messages=asked["messages"])
            choice = completion.choices[0]
            whole = _frame(asked["model"], choice.message.content or "", done=True)
            return JSONResponse(whole | _counters(started, started, choice.finish_reason, completion.usage))
        stream = await client.chat.completions.create(
            model=asked["model"], messages=asked["messages"], stream=True, stream_options={"include_usage": True}
        )
    except APIStatusError as error:
        return JSONResponse({"error": error.message}, error.status_code)
    except APIConnectionError as error:
        return JSONResponse({"error": error.message}, 502)
    return StreamingResponse(_frames(asked["model"], stream, started), media_type="application/x-ndjson")


async def _frames(model: str, stream: AsyncStream[ChatCompletionChunk], started: int) -> AsyncIterator[str]:
    finish_reason: str | None = None
    usage: CompletionUsage | None = None
    first = 0
    async with stream:
        async for chunk in stream:
            if chunk.usage:
                usage = chunk.usage
            if not chunk.choices:
                continue
            choice = chunk.choices[0]
            finish_reason = choice.finish_reason or finish_reason
            if choice.delta.content:
                first = first or time.perf_counter_ns()
                yield json.dumps(_frame(model, choice.delta.content, done=False)) + "\n"
    last = _frame(model, "", done=True) | _counters(started, first or started, finish_reason, usage)
    yield json.dumps(last) + "\n"


def _frame(model: str, content: str, *, done: bool) -> dict[str, Any]:
    created_at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return {"model": model, "created_at": created_at, "message": {"role": "assistant", "content": content}, "done": done}


def _counters(started: int, first: int, finish_reason: str | None, usage: CompletionUsage | None) -> dict[str, Any]:
    ended = time.perf_counter_ns()
    return {
        "done_reason": "length" if finish_reason == "length" else "stop",
        "total_duration": ended - started,
        "load_duration": 1,
        "prompt_eval_count": usage.prompt_tokens if usage else 1,
        "prompt_eval_duration": first - started,
        "eval_count": usage.completion_tokens if usage else 1,
        "eval_duration": ended - first,
    }


app = Starlette(routes=[Route("/api/version", version), Route("/api/chat", chat, methods=["POST"])])

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PROXY_PORT"]))
