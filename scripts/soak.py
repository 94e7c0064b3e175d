"""Lets a mixed crowd use the proxy in front of a server that misbehaves, and checks every answer."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.processes import open_many_files
from scripts.soaking.cases import FAULTS, MANNERS, MODES, parse_case
from scripts.soaking.clients import request_of
from scripts.soaking.delivery import delivery_of
from scripts.soaking.judging import Verdict
from scripts.soaking.phases import Options, Soak
from scripts.soaking.processes import running_backend
from scripts.soaking.report import as_text
from scripts.soaking.tally import Tally

if TYPE_CHECKING:
    from scripts.soaking.cases import Case, Mode
    from scripts.soaking.processes import Backend

DESCRIPTION = """\
Runs the proxy, behind it a server that misbehaves in every way that is known, and in front of it
clients of all manners. Each request carries what the server means to say, so that each answer is
checked against it. Needs Linux.
"""
EPILOG = f"""\
A case is a line MODE/CALL/FAULT=SIZE/MANNER=AMOUNT/NUMBER such as translate/chat/cut=412/new/2.

faults of the server:
{chr(10).join(f"  {name:<12} {text}" for name, text in FAULTS.items())}
manners of clients:
{chr(10).join(f"  {name:<12} {text}" for name, text in MANNERS.items())}

Exit status: 0 if nothing was lost, leaked or hung, 1 otherwise, 2 if the soak could not be run.
"""


def main() -> int:
    """The command line."""
    options = _options()
    if not Path("/proc/self/fd").exists():
        print("scripts/soak: it reads /proc, which only Linux has.", file=sys.stderr)
        return 2
    # Whatever ends this program, the programs that it started end with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    open_many_files()
    try:
        with tempfile.TemporaryDirectory() as folder, running_backend(Path(folder)) as backend:
            if options.case:
                return asyncio.run(_alone(options.case, options, backend, Path(folder)))
            return _soak(options, backend, Path(folder))
    except (AssertionError, OSError) as error:
        print(f"scripts/soak: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _soak(options: argparse.Namespace, backend: Backend, folder: Path) -> int:
    modes: list[Mode] = list(MODES) if options.mode == "both" else [options.mode]
    given = Options(options.seed, options.minutes / len(modes), options.patience, options.requests)
    tallies = []
    for mode in modes:
        extent = f"{given.requests} requests" if given.requests else f"{given.minutes:g} min"
        print(f"scripts/soak: {mode} mode, seed {options.seed}, {extent}", file=sys.stderr)
        tally = Tally(mode)
        tallies.append(tally)
        asyncio.run(Soak(mode, given, backend, folder, tally).run())
    print(as_text(tallies, options.seed))
    if options.json:
        run: dict[str, Any] = {"seed": options.seed, "minutes": options.minutes}
        run["modes"] = {tally.mode: tally.as_json() for tally in tallies}
        options.json.write_text(json.dumps(run, indent=1) + "\n")
    return int(any(tally.bad for tally in tallies))


async def _alone(case: Case, options: argparse.Namespace, backend: Backend, folder: Path) -> int:
    """Try one case, and show all of it."""
    tally = Tally(case.mode)
    soak = Soak(case.mode, Options(options.seed, 1, options.patience), backend, folder, tally)
    seen, judgements = await soak.alone(case)
    head, body = request_of(case)
    delivery = delivery_of(case, "/")
    print(f"the client sends:\n{_shown(head + body)}\n")
    print(f"the back end means to say, and sends {delivery.stop} bytes of it, then {delivery.ending}:\n{_shown(delivery.wire)}")
    for each, judgement in zip(seen, judgements, strict=True):
        print(f"\nthe client got, {each.end}, after {each.seconds:.2f} s: {each.status} {each.headers}\n{_shown(each.body)}")
        print(f"\n{judgement.verdict}: {judgement.why}" if judgement.why else f"\n{judgement.verdict}")
    for failure in tally.failures:
        if failure.kind not in Verdict:
            print(f"{failure.kind}: {failure.why}")
    return int(tally.bad)


def _shown(data: bytes) -> str:
    most = 4000
    more = f"\n… and {len(data) - most} bytes more" if len(data) > most else ""
    return data[:most].decode("utf-8", "backslashreplace") + more


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/soak", description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0, metavar="M", help="of all modes together (default: 10)")
    parser.add_argument(
        "--requests", type=int, default=0, metavar="N", help="of the crowds of each mode, whatever time they take"
    )
    parser.add_argument("--mode", choices=[*MODES, "both"], default="both", help="of the proxy (default: both)")
    parser.add_argument("--seed", type=int, metavar="N", help="of what is tried (default: any)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there")
    parser.add_argument("--case", type=_case, metavar="CASE", help="try this one case, and show what was sent and what came")
    parser.add_argument("--patience", type=float, default=20.0, metavar="S", help="after which an answer hangs (default: 20)")
    options = parser.parse_args()
    if min(options.minutes, options.patience) <= 0:
        parser.error("--minutes and --patience have to be above 0")
    if options.requests < 0 or options.requests == 1:
        parser.error("--requests has to be above 1, half for each of two crowds")
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1_000_000)
    return options


def _case(text: str) -> Case:
    try:
        return parse_case(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


if __name__ == "__main__":
    sys.exit(main())
