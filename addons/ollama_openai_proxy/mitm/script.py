"""The addon as a script of mitmdump, mitmweb and mitmproxy: options, and a port of its own.

mitmproxy loads scripts after it has begun to open the port of its own default mode (`regular`, a forward proxy on every
address of the machine). Nobody asked for that one, so it is given up before it listens, and the port of the settings is
opened in its place. Whatever the user set on mitmproxy's command line stays as it is.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Optional

from mitmproxy import ctx, exceptions
from mitmproxy.proxy.mode_servers import ServerInstance

from ..observe.lossy_stream import lossy
from ..observe.start_lines import api_line, page_line
from ..settings import (
    AddressNames,
    Settings,
    SettingsError,
    about,
    check_address,
    check_listening,
    help_text,
    http_url,
    load_settings,
)
from .addon import mitm_options
from .flow_hooks import FlowAddon
from .views import content_views as contentviews
from .views.commands import Commands
from .views.flow_recorder import FlowWatcher

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mitmproxy.addonmanager import Loader
    from mitmproxy.addons.proxyserver import Proxyserver
    from mitmproxy.http import HTTPFlow

READ_ONCE = frozenset(name for name in Settings.model_fields if about(name).read_once)
TERMLOG_LEVELS = {"debug": "debug", "info": "info", "warning": "warn", "error": "error"}
COLUMNS = ("icon", "path", "comment", "method", "status", "size", "time")
"""Of mitmweb's list of flows. Its own default has no comments, and all that this proxy shows at a glance is in them."""

PROXY_ADDRESS = AddressNames("PROXY_HOST (or --listen-host)", "PROXY_PORT (or --listen-port)", ", perhaps Ollama itself")
PAGE_ADDRESS = AddressNames("--web-host", "--web-port", ", perhaps another mitmweb")
"""The address of mitmweb's page."""

logger = logging.getLogger(__name__)


class OllamaScript:
    """Reads the settings from mitmproxy's options and runs the addon of their mode."""

    name = "ollama_openai_proxy"

    def __init__(self) -> None:
        self.addons: list[FlowAddon | Commands] = []
        self._proxy: FlowAddon
        self._settings: Settings
        self._read_once: dict[str, str | None] = {}
        self._rebinding: asyncio.Task[bool] | None = None

    def load(self, loader: Loader) -> None:
        """Declare each setting as an option, so that `--set` and mitmweb's options page know it."""
        # What mitmproxy writes may have keys and bodies in it: flows that are saved, above all.
        os.umask(os.umask(0o077) | 0o077)
        _close_saved_flows_to_others()
        _write_without_waiting()
        for name in Settings.model_fields:
            text = f"{help_text(name)} Without this option, ${name.upper()} or the default counts."
            loader.add_option(name, Optional[str], None, text)  # type: ignore[arg-type]  # noqa: UP045  # mitmproxy's way

    def configure(self, updated: Iterable[str]) -> None:
        """Read the settings and open the port; later, let changed settings count from the next request on.

        Raises:
            OptionsError: a changed setting is wrong, or counts at the start only.
        """
        changed = [name for name in updated if name in Settings.model_fields]
        if self.addons:
            self._change(changed)
        elif changed:
            self._start()

    def _start(self) -> None:
        try:
            self._settings = settings = _read_settings()
            proxy = FlowAddon(settings, self._watch if _has_list() else None)
            self._open(settings)
        except SettingsError as error:
            _abandon_default_server(ctx.master.addons.get("proxyserver"))
            # An error that is logged before mitmproxy runs makes it exit with status 1.
            logger.error("%s", error)  # the sentence says it all
        else:
            self.addons = [proxy]
            # Without a list of flows, mitmdump uses the views where `flow_detail` is 3 or more.
            contentviews.register()
            if _has_list():
                self.addons.append(Commands(proxy.model_names, self._url))
            # mitmproxy has looked through this addon before, when there were none in it.
            for addon in self.addons:
                ctx.master.addons.register(addon)
            self._proxy = proxy
            self._read_once = {name: getattr(ctx.options, name) for name in READ_ONCE}

    def _change(self, changed: Sequence[str]) -> None:
        if not changed:
            return
        try:
            settings = _read_settings()
            for name in READ_ONCE.intersection(changed):
                # mitmproxy also tells of options that were set to what they are.
                if getattr(ctx.options, name) != self._read_once[name]:
                    raise exceptions.OptionsError(f"{name} is read at the start only: restart with the new value.")
            self._proxy.change(settings)
        except SettingsError as error:
            raise exceptions.OptionsError(str(error)) from None
        self._settings = settings

    def _url(self) -> str:
        """Where clients find the proxy."""
        host = "127.0.0.1" if self._settings.proxy_host in ("", "0.0.0.0", "::") else self._settings.proxy_host  # noqa: S104
        port = self._settings.proxy_port
        if port == 0:
            addresses = ctx.master.addons.get("proxyserver").listen_addrs()
            port = addresses[0][1] if addresses else 0
        return http_url(host, port)

    def _watch(self, flow: HTTPFlow) -> FlowWatcher:
        return FlowWatcher(flow, self._settings.proxy_mode, self._settings.keep_flows)

    def done(self) -> None:
        """Take the views away."""
        contentviews.unregister()

    async def running(self) -> None:
        """Wait for the port, so that a failure to open it still counts as one of the start, and say where the proxy is."""
        if self._rebinding is not None:
            await self._rebinding
            for host, port, *_ in ctx.master.addons.get("proxyserver").listen_addrs():
                logger.info("%s", api_line(self._settings, host, port))
        if self.addons and (url := getattr(ctx.master, "web_url", None)):
            logger.info("%s", page_line(url, has_token=not ctx.options.web_password))

    def _open(self, settings: Settings) -> None:
        wanted = mitm_options(settings)
        if "termlog_verbosity" in ctx.options:  # not in the user interface of the terminal
            wanted["termlog_verbosity"] = TERMLOG_LEVELS[settings.log_level]
        if "web_columns" in ctx.options:  # mitmweb only
            wanted["web_columns"] = list(COLUMNS)
        proxyserver: Proxyserver = ctx.master.addons.get("proxyserver")
        if _set_by_user("mode"):
            del wanted["mode"], wanted["listen_host"], wanted["listen_port"]
        elif ctx.options.server and _abandon_default_server(proxyserver):
            check_address(settings, PROXY_ADDRESS)
        if "web_port" in ctx.options:
            _check_page_address(settings)
        ctx.options.update(**{name: value for name, value in wanted.items() if not _set_by_user(name)})
        if "mode" in wanted and ctx.options.server:
            self._rebinding = asyncio.create_task(proxyserver.setup_servers())


def _check_page_address(settings: Settings) -> None:
    """Make sure that mitmweb can open the port of its page, which it would do last, and fail with a traceback.

    Raises:
        SettingsError: the port is taken or forbidden, or the host is not of this machine.
    """
    host, port = ctx.options.web_host, ctx.options.web_port
    is_one_host = host == settings.proxy_host or {host, settings.proxy_host} & {"", "0.0.0.0", "::"}  # noqa: S104
    if port and port == settings.proxy_port and is_one_host and ctx.options.server and not _set_by_user("mode"):
        raise SettingsError(f"Port {port} cannot serve both the proxy and mitmweb's page: set --web-port to another port.")
    check_listening(host, port, PAGE_ADDRESS)


def _close_saved_flows_to_others() -> None:
    """Let only its owner read the file of `-w`, which mitmproxy has opened before it loads scripts.

    A file that is appended to keeps its mode, as does what is no file, such as a pipe.
    """
    save = ctx.master.addons.get("save")
    if sys.platform == "win32" or save is None or save.stream is None:
        return
    descriptor = save.stream.fo.fileno()
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and not status.st_size:
        with suppress(OSError):  # the file of another user
            os.fchmod(descriptor, stat.S_IMODE(status.st_mode) & 0o700)


def _write_without_waiting() -> None:
    """Let mitmproxy's log, and mitmdump's list of flows, drop lines while nobody reads them."""
    if (log := ctx.master.addons.get("termlog")) is not None:
        log.logger.file = lossy(log.logger.file)
    if (dumper := ctx.master.addons.get("dumper")) is not None:
        dumper.outfp = lossy(dumper.outfp)


def _has_list() -> bool:
    """Whether flows are looked at, or saved: not so in a mitmdump that only serves."""
    return ctx.master.addons.get("view") is not None or bool(ctx.options.save_stream_file)


def _read_settings() -> Settings:
    # Without a server there is nobody who calls; in a replay, what is not in the file fails as any call without a key does.
    demand_keys = ctx.options.server and not ctx.options.server_replay
    settings = load_settings({name: getattr(ctx.options, name) for name in Settings.model_fields}, demand_keys=demand_keys)
    if settings.workers > 1:
        raise SettingsError("WORKERS is above 1, but mitmproxy's tools are one process: set WORKERS to 1.")
    return _with_users_address(settings)


def _with_users_address(settings: Settings) -> Settings:
    """The settings with the address of mitmproxy's own options, where the user set those."""
    given = {"proxy_host": _set_by_user("listen_host"), "proxy_port": _set_by_user("listen_port")}
    return settings.model_copy(update={name: value for name, value in given.items() if value is not None})


def _set_by_user(option: str) -> Any:
    """The value of a mitmproxy option, or None where it has its default."""
    return getattr(ctx.options, option) if ctx.options.has_changed(option) else None


def _abandon_default_server(proxyserver: Proxyserver) -> bool:
    """Stop mitmproxy from opening the port of its default mode; False where that port is open already."""
    for task in asyncio.all_tasks():
        coroutine = task.get_coro()
        if getattr(coroutine, "__qualname__", "") == ServerInstance.start.__qualname__:
            # mitmproxy takes a start that was cancelled for a failed one, as it does the stop of what never started.
            logging.getLogger("mitmproxy.addons.proxyserver").addFilter(_says_something)
            _close_what_it_opened(coroutine)
            return task.cancel()
    return not any(server.is_running for server in proxyserver.servers)


def _close_what_it_opened(start: object) -> None:
    """Close the port of a start that is about to be cancelled.

    With `--listen-host`, asyncio opens it before it waits for the first time, and a cancelled `create_server` forgets it.
    """
    while start is not None:
        frame = getattr(start, "cr_frame", None)
        server = frame.f_locals.get("server") if frame else None
        if isinstance(server, asyncio.Server):
            server.close()
        start = getattr(start, "cr_await", None)


def _says_something(record: logging.LogRecord) -> bool:
    return bool(record.getMessage())
