"""The scenarios of a client, played in both modes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from scripts.compatibility.environments import titles
from scripts.locked_packages import Unavailable
from scripts.recorded_results import LACKING, PASSED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scripts.compatibility.environments import Environment
    from scripts.compatibility.stage import Stage
    from scripts.recorded_results import Outcomes

TIMEOUT = 180
_FOREIGN = (
    *("OPENAI_", "OLLAMA_", "PROXY_", "LITELLM_", "LLM_", "LANGCHAIN_", "LANGSMITH_"),
    *("PYTHON", "VIRTUAL_ENV", "COVERAGE_", "NODE_"),
)


def play(environment: Environment, stages: Sequence[Stage]) -> Outcomes:
    """Play the scenarios of a client, on all stages at the same time.

    Raises:
        Unavailable: the client cannot be installed, or its script says less than it should.
    """
    command = environment.install()
    with ThreadPoolExecutor() as pool:
        played = list(pool.map(partial(perform, environment, command), stages))
    outcomes = {}
    for title in titles(environment.table):
        ways = {
            f"{here.mode}, {way}": outcome
            for here, results in zip(stages, played, strict=True)
            for way, outcome in results.get(title, {}).items()
        }
        outcomes[title] = together(ways)
    passed, lacking = (list(outcomes.values()).count(it) for it in (PASSED, LACKING))
    failed = len(outcomes) - passed - lacking
    print(f"{environment.name}: {passed} passed, {failed} failed, {lacking} not in the client", file=sys.stderr)
    return outcomes


def together(ways: Mapping[str, str]) -> str:
    """What came of a scenario: `PASSED` or `LACKING` if that came of all ways of calling, else a line for each that failed."""
    outcomes = {*ways.values()}
    if outcomes <= {LACKING}:
        return LACKING
    return "\n".join(f"{way}: {it.partition('\n')[0]}" for way, it in ways.items() if it != PASSED) or PASSED


def perform(environment: Environment, command: Sequence[str], here: Stage) -> Mapping[str, Mapping[str, str]]:
    """Run a client's script on a stage.

    Returns:
        for each scenario and each way of calling the client: `PASSED`, `LACKING` or what went wrong.

    Raises:
        Unavailable: the script broke off, has scenarios that the table does not have, or leaves out a public method.
    """
    here.backend.reset()
    with tempfile.TemporaryDirectory() as home:
        try:
            ended = subprocess.run(
                [*command, here.url, here.control, environment.way],
                env=_variables(here, home),
                cwd=home,
                capture_output=True,
                encoding="utf-8",
                timeout=TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Unavailable(f"{here.mode}: it did not end within {TIMEOUT} s") from error
    try:
        printed = json.loads(ended.stdout)
    except ValueError as error:
        raise Unavailable(f"{here.mode}: status {ended.returncode}: {ended.stderr.strip()[-2000:]}") from error
    if uncovered := ", ".join(printed["uncovered"]):
        raise Unavailable(f"no scenario calls {uncovered}: write one in {environment.script}")
    results: dict[str, dict[str, str]] = printed["results"]
    if unknown := results.keys() - titles(environment.table):
        raise Unavailable(f"no row is called {', '.join(sorted(unknown))}")
    return results


def _variables(here: Stage, home: str) -> dict[str, str]:
    """Nothing of the user's that concerns the clients, and no asking of others."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(_FOREIGN) and not name.lower().endswith("_proxy")
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
