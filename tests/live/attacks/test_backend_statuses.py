"""A server whose statuses are none: the client is told 502."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.live.attacks.backend_side import CALLS, Says, reply, said

if TYPE_CHECKING:
    from tests.live.attacks.backend_side import Setup


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("status", ["600", "700", "999", "101", "099", "000", "1000", "20", "-200", "abc", "2 00"])
def test_a_status_outside_of_those_of_answers_is_502(hostile: Setup, name: str, status: str) -> None:
    hostile.server.answer = lambda _: Says([reply(said("fine"), status)], "close")
    assert hostile.call(CALLS[name]).status == 502


def test_of_a_list_of_models_too(hostile: Setup) -> None:
    hostile.server.lists = lambda _: Says([reply({}, "666")], "close")
    assert hostile.call(("/api/tags", None)).status in (200, 502)
    assert hostile.works()
