"""Runs real coding agents with the proxy and writes down what works."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from scripts.coding_agents.agents import AGENTS, PACKAGES
from scripts.coding_agents.loopback import leave_only_loopback
from scripts.coding_agents.results import RECORD, SCENARIOS
from scripts.coding_agents.stage import stage
from scripts.locked_packages import Unavailable
from scripts.matrix_command import add_scenario_option, lock_all, matrix_options, try_all
from scripts.scenarios import try_scenarios

if TYPE_CHECKING:
    import argparse

    from scripts.coding_agents.agents import Agent
    from scripts.recorded_results import Outcomes

SECONDS = 40.0
DESCRIPTION = """\
Installs coding agents and runs each without a screen, in an empty home, by `ollama-openai-proxy launch`,
with a scripted model behind the proxy: a file is written, read back and named, two tools are called at
once, a second turn, reasoning that must come back, long silences, refused keys and requests, an error of
the server, a conversation that is too long, an interruption. The programs reach nobody but the proxy.

Writes what came of it into the table of docs/clients.md.
What does not work must have a reason in scripts/coding_agents/reasons.toml, which is the program's own
limit.
"""
EPILOG = """\
Exit status: 1 if something fails without a listed reason, if nothing fails for a listed reason any more,
or if the page differs with --check; 2 if a program could not be tried, or
if the page or the reasons cannot be read. Each program
is installed once from its lock in requirements/agents, below OLLAMA_PROXY_AGENTS (default: .cache/agents).
The locks of npm's programs name the builds that the registry had when they were made: those for Linux on x64
are there, others may be missing. Elsewhere, renew the lock first: scripts/agents --lock --only NAME.
"""


def main() -> int:
    """The command line."""
    options = _options()
    if options.lock:
        # The programs that are only run once are locked along with all agents.
        names = {agent.name for agent in options.only}
        return lock_all(it.locked for it in PACKAGES if it.name in names or len(names) == len(AGENTS))
    # What is installed needs a network, and what is run must have none.
    unavailable = {}
    for agent in options.only:
        try:
            agent.install()
        except Unavailable as error:
            unavailable[agent.name] = error
    if problem := leave_only_loopback():
        print(f"scripts/agents: the programs are not shut off from the network: {problem}.", file=sys.stderr)

    def tried(agent: Agent) -> Outcomes:
        if agent.name in unavailable:
            raise unavailable[agent.name]
        with stage(agent, options.seconds) as here:
            return try_scenarios(agent.name, here, options.scenarios)

    return try_all(RECORD, options.only, tried, check=options.check, in_part=options.scenarios is not SCENARIOS)


def _options() -> argparse.Namespace:
    parser = matrix_options("agents", DESCRIPTION, EPILOG, AGENTS, AGENTS, "agent")
    add_scenario_option(parser, SCENARIOS)
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, metavar="N", help="how long a long silence is (default: %(default)g)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
