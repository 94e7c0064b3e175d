"""Runs mitmproxy's hooks at once, where that can be done.

mitmproxy starts a task for each hook of each flow, asks every addon whether it has a method for it, and comes back to the
flow in a later turn of the event loop. Where all methods are plain functions none of that is needed. And what a client is sent
in one turn can be sent in one write. Together that is a fifth of the time to the first byte.

What is relied on besides mitmproxy's public interface: the connection handler's `layer`, and that a layer goes on when the
completion of its hook is handed to it.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from mitmproxy.addonmanager import AddonManager, safecall
from mitmproxy.proxy.commands import Command, SendData, StartHook
from mitmproxy.proxy.events import Event, HookCompleted

from .upstream import handler_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mitmproxy.connection import Client
    from mitmproxy.hooks import Hook
    from mitmproxy.master import Master
    from mitmproxy.proxy.layer import Layer


class FixedAddons(AddonManager):
    """Addons that are added before the first flow, and stay."""

    def __init__(self, master: Master) -> None:
        super().__init__(master)  # type: ignore[no-untyped-call]
        self._methods: dict[str, list[Callable[..., Any]]] = {}

    def run(self, hook: Hook) -> None:
        """Call all methods for a hook. None of them may have to be awaited."""
        if (methods := self._methods.get(hook.name)) is None:
            methods = [method for addon in self.chain for _, method in self._iter_hooks(addon, hook)]
            self._methods[hook.name] = methods
        for method in methods:
            with safecall():
                if (result := method(*hook.args())) is not None:
                    raise TypeError(f"the result of {hook.name} would have to be awaited: {result}")


class HooksAtOnce:
    """An addon that puts itself between each connection and its layers."""

    def __init__(self, addons: FixedAddons) -> None:
        self._addons = addons

    def client_connected(self, client: Client) -> None:
        """Begin with a connection."""
        if handler := handler_of(client):
            handler.layer = _AtOnce(handler.layer, self._addons)  # type: ignore[assignment]  # as much of one as is needed


class _AtOnce:
    """Stands where the topmost layer of a connection stood."""

    def __init__(self, layer: Layer, addons: FixedAddons) -> None:
        self.context = layer.context
        self._layer = layer
        self._addons = addons

    def handle_event(self, event: Event) -> Iterator[Command]:
        """Let the layers handle an event, and all that comes of it at once."""
        events = deque([event])
        data: SendData | None = None  # not yet sent, since more may follow
        while events:
            for command in self._layer.handle_event(events.popleft()):
                if isinstance(command, StartHook):
                    self._addons.run(command)
                    if command.blocking:
                        events.append(HookCompleted(command))
                elif data is not None and isinstance(command, SendData) and command.connection is data.connection:
                    data.data += command.data
                else:
                    if data is not None:
                        yield data
                        data = None
                    if isinstance(command, SendData):
                        data = command
                    else:
                        yield command
        if data is not None:
            yield data
