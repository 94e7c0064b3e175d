"""The console command `ollama-openai-proxy`: the proxy on an HTTP server of its own, without mitmproxy.

The process that the command starts is the supervisor of the workers (`workers.supervisor`). So this module imports what the
supervisor needs, and everything else where a worker, or another action, needs it.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
from typing import TYPE_CHECKING

from . import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .workers.supervisor import WorkerStart

PROGRAM = "ollama-openai-proxy"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the proxy until SIGINT or SIGTERM, or a sub-command with arguments of its own; returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and (command := COMMANDS.get(words[0])):
        return command(words[1:])
    args = _parser().parse_args(words)
    overrides = {"proxy_mode": args.mode, "proxy_host": args.host, "proxy_port": args.port, "workers": args.workers}
    if args.action == "check":
        return _check(overrides)
    if not hasattr(os, "fork"):  # Windows
        return _in_one_process(overrides)
    from .workers.supervisor import Supervisor

    return Supervisor(PROGRAM, functools.partial(_work, overrides)).run()


class _Parser(argparse.ArgumentParser):
    """A parser that reads the settings' descriptions only for `--help`."""

    def format_help(self) -> str:
        """The help text."""
        import textwrap

        from .settings import Settings, help_text

        self.epilog = "environment variables, also read from a file .env in the working directory:\n\n" + "\n".join(
            f"  {name.upper()}\n{textwrap.indent(textwrap.fill(help_text(name), 90), '      ')}"
            for name in Settings.model_fields
        )
        return super().format_help()


def _launch(arguments: Sequence[str]) -> int:
    from .launch.command import launch

    return launch(arguments)


def _tool(name: str) -> Callable[[Sequence[str]], int]:
    def start(arguments: Sequence[str]) -> int:
        from .mitm.mitmproxy_tools import run_tool

        return run_tool(name, arguments)

    return start


COMMANDS: Mapping[str, Callable[[Sequence[str]], int]] = {"launch": _launch} | {
    name: _tool(name) for name in ("web", "dump", "tui")
}
"""Sub-commands with arguments of their own."""


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog=PROGRAM,
        description="Lets unmodified Ollama clients use an OpenAI-compatible server, or an Ollama behind another proxy.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "action",
        nargs="?",
        choices=["serve", "check", *COMMANDS],
        default="serve",
        help="serve (the default); check the settings and what is behind the proxy, and say what is wrong; launch a coding "
        "agent with this proxy as its server; or web, dump, tui: mitmproxy's tools with this proxy in them. The last four "
        "have arguments of their own: see `launch --help`, `web --help`",
    )
    parser.add_argument("--mode", choices=["translate", "fix"], help="instead of PROXY_MODE")
    parser.add_argument("--host", help="address to listen on, instead of PROXY_HOST")
    parser.add_argument("--port", help="port to listen on, instead of PROXY_PORT")
    parser.add_argument("--workers", help="processes that serve the port, instead of WORKERS")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def _work(overrides: Mapping[str, str | None], start: WorkerStart) -> int:
    from .workers.worker import run_worker

    return run_worker(start, overrides)


def _check(overrides: Mapping[str, str | None]) -> int:
    import asyncio

    from .checkup import Finding, check, report
    from .settings import SettingsError, load_settings

    try:
        findings = asyncio.run(check(load_settings(overrides)))
    except SettingsError as error:
        findings = [Finding("problem", str(error))]
    text, status = report(findings)
    sys.stdout.write(text)
    return status


def _in_one_process(overrides: Mapping[str, str | None]) -> int:
    from .settings import SettingsError, load_settings

    try:
        settings = load_settings(overrides)
        from .workers.worker import serve

        serve(settings)
    except SettingsError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0
