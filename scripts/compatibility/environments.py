"""The clients, their locked dependencies, and the environments in which they run."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from scripts.locked_npm import LOCK, find_command, install_npm, lock_npm, locked_npm_version
from scripts.locked_packages import ROOT, Unavailable, install_once, install_packages, lock_packages, locked_version

LOCKS = ROOT / "requirements" / "compat"
CACHE = ROOT / ".cache" / "compat"
SCENARIOS = Path(__file__).parent / "scenarios"

type Table = Literal["python", "javascript", "clients"]


@dataclass(frozen=True, slots=True)
class Environment:
    """One or several packages of a language, locked, and the scenarios for them."""

    name: str
    table: Table
    script: str
    packages: tuple[str, ...]
    """What is locked; the first is the client, and the table names its version."""
    python: bool = True

    @property
    def client(self) -> str:
        """The client's package."""
        name = self.packages[0] if self.python else self.packages[0].rpartition("@")[0] or self.packages[0]
        return re.split(r"[=<>\[ ]", name)[0]

    @property
    def lock(self) -> Path:
        """The file with the versions and hashes of all packages."""
        return LOCKS / (f"{self.name}.txt" if self.python else f"{self.name}/{LOCK}")

    @property
    def version(self) -> str:
        """The client's version, as it is locked."""
        if not self.lock.exists():
            raise Unavailable(f"{self.name} is not locked: run scripts/compat --lock --only {self.name}")
        found = locked_version(self.lock, self.client) if self.python else locked_npm_version(self.lock.parent, self.client)
        if found is None:
            raise Unavailable(f"{self.lock.relative_to(ROOT)} does not name {self.client}")
        return found

    @property
    def place(self) -> Path:
        """Where it is installed."""
        return CACHE / self.name


def _python_sdk(version: str) -> Environment:
    package = "ollama" if version == "newest" else f"ollama=={version}"
    return Environment(f"ollama-python-{version}", "python", "ollama_python.py", (package,))


def _javascript_sdk(version: str, wanted: str) -> Environment:
    return Environment(f"ollama-js-{version}", "javascript", "ollama_js.mjs", (f"ollama@{wanted}",), python=False)


ENVIRONMENTS = (
    *map(_python_sdk, ("0.1.9", "0.2.1", "0.3.3", "0.4.9", "0.5.4", "0.6.1", "newest")),
    _javascript_sdk("0.5", "~0.5.0"),
    _javascript_sdk("0.6.0", "0.6.0"),
    _javascript_sdk("newest", "latest"),
    Environment("langchain-ollama", "clients", "langchain_ollama_chat.py", ("langchain-ollama",)),
    Environment(
        "llama-index", "clients", "llama_index_ollama.py", ("llama-index-llms-ollama", "llama-index-embeddings-ollama")
    ),
    # It does not declare mcp, but imports it where there are tools.
    Environment("litellm", "clients", "litellm_ollama.py", ("litellm", "mcp")),
    Environment("pydantic-ai", "clients", "pydantic_ai_ollama.py", ("pydantic-ai-slim[openai]",)),
    Environment("llm-ollama", "clients", "llm_ollama_plugin.py", ("llm-ollama",)),
    Environment("ollama-haystack", "clients", "haystack_ollama.py", ("ollama-haystack",)),
    Environment(
        "langchain-js",
        "clients",
        "langchain_js.mjs",
        ("@langchain/ollama@latest", "@langchain/core@latest", "zod@latest"),
        python=False,
    ),
    Environment(
        "ai-provider-v2",
        "clients",
        "ai_provider_v2.mjs",
        ("ollama-ai-provider-v2@latest", "ai@latest", "zod@latest"),
        python=False,
    ),
)


# ---------------------------------------------------------------------------------------------------------------------
# Locking


def lock(environment: Environment) -> None:
    """Write the newest versions that are wanted, and the hashes of all that they need.

    Raises:
        Unavailable: no index or registry answers, or there is nothing that fits.
    """
    if environment.python:
        lock_packages(environment.packages, environment.lock)
    else:
        lock_npm(environment.packages, environment.lock.parent)


# ---------------------------------------------------------------------------------------------------------------------
# Making


def make(environment: Environment) -> list[str]:
    """Install it, unless that has been done, and return the command that runs its scenarios.

    Raises:
        Unavailable: it cannot be installed here.
    """
    place, lock = environment.place, environment.lock

    def install() -> None:
        if environment.python:
            install_packages(lock, place)
        else:
            install_npm(lock.parent, place)

    install_once(lock, place, install, python=environment.python)
    if environment.python:
        return [str(place / "bin" / "python"), str(SCENARIOS / environment.script)]
    # Node looks for packages beside the script.
    for name in ("scenario.mjs", environment.script):
        shutil.copyfile(SCENARIOS / name, place / name)
    return [find_command("node"), str(place / environment.script)]
