"""Whatever servers send is read as what it means, however its bytes are cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.translate.reader.bodies import brief, read
from tests.unit.translate.reader.corpus import ROWS, TOOLS

if TYPE_CHECKING:
    from tests.unit.translate.reader.corpus import Row


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.group}: {row.sends}")
def test_what_servers_send_is_read(row: Row) -> None:
    options = {"tools": TOOLS} | dict(row.options)
    assert brief(read(row.body, framed=row.framed, **options)) == list(row.brief)
    every = range(len(row.body))
    assert brief(read(row.body, framed=row.framed, cuts=every, **options)) == list(row.brief)


@given(row=st.sampled_from(ROWS), cuts=st.lists(st.integers(0, 2000), max_size=12))
def test_any_cut_of_the_bytes_gives_the_same_answer(row: Row, cuts: list[int]) -> None:
    options = {"tools": TOOLS} | dict(row.options)
    assert brief(read(row.body, framed=row.framed, cuts=cuts, **options)) == list(row.brief)
