"""The console command `ollama-openai-proxy`: the proxy on an HTTP server of its own, without mitmproxy."""

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
from .settings import Settings, SettingsError, check_loop, help_text, listening_errors, load_settings

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping, Sequence

PROGRAM = "ollama-openai-proxy"

SDK_DELAY = 0.5
"""Seconds from the start until the OpenAI SDK is imported, so that its import delays neither the start nor the first call."""

logger = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the proxy until SIGINT or SIGTERM, or a sub-command with arguments of its own; returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and (command := COMMANDS.get(words[0])):
        return command(words[1:])
    args = _parser().parse_args(words)
    try:
        settings = load_settings({"proxy_mode": args.mode, "proxy_host": args.host, "proxy_port": args.port})
        if args.action == "check":
            return _check(settings)
        _set_up_logging(settings)
        return _run(settings)
    except SettingsError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)  # noqa: T201
        return 1


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
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Lets unmodified Ollama clients use an OpenAI-compatible server, or an Ollama behind another proxy.",
        epilog="environment variables, also read from a file .env in the working directory:\n\n" + _variables(),
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
    # uvicorn tells of each start and stop, and of tasks that are cancelled when the event loop ends.
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
    level = settings.log_level if settings.log_level in ("debug", "error") else "warning"
    logging.getLogger("asyncio").setLevel(level.upper())


def _run(settings: Settings) -> int:
    # Imported late: a wrong setting and --help need no proxy.
    from .net.event_loop import new_event_loop
    from .net.listening import open_sockets

    check_loop(settings)
    with listening_errors(settings):
        sockets = open_sockets(settings.proxy_host, settings.proxy_port)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_serve(settings, sockets))
    return 0


async def _serve(settings: Settings, sockets: Sequence[socket.socket]) -> None:
    """Serve on sockets that are bound, until SIGINT or SIGTERM; a second signal ends running responses."""
    from .api.error_shapes import error_response
    from .asgi import Application
    from .backend.lazy_sdk import load as load_sdk
    from .net.server import Server

    application = Application(settings)
    server = Server(application, settings.bounds, error_response)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, server.stop)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: server.stop())
    application.open()
    for each in sockets:
        host, port, *_ = each.getsockname()
        logger.info(
            "Ollama API on http://%s:%d (%s mode, in front of %s)",
            f"[{host}]" if ":" in host else host,
            port,
            settings.proxy_mode,
            settings.servers,
        )
    if settings.proxy_mode == "translate":
        loop.call_later(SDK_DELAY, loop.run_in_executor, None, load_sdk)
    await server.serve(list(sockets))
    await application.close()
