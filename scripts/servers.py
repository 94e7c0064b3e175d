"""Tries the proxy in front of real OpenAI-compatible servers and writes down what works."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from scripts.locked_packages import lock_packages
from scripts.matrix_command import lock_all, matrix_options, try_all
from scripts.real_servers.all_scenarios import SCENARIOS
from scripts.real_servers.programs import PROGRAMS
from scripts.real_servers.results import RECORD
from scripts.real_servers.scenarios import try_scenarios
from scripts.real_servers.stage import stage
from scripts.recorded_results import LACKING, PASSED

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from scripts.real_servers.programs import Program
    from scripts.recorded_results import Outcomes

DESCRIPTION = """\
Installs and starts real OpenAI-compatible servers with a tiny model, and makes the official SDKs of
Ollama, OpenAI and Anthropic use them through the proxy: lists, chat, options, formats, tools over two
turns, thinking, raw prompts, suffixes, log probabilities, embeddings, inputs that are too long, clients
that leave, a server that dies and starts again, wrong keys.

Records what came of it in scripts/real_servers/results.json, and writes the tables of docs/servers.md.
What does not work must have a reason in scripts/real_servers/reasons.toml.
"""
EPILOG = """\
Exit status: 1 if something fails without a listed reason, if nothing fails for a listed reason any more,
or if the recorded results or the page differ with --check; 2 if a server could not be tried. Each server
has an environment of its own, made once from its lock in requirements/servers, below SERVERS_CACHE
(default: ollama-openai-proxy/servers in the user's cache); PyTorch's servers take several gigabytes each.
OLLAMA_BINARY names a real Ollama, which is tried only then.
"""


def main() -> int:
    """The command line."""
    options = _options()
    if options.lock:
        return _lock(options.only)

    def tried_here(program: Program) -> Outcomes:
        return tried(program, options.scenario)

    in_part = bool(options.scenario)
    return try_all(RECORD, options.only, tried_here, check=options.check, in_part=in_part)


def tried(program: Program, wanted: str = "") -> Outcomes:
    """Try all scenarios with a server, or those whose title contains a text.

    Raises:
        Unavailable: the server cannot be installed here, or does not start.
    """
    outcomes = {it.title: LACKING for it in SCENARIOS if not it.belongs_to(program)}
    for kind in program.kinds:
        with stage(program, kind) as here:
            for scenario, outcome in try_scenarios(here, wanted):
                outcomes[scenario.title] = outcome
                print(f"{program.name}: {outcome if outcome == PASSED else 'FAILED'}: {scenario.title}", file=sys.stderr)
                if outcome != PASSED:
                    print(f"    {outcome}", file=sys.stderr)
    return {it.title: outcomes[it.title] for it in SCENARIOS if it.title in outcomes}


def _lock(programs: Sequence[Program]) -> int:
    own = [program for program in programs if program.own]
    return lock_all(own, lambda program: lock_packages(program.packages, program.lock, program.overrides))


def _options() -> argparse.Namespace:
    there = [program for program in PROGRAMS if program.is_there]
    parser = matrix_options("servers", DESCRIPTION, EPILOG, PROGRAMS, there, "server")
    parser.add_argument("--scenario", default="", metavar="TEXT", help="only scenarios with this text; records nothing")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
