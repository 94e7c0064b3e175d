"""Tries the clients of Ollama with the proxy and writes down what works."""

from __future__ import annotations

import sys
from contextlib import ExitStack

from scripts.compatibility.environments import ENVIRONMENTS
from scripts.compatibility.playing import play
from scripts.compatibility.results import RECORD
from scripts.compatibility.stage import MODES, stage
from scripts.matrix_command import lock_all, matrix_options, try_all

DESCRIPTION = """\
Runs the same scenarios with every client and version below, each in an environment of its own,
against a running proxy: in translate mode in front of a scripted OpenAI-compatible server, and in
fix mode in front of a strict Ollama, with every request turned into a GET on its way.

Writes what came of it into the tables of docs/compatibility.md.
What does not work must have a reason in scripts/compatibility/reasons.toml.
"""
EPILOG = """\
Exit status: 1 if something fails without a listed reason, if nothing fails for a listed reason any
more, or if the page differs with --check; 2 if a client could not be tried, if a public method of
an official SDK has no scenario, or if the page or the reasons cannot be read. Environments are made
once, under .cache/compat, from the locks in requirements/compat.
"""


def main() -> int:
    """The command line."""
    options = matrix_options("compat", DESCRIPTION, EPILOG, ENVIRONMENTS, ENVIRONMENTS, "client").parse_args()
    if options.lock:
        return lock_all(dict.fromkeys(it.locked for it in options.only))
    with ExitStack() as stack:
        stages = [stack.enter_context(stage(mode)) for mode in MODES]
        return try_all(RECORD, options.only, lambda it: play(it, stages), check=options.check, in_part=False)


if __name__ == "__main__":
    sys.exit(main())
