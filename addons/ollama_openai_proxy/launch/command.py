"""The sub-command `launch` of the console command."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..guard.keys import read_keys
from ..settings import DEFAULT_PORTS, Settings, SettingsError, http_url, load_settings
from .asking import LaunchError, ask_target, is_reachable
from .command_lines import arguments_of
from .printing import as_shell, listing, not_installed
from .programs import PROGRAMS, find_program
from .running import own_folder, proxy_for_the_time, run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .programs import Program
    from .target import Target

PROGRAM = "ollama-openai-proxy launch"
KEY_VARIABLE = "OLLAMA_API_KEY"
"""Where clients of Ollama have their key."""
NOT_FOUND = 127
"""The exit status of a shell for a command that is not there."""


def launch(arguments: Sequence[str]) -> int:
    """Run a program with the proxy as its server; returns the exit status.

    Args:
        arguments: of the sub-command.
    """
    own, given = _split(arguments)
    args = _parser().parse_args(own)
    if args.program is None:
        sys.stdout.write(listing(shutil.which))
        return 0
    program = find_program(args.program)
    if program is None:
        return _fail(f"there is no program {args.program!r}; there are {', '.join(each.name for each in PROGRAMS)}.", 2)
    try:
        return _launch(program, args, given)
    except (LaunchError, SettingsError) as error:
        return _fail(str(error), 1)


def _launch(program: Program, args: argparse.Namespace, given: Sequence[str]) -> int:
    command = shutil.which(program.command)
    if command is None and not args.print:
        return _fail(not_installed(program), NOT_FOUND)
    with ExitStack() as stack:
        url, key = _server(args.url, stack, may_start=not args.print)
        target = ask_target(url, key, args.model)
        if args.context:
            target = replace(target, context_length=args.context)
        if args.print:
            _print(program, target, given)
            return 0
        setup = program.setup(target)
        folder = stack.enter_context(own_folder(setup.files)) if setup.files else ""
        setup = setup.placed(folder)
        return run(command or program.command, arguments_of(program, setup, given), setup, url)


def _print(program: Program, target: Target, given: Sequence[str]) -> None:
    setup = program.setup(target)
    home = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    folder = f"{home}/ollama-openai-proxy/{program.name}"
    setup = setup.placed(folder)
    sys.stdout.write(as_shell(program, setup, arguments_of(program, setup, given), folder, target.key))


def _server(url: str | None, stack: ExitStack, *, may_start: bool) -> tuple[str, str]:
    """The URL and the key of a running proxy, or of one that is started for the time."""
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if url:
        return url.rstrip("/"), key
    try:
        # A proxy that runs already has its keys.
        settings, problem = load_settings(demand_keys=False), None
    except SettingsError as error:
        settings, problem = None, error
    if problem is not None and not (os.environ.get("PROXY_PORT") or "0").isdecimal():
        raise problem
    running = _url_of(settings)
    if is_reachable(running):
        return running, key or _first_key(settings)
    if problem is not None:
        raise problem
    if not may_start:
        raise LaunchError(f"no proxy answers at {running}: start one, or name one with --url.")
    load_settings()  # what would stop the start of a proxy is said here, as one sentence
    passes_keys_on = settings is not None and settings.openai_api_key_passthrough
    started, own_key = stack.enter_context(proxy_for_the_time(own_key=not passes_keys_on))
    return started, own_key or key


def _url_of(settings: Settings | None) -> str:
    """Where the proxy of the settings, or of their defaults, would be."""
    host = settings.proxy_host if settings else "127.0.0.1"
    if host in ("", "0.0.0.0", "::"):  # noqa: S104  # no binding
        host = "127.0.0.1"
    port = settings.proxy_port if settings else int(os.environ.get("PROXY_PORT") or DEFAULT_PORTS["translate"])
    return http_url(host, port)


def _first_key(settings: Settings | None) -> str:
    if settings is None:
        return ""
    listed = settings.proxy_api_keys.get_secret_value() if settings.proxy_api_keys else None
    try:
        keys = read_keys(listed, settings.proxy_api_keys_file)
    except ValueError as error:
        raise LaunchError(f"{error}.") from None
    return keys[0] if keys else ""


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments of the sub-command, and those behind `--`, which are the program's."""
    words = list(arguments)
    place = words.index("--") if "--" in words else len(words)
    return words[:place], words[place + 1 :]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        usage=f"{PROGRAM} [PROGRAM] [--model MODEL] [--print] [--url URL] [--context TOKENS] [-- ARGUMENT...]",
        description="Runs a coding agent, or another program, with the proxy as its server. Without a name: lists them.",
        epilog="Programs: " + ", ".join(program.name for program in PROGRAMS) + ". Arguments behind -- are the program's own; "
        "-- -p TEXT lets each coding agent do one task without a screen.",
    )
    parser.add_argument("program", nargs="?", metavar="PROGRAM", help="what to run")
    parser.add_argument("--model", help="the model; not needed if there is only one")
    parser.add_argument("--print", action="store_true", help="show the configuration as lines for a shell, and run nothing")
    parser.add_argument("--url", help="of a running proxy, instead of PROXY_HOST and PROXY_PORT; its key is in OLLAMA_API_KEY")
    parser.add_argument(
        "--context", type=int, metavar="TOKENS", help="the context length, instead of the one that /api/show tells"
    )
    return parser


def _fail(sentence: str, status: int) -> int:
    print(f"{PROGRAM}: {sentence}", file=sys.stderr)  # noqa: T201
    return status
