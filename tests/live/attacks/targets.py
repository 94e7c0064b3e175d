"""The proxies that are attacked, and what an attack costs them."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from tests.live.proxy import ProxyProcess
from tests.live.raw_http import exchange, post
from tests.standins import ScriptedBackend, StrictOllama

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.proxy import Door

type Mode = Literal["translate", "fix"]

KEY, OTHER_KEY = "key-of-the-tests", "another-key-of-the-tests"
BEARER, OTHER_BEARER = f"Authorization: Bearer {KEY}", f"Authorization: Bearer {OTHER_KEY}"
MIB = 1 << 20
HELLO: list[Any] = [{"role": "user", "content": "hello"}]
MODELS: dict[Mode, str] = {"translate": "gpt-test", "fix": "tiny"}
DOORS: list[Door] = ["console", "mitmdump"]
MODES: list[Mode] = ["translate", "fix"]
TARGETS = [(door, mode) for door in DOORS for mode in MODES]
NAMES = [f"{door} {mode}" for door, mode in TARGETS]

on_linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="what a process uses is read from /proc")


@dataclass(frozen=True)
class Target:
    """A proxy that is attacked.

    Attributes:
        proxy: its process.
        mode: of the proxy.
        backend: what stands behind it.
    """

    proxy: ProxyProcess
    mode: Mode
    backend: ScriptedBackend | StrictOllama

    @property
    def port(self) -> int:
        return self.proxy.port

    def chat(self, **more: Any) -> dict[str, Any]:
        """The body of a call that is answered."""
        return {"model": MODELS[self.mode], "messages": HELLO, "stream": False} | more

    def works(self) -> bool:
        """Whether a usual call is answered."""
        return exchange(self.port, post("/api/chat", self.chat(), BEARER)).status == 200


@contextmanager
def target(door: Door, mode: Mode, **settings: str) -> Iterator[Target]:
    """A proxy with one key, before a back end of its own."""
    given: dict[str, Any] = {"PROXY_API_KEYS": KEY} | settings
    if mode == "fix":
        with (
            StrictOllama() as ollama,
            ProxyProcess(door=door, PROXY_MODE="fix", OLLAMA_UPSTREAM_URL=ollama.url, **given) as proxy,
        ):
            yield Target(proxy, mode, ollama)
    else:
        with ScriptedBackend() as backend, ProxyProcess(door=door, OPENAI_API_BASE_URL=backend.base_url, **given) as proxy:
            yield Target(proxy, mode, backend)
            # What an attacker sends is not what clients send.
            backend.violations.clear()


def cpu_seconds(pid: int) -> float:
    """The CPU time that a process has used, with all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int, *, peak: bool = False) -> int:
    """The bytes of memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
    name = "VmHWM" if peak else "VmRSS"
    return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith(name))


def threads(pid: int) -> int:
    """How many threads a process has."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))
