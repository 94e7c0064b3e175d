"""The clients, their locked packages, and the scenarios for them."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from scripts.locked_npm import find_command
from scripts.locked_packages import ROOT
from scripts.package_sets import PackageSet

if TYPE_CHECKING:
    from collections.abc import Iterable

LOCKS = ROOT / "requirements" / "compat"
CACHE = ROOT / ".cache" / "compat"
SCENARIOS = Path(__file__).parent / "scenarios"

type Table = Literal["python", "javascript", "clients"]


@dataclass(frozen=True, slots=True)
class Environment:
    """A client in one version, and the scenarios for it.

    Attributes:
        name: what the command line calls it.
        table: where it has a column.
        script: plays its scenarios.
        locked: its packages, the client's first.
        head: what stands at the head of the column.
        way: the argument of a script that knows several ways to call the client.
    """

    name: str
    table: Table
    script: str
    locked: PackageSet
    head: str
    way: str = ""

    @property
    def version(self) -> str:
        """The client's version, as it is locked."""
        return self.locked.version

    def install(self) -> list[str]:
        """Install the packages, unless that has been done; return the command that plays the scenarios.

        Raises:
            Unavailable: the packages cannot be installed here.
        """
        place = CACHE / self.locked.name
        commands = self.locked.install(place)
        if not self.locked.npm:
            return [str(commands / "python"), str(SCENARIOS / self.script)]
        # Node looks for packages beside the script.
        for name in ("scenario.mjs", self.script):
            shutil.copyfile(SCENARIOS / name, place / name)
        return [find_command("node"), str(place / self.script)]


def titles(table: Table) -> list[str]:
    """The rows of a table: the scenarios of an official SDK, or those that all other clients share."""
    script = {"python": "ollama_python.py", "javascript": "ollama_js.mjs", "clients": "client.py"}[table]
    found = re.findall(r"""^(?:@scenario\(|  )(["'])(.+?)\1(?:\)|: )""", (SCENARIOS / script).read_text("utf-8"), re.MULTILINE)
    return [title for _, title in found]


def _set(name: str, *packages: str, npm: bool = False) -> PackageSet:
    return PackageSet(name, LOCKS, packages, "scripts/compat", npm)


def _python_sdks(*versions: str) -> Iterable[Environment]:
    for version in versions:
        name, package = f"ollama-python-{version}", "ollama" if version == "newest" else f"ollama=={version}"
        yield Environment(name, "python", "ollama_python.py", _set(name, package), version)


def _javascript_sdks(*versions: str) -> Iterable[Environment]:
    for version in versions:
        name, package = f"ollama-js-{version}", "ollama" if version == "newest" else f"ollama@{version}"
        yield Environment(name, "javascript", "ollama_js.mjs", _set(name, package, npm=True), version)


def _client(script: str, locked: PackageSet) -> Environment:
    return Environment(locked.name, "clients", script, locked, locked.package)


# It does not declare mcp, but imports it where there are tools.
_LITELLM = _set("litellm", "litellm", "mcp")

ENVIRONMENTS = (
    *_python_sdks("0.1.9", "0.2.1", "0.3.3", "0.4.9", "0.5.4", "0.6.1", "newest"),
    *_javascript_sdks("0.5.18", "0.6.0", "newest"),
    _client("langchain_ollama_chat.py", _set("langchain-ollama", "langchain-ollama")),
    _client("llama_index_ollama.py", _set("llama-index", "llama-index-llms-ollama", "llama-index-embeddings-ollama")),
    Environment("litellm-chat", "clients", "litellm_ollama.py", _LITELLM, "litellm `ollama_chat/`", "ollama_chat/"),
    Environment("litellm", "clients", "litellm_ollama.py", _LITELLM, "litellm `ollama/`", "ollama/"),
    _client("pydantic_ai_ollama.py", _set("pydantic-ai", "pydantic-ai-slim[openai]")),
    _client("llm_ollama_plugin.py", _set("llm-ollama", "llm-ollama")),
    _client("haystack_ollama.py", _set("ollama-haystack", "ollama-haystack")),
    _client("langchain_js.mjs", _set("langchain-js", "@langchain/ollama", "@langchain/core", "zod", npm=True)),
    _client("ai_provider_v2.mjs", _set("ai-provider-v2", "ollama-ai-provider-v2", "ai", "zod", npm=True)),
)
