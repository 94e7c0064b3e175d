"""Compares the proxy with others, and with nothing in between, in one run on loopback."""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
from dataclasses import replace
from pathlib import Path

from scripts.benchmark.chart import as_svg
from scripts.benchmark.contestants import Contestant, Failed, helpers, own_contestants
from scripts.benchmark.figures import QUICK, Sizes
from scripts.benchmark.measures import GROUPS, Benchmark
from scripts.benchmark.report import as_json, as_parts, into_page

DESCRIPTION = """\
Measures the proxy side by side with a plain reference proxy (translate mode) and with nginx (fix
mode, if it is installed), in front of a server that has nothing to compute. Needs Linux.

contestants, in translate mode:
  direct       no proxy: the back end itself; what all others add to
  console      ollama-openai-proxy
  mitmdump     mitmdump -s addons/ollama.py
  reference    the same translation with Starlette, uvicorn and the typed OpenAI SDK
in fix mode:
  fix-direct   no proxy
  fix-console  ollama-openai-proxy --mode fix
  nginx        with the same map of methods

groups of measures:
  lag      from a token to its frame, 200 streams of 20 tokens/s; memory per stream
  crowd    the same with 500 streams
  times    time to first frame (or byte) and of an unstreamed call, one at a time
  rates    frames/s at 1, 16 and 64 streams; CPU time per frame
  paths    CPU time per frame of 200 paced streams that pass on /v1/chat/completions, and of as many
           tool calls on /v1/messages, whose arguments are streamed
  scale    how the cost grows: 50 to 1,000 paced streams, 10 to 1,000 messages, 1 to 100 tools
  growth   memory after 1,000 and after 20,000 requests
"""
EPILOG = """\
Exit status: 0 whatever the figures are; 1 if something could not be measured. Figures of different
runs or machines do not compare; ratios within a run do. The whole takes about twenty minutes.
"""
INTERRUPTED = 128 + signal.SIGINT


def main() -> int:
    """The command line."""
    options = _options()
    if not Path("/proc/self/stat").exists():
        print("scripts/bench: it reads /proc, which only Linux has.", file=sys.stderr)
        return 1
    # Whatever ends this program, the programs that it started end with it, and what was measured is told.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    status = 0
    sizes = QUICK if options.quick else Sizes()
    if options.rounds:
        sizes = replace(sizes, rounds=options.rounds)
    try:
        with helpers() as (backend_port, load, folder):
            everyone = [*own_contestants(), *options.command]
            contestants = _chosen(everyone, options.only)
            notes = []
            if not any(contestant.name == "nginx" for contestant in everyone):
                notes.append("nginx is not installed (Debian: apt install nginx); fix mode is compared with no other proxy.")
            benchmark = Benchmark(contestants, options.measures, sizes, backend_port, load, folder)
            try:
                benchmark.run()
            except KeyboardInterrupt:
                status = INTERRUPTED
                notes.append("interrupted: there is more to measure.")
            notes += benchmark.notes
    except KeyboardInterrupt:
        return INTERRUPTED
    except (Failed, OSError, EOFError) as error:
        print(f"scripts/bench: {error}", file=sys.stderr)
        return 1
    parts = as_parts(contestants, benchmark.results, sizes, notes)
    print("\n\n".join(parts.values()))
    if options.json:
        options.json.write_text(json.dumps(as_json(contestants, benchmark.results, sizes, notes), indent=1) + "\n")
    if options.svg:
        options.svg.write_text(as_svg(contestants, benchmark.results, sizes))
    if options.page:
        options.page.write_text(into_page(options.page.read_text(), parts))
    return status


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="less of everything, in under a minute; only to see that it works")
    parser.add_argument("--rounds", type=_positive, metavar="N", help="how often to repeat all (default: 5)")
    parser.add_argument("--only", type=_names, metavar="NAME,…", help="these contestants, and the floor of their mode")
    parser.add_argument(
        "--measures", type=_groups, default=list(GROUPS), metavar="GROUP,…", help="these groups of measures (default: all)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw the chart there")
    parser.add_argument("--page", type=Path, metavar="FILE", help="renew the tables of that page, such as docs/performance.md")
    parser.add_argument(
        "--command",
        type=_command,
        action="append",
        default=[],
        metavar="NAME=COMMAND",
        help="one more contestant, started in an empty folder with PROXY_PORT and OPENAI_API_BASE_URL in its environment",
    )
    return parser.parse_args()


def _chosen(everyone: list[Contestant], only: list[str] | None) -> list[Contestant]:
    if only is None:
        return everyone
    if unknown := set(only) - {contestant.name for contestant in everyone}:
        raise Failed(f"there is no contestant {', '.join(sorted(unknown))}.")
    modes = {contestant.mode for contestant in everyone if contestant.name in only}
    return [it for it in everyone if it.name in only or (it.is_floor and it.mode in modes)]


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _groups(text: str) -> list[str]:
    wanted = _names(text)
    if unknown := [name for name in wanted if name not in GROUPS]:
        raise argparse.ArgumentTypeError(f"there is no group {', '.join(unknown)}; there are {', '.join(GROUPS)}")
    return [name for name in GROUPS if name in wanted]


def _command(text: str) -> Contestant:
    name, _, command = text.partition("=")
    if not name or not command:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=COMMAND")
    return Contestant(name, "translate", tuple(shlex.split(command)), has_all_paths=True)


if __name__ == "__main__":
    sys.exit(main())
