"""Tries the proxy in front of real OpenAI-compatible servers and writes down what works."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from scripts.locked_packages import Unavailable, lock_packages
from scripts.real_servers import results
from scripts.real_servers.all_scenarios import SCENARIOS
from scripts.real_servers.programs import PROGRAMS, named
from scripts.real_servers.scenarios import LACKING, PASSED, try_scenarios
from scripts.real_servers.stage import stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scripts.real_servers.programs import Program
    from scripts.real_servers.results import Outcomes

DESCRIPTION = """\
Installs and starts real OpenAI-compatible servers with a tiny model, and makes the official SDKs of
Ollama, OpenAI and Anthropic use them through the proxy: lists, chat, options, formats, tools over two
turns, thinking, raw prompts, suffixes, log probabilities, embeddings, inputs that are too long, clients
that leave, a server that dies and starts again, wrong keys.

Records what came of it in scripts/real_servers/results.json, and writes the tables of docs/servers.md.
What does not work must have a reason in scripts/real_servers/reasons.toml.

servers:
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
    listed = results.read_reasons(results.REASONS.read_text("utf-8"))
    recorded, renewed = results.read_results(), {}
    faults, untried = [], []
    for program in options.only:
        try:
            outcomes = tried(program, options.scenario, restarts=not options.no_restarts)
            version = program.version
        except Unavailable as error:
            untried.append(f"{program.name}: {error}")
            continue
        explained, wrong = results.explain(program, outcomes, listed)
        faults += wrong
        known = recorded.get(program.name, ("", {}))
        if options.no_restarts:
            explained = known[1] | explained
        if options.check and not options.scenario and known != (version, explained):
            faults.append(f"{program.name}: {results.RESULTS.name} says something else: run scripts/servers")
        if not (options.scenario or options.no_restarts or wrong):
            renewed[program.name] = (version, explained)
    text = results.PAGE.read_text("utf-8")
    if options.check:
        faults += results.disagreements(text, recorded, listed)
    elif not options.scenario:
        # Another run may have recorded something in the meantime.
        recorded = {**results.read_results(), **renewed}
        results.write_results(recorded)
        results.PAGE.write_text(results.written(text, recorded, listed), "utf-8")
    for what, found in (("not right", faults), ("not tried", untried)):
        for fault in found:
            print(f"{what}: {fault}")
    return 1 if faults else 2 if untried else 0


def tried(program: Program, wanted: str = "", *, restarts: bool = True) -> Outcomes:
    """Try all scenarios with a server, or those whose title contains a text, or those that do not start the server again.

    Raises:
        Unavailable: the server cannot be installed here, or does not start.
    """
    outcomes = {it.title: LACKING for it in SCENARIOS if not it.belongs_to(program)}
    for kind in program.kinds:
        with stage(program, kind) as here:
            for scenario, outcome in try_scenarios(here, wanted, restarts=restarts):
                outcomes[scenario.title] = outcome
                print(f"{program.name}: {outcome if outcome == PASSED else 'FAILED'}: {scenario.title}", file=sys.stderr)
                if outcome != PASSED:
                    print(f"    {outcome}", file=sys.stderr)
    return {it.title: outcomes[it.title] for it in SCENARIOS if it.title in outcomes}


def _lock(programs: Sequence[Program]) -> int:
    for program in programs:
        if program.own:
            try:
                lock_packages(program.packages, program.lock, program.overrides)
            except Unavailable as error:
                print(f"{program.name}: {error}", file=sys.stderr)
                return 2
            print(f"{program.name}: {program.version}")
    return 0


def _options() -> argparse.Namespace:
    names = "".join(f"  {program.name:18}{program.title}\n" for program in PROGRAMS)
    parser = argparse.ArgumentParser(
        prog="scripts/servers",
        description=DESCRIPTION + names,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only",
        type=_chosen,
        default=[program for program in PROGRAMS if program.is_there],
        metavar="NAME,…",
        help="these servers (default: all that can be had)",
    )
    parser.add_argument("--scenario", default="", metavar="TEXT", help="only scenarios with this text; records nothing")
    parser.add_argument(
        "--no-restarts",
        action="store_true",
        help="leave out what starts the server again, which takes the longest; records nothing",
    )
    parser.add_argument("--check", action="store_true", help="write nothing, but say whether the page agrees")
    parser.add_argument("--lock", action="store_true", help="only renew the locks, to the newest versions")
    return parser.parse_args()


def _chosen(text: str) -> list[Program]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    try:
        return [named(name) for name in names]
    except StopIteration:
        known = ", ".join(program.name for program in PROGRAMS)
        raise argparse.ArgumentTypeError(f"there is a server that is not known; there are {known}") from None


if __name__ == "__main__":
    sys.exit(main())
