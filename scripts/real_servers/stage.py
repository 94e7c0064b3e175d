"""A server, the relay, and the proxy in front of them, with the official SDKs."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from anthropic import Anthropic
from ollama import Client
from openai import OpenAI

from scripts.real_servers.programs import KEY
from scripts.real_servers.relay import Relay
from scripts.real_servers.running import running
from tests.live.proxy import ProxyProcess
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.real_servers.programs import Kind, Program
    from scripts.real_servers.running import ServerProcess


@dataclass(frozen=True, slots=True)
class Sdks:
    """The official SDKs, all with one proxy."""

    ollama: Client
    openai: OpenAI
    anthropic: Anthropic


@dataclass(frozen=True, slots=True)
class Stage:
    """All that a scenario needs."""

    program: Program
    kind: Kind
    server: ServerProcess
    relay: Relay
    proxy: ProxyProcess
    sdks: Sdks

    @contextmanager
    def proxy_with_key(self, key: str) -> Iterator[Sdks]:
        """The SDKs with another proxy, which has another key for the server."""
        with (
            tempfile.TemporaryDirectory() as folder,
            _proxy(self.server.base_url, key, folder) as proxy,
            _sdks(proxy.url) as sdks,
        ):
            yield sdks


@contextmanager
def stage(program: Program, kind: Kind) -> Iterator[Stage]:
    """Start everything.

    Raises:
        Unavailable: the server cannot be installed, or does not start.
    """
    with (
        running(program, kind) as server,
        Relay(server.base_url) as relay,
        tempfile.TemporaryDirectory() as folder,
        _proxy(relay.base_url, KEY, folder) as proxy,
        _sdks(proxy.url) as sdks,
    ):
        yield Stage(program, kind, server, relay, proxy, sdks)


def _proxy(base_url: str, key: str, folder: str) -> ProxyProcess:
    return ProxyProcess(cwd=Path(folder), OPENAI_API_BASE_URL=base_url, OPENAI_API_KEY=key)


@contextmanager
def _sdks(url: str) -> Iterator[Sdks]:
    with (
        OpenAI(base_url=f"{url}/v1", api_key="any", timeout=PATIENCE, max_retries=0) as openai,
        Anthropic(base_url=url, api_key="any", timeout=PATIENCE, max_retries=0) as anthropic,
    ):
        ollama = Client(url, timeout=PATIENCE)
        try:
            yield Sdks(ollama, openai, anthropic)
        finally:
            ollama.close()
