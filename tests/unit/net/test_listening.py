"""The sockets of the console command's server."""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack
from typing import Any

import pytest
from ollama_openai_proxy.net import listening

TWO = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (host, 0)) for host in ("127.0.0.1", "127.0.0.2")]


@pytest.fixture
def _two_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host with two addresses, as `localhost` often is."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: TWO)


@pytest.mark.usefixtures("_two_addresses")
def test_port_0_is_the_same_port_at_all_addresses_of_a_host() -> None:
    with ExitStack() as opened:
        names = [opened.enter_context(each).getsockname() for each in listening.open_sockets("localhost", 0)]
    assert [host for host, _ in names] == ["127.0.0.1", "127.0.0.2"]
    assert names[0][1] == names[1][1] != 0


@pytest.mark.usefixtures("_two_addresses")
def test_another_port_is_tried_where_the_first_is_taken_at_another_address(monkeypatch: pytest.MonkeyPatch) -> None:
    bound, tried = listening._bound, []

    def taken_at_first(family: int, address: Any) -> socket.socket:
        tried.append(address)
        if len(tried) == 2:
            raise OSError(errno.EADDRINUSE, "taken")
        return bound(family, address)

    monkeypatch.setattr(listening, "_bound", taken_at_first)
    with ExitStack() as opened:
        sockets = [opened.enter_context(each) for each in listening.open_sockets("localhost", 0)]
    assert len(tried) == 4
    assert len(sockets) == 2


def test_a_port_that_is_taken_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy, pytest.raises(OSError, match="in use"):
        listening.open_sockets("127.0.0.1", busy.getsockname()[1])


def test_a_host_that_is_none_is_an_error_with_port_0_too() -> None:
    with pytest.raises(OSError, match=r".") as error:
        listening.open_sockets("192.0.2.1", 0)
    assert error.value.errno == errno.EADDRNOTAVAIL
