"""The proxies that several kinds of attack share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.live.attacks.backend_side import Setup, setup
from tests.live.attacks.targets import NAMES, TARGETS, target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.attacks.targets import Mode, Target
    from tests.live.proxy import Door


@pytest.hookimpl(tryfirst=True)  # before the nightly ones are left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Obey the marks `in_mode` and `one_setup_each`."""
    items[:] = [item for item in items if _is_in_its_mode(item)]
    dear: dict[str, dict[str, list[pytest.Item]]] = {}
    for item in items:
        if item.get_closest_marker("one_setup_each"):
            of_test = dear.setdefault(item.nodeid.partition("[")[0], {})
            of_test.setdefault(_other_parameters(item), []).append(item)
    for of_test in dear.values():
        for turn, in_setups in enumerate(of_test.values()):
            chosen = in_setups[turn % len(in_setups)]
            for item in in_setups:
                if item is not chosen:
                    item.add_marker(pytest.mark.nightly)


def _is_in_its_mode(item: pytest.Item) -> bool:
    wanted = item.get_closest_marker("in_mode")
    return wanted is None or bool(_setup_of(item)[1] == wanted.args[0])


def _setup_of(item: pytest.Item) -> tuple[Door, Mode]:
    (found,) = [value for value in _parameters(item).values() if value in TARGETS]
    return found


def _other_parameters(item: pytest.Item) -> str:
    """The name of a test's parameters without that of its setup."""
    assert isinstance(item, pytest.Function)
    return item.callspec.id.replace(" ".join(_setup_of(item)), "", 1)


def _parameters(item: pytest.Item) -> dict[str, object]:
    assert isinstance(item, pytest.Function)
    return item.callspec.params


@pytest.fixture(scope="module", params=TARGETS, ids=NAMES)
def attacked(request: pytest.FixtureRequest) -> Iterator[Target]:
    """A proxy with a key and default settings."""
    door, mode = request.param
    with target(door, mode) as running:
        yield running
        assert "Traceback" not in running.proxy.log


@pytest.fixture(scope="module", params=TARGETS, ids=" ".join)
def _hostile(request: pytest.FixtureRequest) -> Iterator[Setup]:
    with setup(*request.param) as running:
        yield running
    assert "Traceback" not in running.proxy.log


@pytest.fixture
def hostile(_hostile: Setup) -> Setup:
    """A proxy before a server that answers as the test says."""
    _hostile.server.forget()
    return _hostile
