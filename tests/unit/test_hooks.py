"""Hooks are run in the turn in which they come up, and what that gives is sent together."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mitmproxy import connection, options
from mitmproxy.master import Master
from mitmproxy.proxy import commands, events
from ollama_openai_proxy.hooks import FixedAddons, _AtOnce

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

ONE, OTHER = connection.Server(address=("one", 1)), connection.Server(address=("other", 2))


@dataclass
class Asked(commands.StartHook):
    """A hook that the layer waits for."""

    name = "asked"
    flow: str
    blocking = True


@dataclass
class Told(commands.StartHook):
    """A hook that it does not wait for."""

    name = "told"
    flow: str
    blocking = False


@dataclass
class Script:
    """A layer: for each event, the commands that it gives."""

    turns: list[list[commands.Command]]
    context: Any = None
    handled: list[events.Event] = field(default_factory=list)

    def handle_event(self, event: events.Event) -> Iterator[commands.Command]:
        self.handled.append(event)
        yield from self.turns.pop(0)


class Listener:
    def __init__(self) -> None:
        self.heard: list[str] = []

    def asked(self, flow: str) -> None:
        self.heard.append(f"asked {flow}")

    def told(self, flow: str) -> None:
        self.heard.append(f"told {flow}")


async def run(script: Script, *addons: object) -> list[commands.Command]:
    master = Master(options.Options())
    fixed = FixedAddons(master)
    fixed.add(*addons)  # type: ignore[no-untyped-call]
    master._legacy_log_events.uninstall()
    return list(_AtOnce(script, fixed).handle_event(events.Start()))  # type: ignore[arg-type]  # as much of one as is needed


async def test_a_layer_goes_on_as_soon_as_its_hook_was_run() -> None:
    asked, listener = Asked("a"), Listener()
    script = Script([[Told("b"), asked], [commands.CloseConnection(ONE)]])
    assert [type(command) for command in await run(script, listener)] == [commands.CloseConnection]
    assert listener.heard == ["told b", "asked a"]
    _, completed = script.handled
    assert isinstance(completed, events.HookCompleted)
    assert completed.command is asked


async def test_hooks_of_several_flows_end_in_their_order() -> None:
    listener = Listener()
    script = Script([[Asked("a"), Asked("b")], [Asked("c")], [], []])
    await run(script, listener)
    assert listener.heard == ["asked a", "asked b", "asked c"]
    assert [event.command.flow for event in script.handled[1:]] == ["a", "b", "c"]  # type: ignore[attr-defined]


async def test_what_one_turn_sends_is_one_write_for_each_connection_and_stays_in_order() -> None:
    def send(to: connection.Server, data: bytes) -> commands.SendData:
        return commands.SendData(to, data)

    first: list[commands.Command] = [send(ONE, b"head "), Asked("a")]
    then: list[commands.Command] = [
        send(ONE, b"body "),
        send(OTHER, b"x"),
        send(OTHER, b"y"),
        commands.CloseConnection(OTHER),
        send(ONE, b"end"),
    ]
    got = [
        (type(command).__name__, command.connection.address, getattr(command, "data", None))  # type: ignore[attr-defined]
        for command in await run(Script([first, then]), Listener())
    ]
    assert got == [
        ("SendData", ("one", 1), b"head body "),
        ("SendData", ("other", 2), b"xy"),
        ("CloseConnection", ("other", 2), None),
        ("SendData", ("one", 1), b"end"),
    ]


async def test_a_method_that_fails_is_told_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def asked(self, _: str) -> None:
            raise ValueError("broken")

    listener = Listener()
    script = Script([[Asked("a")], [commands.CloseConnection(ONE)]])
    with caplog.at_level(logging.ERROR):
        assert len(await run(script, Broken(), listener)) == 1
    assert listener.heard == ["asked a"]
    assert "broken" in caplog.text


async def test_a_method_that_would_have_to_be_awaited_is_a_mistake(caplog: pytest.LogCaptureFixture) -> None:
    class Waiting:
        def told(self, _: str) -> object:
            return object()

    with caplog.at_level(logging.ERROR):
        await run(Script([[Told("a")]]), Waiting())
    assert "the result of told would have to be awaited" in caplog.text
