"""The command line of a program that tries scenarios with several subjects and writes a matrix into the documentation."""

from __future__ import annotations

import argparse
import sys
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Protocol

from scripts.locked_packages import Unavailable
from scripts.recorded_results import Subject, UnreadableRecord, explain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from scripts.package_sets import PackageSet
    from scripts.recorded_results import Outcomes, Record
    from scripts.scenarios import Scenario


class Named(Protocol):
    """What `--only` chooses from."""

    @property
    def name(self) -> str:
        """The name on the command line."""


def matrix_options[T: Named](
    program: str, description: str, epilog: str, subjects: Sequence[T], default: Sequence[T], what: str
) -> argparse.ArgumentParser:
    """Make the parser of the options that all of these programs have.

    Args:
        program: the name of the script.
        description: what the program does; the names of the subjects follow.
        epilog: what else a user should know.
        subjects: all that `--only` can choose.
        default: what is tried without `--only`.
        what: a subject is called so, such as "server".
    """
    width = max(len(it.name) for it in subjects) + 2
    names = "".join(f"  {it.name:{width}}{getattr(it, 'title', '')}".rstrip() + "\n" for it in subjects)
    parser = argparse.ArgumentParser(
        prog=f"scripts/{program}",
        description=f"{description}\n{what}s:\n{names}",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only",
        type=lambda text: chosen(text, subjects, what),
        default=default,
        metavar="NAME,…",
        help=f"these {what}s; `*` stands for anything (default: all that can be had)",
    )
    parser.add_argument("--check", action="store_true", help="write nothing, but say whether the page agrees")
    parser.add_argument("--lock", action="store_true", help="only renew the locks, to the newest versions that are wanted")
    return parser


def chosen[T: Named](text: str, subjects: Sequence[T], what: str) -> list[T]:
    """The subjects that a list of names or patterns chooses.

    Raises:
        argparse.ArgumentTypeError: there is no pattern, or a pattern chooses none.
    """
    patterns = [name.strip() for name in text.split(",") if name.strip()]
    if not patterns:
        raise argparse.ArgumentTypeError(f"no {what} is named")
    for pattern in patterns:
        if not any(fnmatchcase(it.name, pattern) for it in subjects):
            known = ", ".join(it.name for it in subjects)
            raise argparse.ArgumentTypeError(f"there is no {what} {pattern!r}; there are {known}")
    return [it for it in subjects if any(fnmatchcase(it.name, pattern) for pattern in patterns)]


def add_scenario_option[S](parser: argparse.ArgumentParser, scenarios: Sequence[Scenario[S]]) -> None:
    """Add the option `--scenario`, whose value is a list of those scenarios that have a text in their title."""

    def with_text(text: str) -> list[Scenario[S]]:
        found = [it for it in scenarios if text.lower() in it.title.lower()]
        if not found:
            raise argparse.ArgumentTypeError(f"no scenario has {text!r} in its title")
        return found

    parser.add_argument(
        "--scenario",
        type=with_text,
        default=scenarios,
        dest="scenarios",
        metavar="TEXT",
        help="only scenarios with this text; records nothing",
    )


def try_all[T: Subject](
    record: Record, subjects: Sequence[T], tried: Callable[[T], Outcomes], *, check: bool, in_part: bool
) -> int:
    """Try subjects, and record in the page what came of the scenarios.

    Args:
        record: where the outcomes are kept.
        subjects: what is tried.
        tried: tries the scenarios with one of them; raises Unavailable if that cannot be done here.
        check: whether to compare instead of writing.
        in_part: whether not all is tried, so that there is nothing to record, and less to compare.

    Returns:
        the exit status: 1 for faults, 2 if something could not be tried or the files cannot be read, else 0.
    """
    try:
        return _try_all(record, subjects, tried, check=check, in_part=in_part)
    except UnreadableRecord as error:
        print(f"scripts/{record.program}: {error}", file=sys.stderr)
        return 2


def _try_all[T: Subject](
    record: Record, subjects: Sequence[T], tried: Callable[[T], Outcomes], *, check: bool, in_part: bool
) -> int:
    listed = record.read_reasons()
    recorded, renewed = record.read(record.page.read_text("utf-8")), {}
    faults, untried = [], []
    for subject in subjects:
        try:
            outcomes = tried(subject)
            version = subject.version
        except Unavailable as error:
            untried.append(f"{subject.name}: {error}")
            continue
        explained, wrong = explain(subject, outcomes, listed)
        faults += wrong
        known = recorded.get(subject.name, ("", {}))
        if check and known != (version, {**(known[1] if in_part else {}), **explained}):
            faults.append(f"{subject.name}: {record.page.name} says something else: run scripts/{record.program}")
        if not in_part and not wrong:
            renewed[subject.name] = (version, explained)
    if not check and not in_part:
        # Another run may have recorded something in the meantime.
        text = record.page.read_text("utf-8")
        record.page.write_text(record.written(text, {**record.read(text), **renewed}), "utf-8")
    for what, found in (("not right", faults), ("not tried", untried)):
        for fault in found:
            print(f"{what}: {fault}")
    return 1 if faults else 2 if untried else 0


def lock_all(sets: Iterable[PackageSet]) -> int:
    """Renew locks, and say their versions.

    Returns:
        the exit status: 2 as soon as a lock cannot be written, else 0.
    """
    for each in sets:
        try:
            each.write_lock()
        except Unavailable as error:
            print(f"{each.name}: {error}", file=sys.stderr)
            return 2
        print(f"{each.name}: {each.version}")
    return 0
