"""Every scenario of every environment, in both modes."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scripts.compatibility.stage import stage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from scripts.compatibility.environments import Environment
    from scripts.compatibility.stage import Mode, Stage

TIMEOUT = 180
PASSED = "passed"
LACKING = "lacking"

type Outcomes = Mapping[str, Mapping[str, str]]
"""For each scenario and each way of calling the client: `PASSED`, `LACKING` or what went wrong."""


@dataclass(frozen=True, slots=True)
class Performance:
    """What came of an environment's scenarios in one mode."""

    environment: Environment
    mode: Mode
    outcomes: Outcomes
    uncovered: tuple[str, ...] = ()
    """Public methods of the client that no scenario calls."""
    failure: str = ""
    """Why there are no outcomes."""


def play(
    commands: Mapping[Environment, Sequence[str]], modes: Sequence[Mode], tell: Callable[[Performance], None]
) -> list[Performance]:
    """Play everything; the modes at the same time, each on a stage of its own."""

    def play_mode(mode: Mode) -> list[Performance]:
        performances = []
        with stage(mode) as here:
            for environment, command in commands.items():
                performances.append(perform(environment, command, here))
                tell(performances[-1])
        return performances

    with ThreadPoolExecutor(len(modes)) as pool:
        return [performance for played in pool.map(play_mode, modes) for performance in played]


def perform(environment: Environment, command: Sequence[str], here: Stage) -> Performance:
    """Run one environment's script."""
    here.backend.reset()
    with tempfile.TemporaryDirectory() as home:
        try:
            ended = subprocess.run(
                [*command, here.url, here.control],
                env=_environment(here, home),
                cwd=home,
                capture_output=True,
                encoding="utf-8",
                timeout=TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Performance(environment, here.mode, {}, failure=f"it did not end within {TIMEOUT} s")
    try:
        printed = json.loads(ended.stdout)
    except ValueError:
        return Performance(environment, here.mode, {}, failure=f"status {ended.returncode}: {ended.stderr.strip()[-2000:]}")
    return Performance(environment, here.mode, printed["results"], tuple(printed["uncovered"]))


def _environment(here: Stage, home: str) -> dict[str, str]:
    """Nothing of the user's that concerns the clients, and no asking of others."""
    foreign = (
        "OPENAI_",
        "OLLAMA_",
        "PROXY_",
        "LITELLM_",
        "LLM_",
        "LANGCHAIN_",
        "LANGSMITH_",
        "PYTHON",
        "VIRTUAL_ENV",
        "COVERAGE_",
        "NODE_",
    )
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(foreign) and not name.lower().endswith("_proxy")
    }
    return kept | {
        "HOME": home,
        "OLLAMA_HOST": here.url,
        "LLM_USER_PATH": home,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUTF8": "1",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "HAYSTACK_TELEMETRY_ENABLED": "False",
        "LANGSMITH_TRACING": "false",
        "TIKTOKEN_CACHE_DIR": home,
    }
