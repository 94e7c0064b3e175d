"""Runs real coding agents with the proxy and writes down what works."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from scripts.coding_agents.agents import AGENTS, PACKAGES
from scripts.coding_agents.all_scenarios import SCENARIOS
from scripts.coding_agents.loopback import leave_only_loopback
from scripts.coding_agents.results import RECORD
from scripts.coding_agents.scenarios import try_scenarios
from scripts.coding_agents.stage import stage
from scripts.locked_packages import Unavailable
from scripts.matrix_command import lock_all, matrix_options, try_all
from scripts.recorded_results import PASSED

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from scripts.coding_agents.agents import Agent
    from scripts.recorded_results import Outcomes

SECONDS = 40.0
DESCRIPTION = """\
Installs coding agents and runs each without a screen, in an empty home, by `ollama-openai-proxy launch`,
with a scripted model behind the proxy: a file is written, read back and named, two tools are called at
once, a second turn, reasoning that must come back, long silences, refused keys and requests, an error of
the server, a conversation that is too long, an interruption. The programs reach nobody but the proxy.

Records what came of it in scripts/coding_agents/results.json, and writes the table of docs/clients.md.
What does not work must have a reason in scripts/coding_agents/reasons.toml, which is the program's own
limit.
"""
EPILOG = """\
Exit status: 1 if something fails without a listed reason, if nothing fails for a listed reason any more,
or if the recorded results or the page differ with --check; 2 if a program could not be tried. Each program
is installed once from its lock in requirements/agents, below OLLAMA_PROXY_AGENTS (default: .cache/agents).
The locks of npm's programs name the builds that the registry had when they were made: those for Linux on x64
are there, others may be missing. Elsewhere, renew the lock first: scripts/agents --lock --only NAME.
"""


def main() -> int:
    """The command line."""
    options = _options()
    if options.lock:
        return _lock(options.only)
    # What is installed needs a network, and what is run must have none.
    for agent in options.only:
        _install(agent)
    if problem := leave_only_loopback():
        print(f"scripts/agents: the programs are not shut off from the network: {problem}.", file=sys.stderr)

    def tried_here(agent: Agent) -> Outcomes:
        return tried(agent, options.seconds, options.scenario)

    return try_all(RECORD, options.only, tried_here, check=options.check, in_part=bool(options.scenario))


def tried(agent: Agent, seconds: float, wanted: str = "") -> Outcomes:
    """Try all scenarios with an agent, or those whose title contains a text.

    Raises:
        Unavailable: the agent cannot be installed here.
    """
    outcomes = {}
    with stage(agent, seconds) as here:
        for scenario, outcome in try_scenarios(here, wanted):
            outcomes[scenario.title] = outcome
            print(f"{agent.name}: {outcome if outcome == PASSED else 'FAILED'}: {scenario.title}", file=sys.stderr)
            if outcome != PASSED:
                print(f"    {outcome}", file=sys.stderr)
    return {it.title: outcomes[it.title] for it in SCENARIOS if it.title in outcomes}


def _install(agent: Agent) -> None:
    try:
        agent.install()
    except Unavailable as error:
        # Told again, in one line, when the agent's turn comes.
        print(f"{agent.name}: {error}", file=sys.stderr)


def _lock(agents: Sequence[Agent]) -> int:
    names = {agent.name for agent in agents}
    # The programs that are only run once are locked along with all agents.
    everything = PACKAGES if len(agents) == len(AGENTS) else [it for it in PACKAGES if it.name in names]
    return lock_all(everything, lambda package: package.write_lock())


def _options() -> argparse.Namespace:
    parser = matrix_options("agents", DESCRIPTION, EPILOG, AGENTS, AGENTS, "agent")
    parser.add_argument("--scenario", default="", metavar="TEXT", help="only scenarios with this text; records nothing")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, metavar="N", help="how long a long silence is (default: %(default)g)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
