"""A worker of the console command: the proxy on an HTTP server, and the orders of the supervisor."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from typing import TYPE_CHECKING

from ..asgi import Application
from ..net.event_loop import new_event_loop
from ..net.lazy_packages import make_lazy
from ..net.listening import open_sockets
from ..observe.log import set_up_logging
from ..observe.start_lines import api_line
from ..settings import Settings, SettingsError, check_loop, listening_errors, load_settings
from .link import Link

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from .supervisor import Sockets, WorkerStart

SDK_DELAY = 0.5
"""Seconds from the start until the OpenAI SDK is imported, so that its import delays neither the start nor the first call."""

logger = logging.getLogger(__name__)


def run_worker(start: WorkerStart, overrides: Mapping[str, str | None]) -> int:
    """Serve until the supervisor says so; returns the exit status.

    Args:
        start: what the supervisor has given.
        overrides: settings from the command line.
    """
    try:
        serve(load_settings(overrides), start)
    except SettingsError as error:
        start.refuse(str(error))
        return 1
    return 0


def serve(settings: Settings, start: WorkerStart | None = None) -> None:
    """Serve until the supervisor says so, or without one until SIGINT or SIGTERM.

    Raises:
        SettingsError: a setting, or a file that one names, is wrong.
    """
    if start is None and settings.workers > 1:
        raise SettingsError("WORKERS is above 1, but this system cannot share a port between processes: set WORKERS to 1.")
    set_up_logging(settings.log_level, settings.log_format)
    # uvicorn tells of each start and stop, and of tasks that are cancelled when the event loop ends.
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
    level = settings.log_level if settings.log_level in ("debug", "error") else "warning"
    logging.getLogger("asyncio").setLevel(level.upper())
    check_loop(settings)
    sockets = _open(settings, start)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_serve(settings, sockets, start))


def _open(settings: Settings, start: WorkerStart | None) -> Sockets:
    """The sockets to serve: those that the supervisor has, and others that are opened now.

    They are kept by the port of the settings, so that all workers share the port that stands for `PROXY_PORT=0`.
    """
    opened = start.sockets if start else {}
    addresses = [(settings.proxy_host, settings.proxy_port)]
    if settings.metrics_port and start:
        addresses.append((settings.proxy_host, settings.metrics_port))
    serving: Sockets = {}
    for host, port in addresses:
        if (host, port) in opened:
            serving[host, port] = opened[host, port]
        elif port == settings.proxy_port:
            with listening_errors(host, port):
                serving[host, port] = open_sockets(host, port)
        else:
            try:
                serving[host, port] = open_sockets(host, port)
            except OSError as error:
                logger.error("METRICS_PORT is %d, which cannot be opened (%s): set it to a free port.", port, error.strerror)
    if start:
        start.hand_over(serving)
        for address in opened.keys() - serving.keys():
            for each in opened[address]:
                each.close()
    return serving


async def _serve(settings: Settings, sockets: Sockets, start: WorkerStart | None) -> None:
    from ..api.error_shapes import error_response
    from ..backend.lazy_sdk import load as load_sdk

    make_lazy("uvicorn", parts={"Config": "uvicorn.config"})  # its command line, which nobody needs here
    from ..net.server import Server

    link = None
    if start:
        # A copy: the event loop closes its end, and what is found wrong afterwards has to be told all the same.
        link = Link(start.channel.dup())
        await link.open()
    application = Application(settings, link)
    server = Server(application, settings.bounds, error_response)
    application.open()
    loop = asyncio.get_running_loop()
    if link:
        link.orders = {"stop": server.stop, "retire": server.retire, "hurry": application.hurry}
        loop.add_signal_handler(signal.SIGTERM, link.send, "replace")
        link.send("ready", workers=settings.workers, log_level=settings.log_level, log_format=settings.log_format)
    else:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(server.stop))
    if start is None or start.is_first:
        _say_where(settings, sockets[settings.proxy_host, settings.proxy_port])
    if settings.proxy_mode == "translate":
        # In a thread that the end does not wait for.
        loop.call_later(SDK_DELAY, threading.Thread(target=load_sdk, daemon=True).start)
    await server.serve([each for group in sockets.values() for each in group])
    await application.close()
    if link:
        await link.close()


def _say_where(settings: Settings, sockets: list[socket.socket]) -> None:
    for each in sockets:
        host, port, *_ = each.getsockname()
        logger.info("%s", api_line(settings, host, port))
