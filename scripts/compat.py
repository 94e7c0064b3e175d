"""Tries the clients of Ollama with the proxy and writes down what works."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from scripts.compatibility import environments, page
from scripts.compatibility.environments import ENVIRONMENTS, Environment
from scripts.compatibility.matrix import NOT_THERE, REASONS, TABLES, WORKS, Matrix, reasons
from scripts.compatibility.playing import LACKING, PASSED, Performance, play
from scripts.compatibility.stage import MODES
from scripts.locked_packages import Unavailable
from scripts.matrix_command import matrix_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scripts.compatibility.stage import Mode

DESCRIPTION = """\
Runs the same scenarios with every client and version below, each in an environment of its own,
against a running proxy: in translate mode in front of a scripted OpenAI-compatible server, and in
fix mode in front of a strict Ollama, with every request turned into a GET on its way.

Writes the tables of docs/compatibility.md, those of which all columns were tried in both modes.
What does not work must have a reason in scripts/compatibility/reasons.toml.
"""
EPILOG = """\
Exit status: 1 if something fails without a listed reason, if nothing fails for a listed reason any
more, if a public method of an official SDK has no scenario, or if the page differs with --check;
2 if nothing could be tried. Environments are made once, under .cache/compat, from the locks in
requirements/compat.
"""


def main() -> int:
    """The command line."""
    options = _options()
    try:
        if options.lock:
            for environment in options.only:
                environments.lock(environment)
                print(f"{environment.name}: {environment.client} {environment.version}")
            return 0
        matrix = tried(options.only, options.mode)
        text = page.PAGE.read_text("utf-8")
        if options.check:
            differing = page.disagreements(text, matrix)
        else:
            renewed = page.written(text, matrix)
            if renewed != text:
                page.PAGE.write_text(renewed, "utf-8")
            differing = page.disagreements(renewed, matrix)
    except (Unavailable, AssertionError, OSError, ValueError) as error:
        print(f"scripts/compat: {error}", file=sys.stderr)
        return 2
    return told(matrix, differing)


def tried(chosen: Sequence[Environment], modes: Sequence[Mode]) -> Matrix:
    """Play the scenarios of these environments in these modes."""
    listed = reasons(REASONS.read_text("utf-8"))
    commands = {}
    for environment in chosen:
        if not environment.place.exists():
            print(f"{environment.name}: installing", file=sys.stderr)
        commands[environment] = environments.make(environment)
    return Matrix(play(commands, modes, _tell), listed)


def told(matrix: Matrix, differing: Sequence[str]) -> int:
    """Print the summary, and return the exit status."""
    for table in TABLES:
        cells = [cell for _, *row in matrix.cells(table)[1:] for cell in row]
        if cells:
            noted = sum(cell not in (WORKS, NOT_THERE) for cell in cells)
            works, lacking = cells.count(WORKS), cells.count(NOT_THERE)
            print(f"{table}: {works} work, {noted} do not, {lacking} are not in the client")
    faults = {
        "fails without a listed reason": [str(failure) for failure in matrix.unexplained],
        "fails no more for this reason, which is still listed": [f"{', '.join(it.scenarios)}: {it.text}" for it in matrix.gone],
        "not tried": matrix.mistakes,
        f"differs in {page.PAGE.name}": list(differing),
    }
    for what, found in faults.items():
        for fault in found:
            print(f"{what}: {fault}")
    return 1 if any(faults.values()) else 0


def _tell(performance: Performance) -> None:
    outcomes = [outcome for ways in performance.outcomes.values() for outcome in ways.values()]
    failed = sum(outcome not in (PASSED, LACKING) for outcome in outcomes)
    counts = f"{outcomes.count(PASSED)} passed, {failed} failed, {outcomes.count(LACKING)} not in the client"
    what = performance.failure.partition("\n")[0] or counts
    print(f"{performance.environment.name}, {performance.mode}: {what}", file=sys.stderr)


def _options() -> argparse.Namespace:
    parser = matrix_options("compat", DESCRIPTION, EPILOG, ENVIRONMENTS, ENVIRONMENTS, "client")
    parser.add_argument("--mode", type=_mode, default=MODES, help="translate or fix (default: both)")
    return parser.parse_args()


def _mode(text: str) -> tuple[str, ...]:
    if text not in MODES:
        raise argparse.ArgumentTypeError(f"there is no mode {text!r}; there are {', '.join(MODES)}")
    return (text,)


if __name__ == "__main__":
    sys.exit(main())
