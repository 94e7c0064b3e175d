"""Two answers at the same time, each printed as it comes.

    python async_streaming.py [MODEL]

OLLAMA_HOST says where the proxy is, if not on http://127.0.0.1:11434.
"""

import asyncio
import os
import sys

from ollama import AsyncClient

model = sys.argv[1] if sys.argv[1:] else os.getenv("MODEL", "demo")


async def ask(client: AsyncClient, question: str) -> None:
    """Print each part of the answer after the question that it belongs to."""
    async for part in await client.chat(model, messages=[{"role": "user", "content": question}], stream=True):
        if part.message.content:
            print(f"{question} {part.message.content!r}", flush=True)


async def main() -> None:
    """Ask both questions through one client, which keeps its connections."""
    async with AsyncClient() as client:
        await asyncio.gather(ask(client, "Why is the sky blue?"), ask(client, "Why is grass green?"))


asyncio.run(main())
