"""Tries the proxy in front of real OpenAI-compatible servers and writes down what works."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from scripts.matrix_command import add_scenario_option, lock_all, matrix_options, try_all
from scripts.real_servers.programs import PROGRAMS
from scripts.real_servers.results import RECORD, SCENARIOS
from scripts.real_servers.stage import stage
from scripts.recorded_results import LACKING
from scripts.scenarios import try_scenarios

if TYPE_CHECKING:
    import argparse

    from scripts.real_servers.programs import Program
    from scripts.recorded_results import Outcomes

DESCRIPTION = """\
Installs and starts real OpenAI-compatible servers with a tiny model, and makes the official SDKs of
Ollama, OpenAI and Anthropic use them through the proxy: lists, chat, options, formats, tools over two
turns, thinking, raw prompts, suffixes, log probabilities, embeddings, inputs that are too long, clients
that leave, a server that dies and starts again, wrong keys.

Writes what came of it into the tables of docs/servers.md.
What does not work must have a reason in scripts/real_servers/reasons.toml.
"""
EPILOG = """\
Exit status: 1 if something fails without a listed reason, if nothing fails for a listed reason any more,
or if the page differs with --check; 2 if a server could not be tried, or
if the page or the reasons cannot be read. Each server
has an environment of its own, made once from its lock in requirements/servers, below SERVERS_CACHE
(default: ollama-openai-proxy/servers in the user's cache); PyTorch's servers take several gigabytes each.
OLLAMA_BINARY names a real Ollama, which is tried only then.
"""


def main() -> int:
    """The command line."""
    options = _options()
    if options.lock:
        return lock_all(program.locked for program in options.only if program.own)

    def tried(program: Program) -> Outcomes:
        there = [it for it in options.scenarios if it.kind in program.kinds]
        outcomes: dict[str, str] = {it.title: LACKING for it in there if it.keyed and not program.keyed}
        for kind in program.kinds:
            wanted = [it for it in there if it.kind == kind and it.title not in outcomes]
            if wanted:
                with stage(program, kind) as here:
                    outcomes |= try_scenarios(program.name, here, wanted)
        return outcomes

    return try_all(RECORD, options.only, tried, check=options.check, in_part=options.scenarios is not SCENARIOS)


def _options() -> argparse.Namespace:
    there = [program for program in PROGRAMS if program.is_there]
    parser = matrix_options("servers", DESCRIPTION, EPILOG, PROGRAMS, there, "server")
    add_scenario_option(parser, SCENARIOS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
