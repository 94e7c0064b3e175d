"""The console command `ollama-openai-proxy`: the addon on a mitmproxy `Master` that has only what serving needs."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
import textwrap
from typing import TYPE_CHECKING

from . import __version__
from .observe.log import set_up_logging
from .settings import Settings, SettingsError, check_address, help_text, load_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAM = "ollama-openai-proxy"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the proxy until SIGINT or SIGTERM; returns the exit status."""
    args = _parser().parse_args(arguments)
    try:
        settings = load_settings({"proxy_mode": args.mode, "proxy_host": args.host, "proxy_port": args.port})
        if args.action == "check":
            return _check(settings)
        check_address(settings)
        _set_up_logging(settings)
        return asyncio.run(_serve(settings))
    except SettingsError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)  # noqa: T201
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Lets unmodified Ollama clients use an OpenAI-compatible server, or an Ollama behind another proxy.",
        epilog="environment variables, also read from a file .env in the working directory:\n\n" + _variables(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "action",
        nargs="?",
        choices=["serve", "check"],
        default="serve",
        help="serve (the default), or check the settings and what is behind the proxy, and say what is wrong",
    )
    parser.add_argument("--mode", choices=["translate", "fix"], help="instead of PROXY_MODE")
    parser.add_argument("--host", help="address to listen on, instead of PROXY_HOST")
    parser.add_argument("--port", help="port to listen on, instead of PROXY_PORT")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def _check(settings: Settings) -> int:
    from .checkup import check, report

    text, status = report(asyncio.run(check(settings)))
    sys.stdout.write(text)
    return status


def _variables() -> str:
    return "\n".join(
        f"  {name.upper()}\n{textwrap.indent(textwrap.fill(help_text(name), 90), '      ')}" for name in Settings.model_fields
    )


def _set_up_logging(settings: Settings) -> None:
    set_up_logging(settings.log_level, settings.log_format)
    # mitmproxy tells of each connection.
    for chatty in ("mitmproxy", "asyncio"):
        level = settings.log_level if settings.log_level in ("debug", "error") else "warning"
        logging.getLogger(chatty).setLevel(level.upper())


async def _serve(settings: Settings) -> int:
    # Imported late: a wrong setting and --help need no proxy, which takes half a second to load.
    from .mitm.console_master import LeanMaster

    master = LeanMaster(settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, master.shutdown)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: master.shutdown())  # type: ignore[no-untyped-call]
    await master.run()
    return 0
