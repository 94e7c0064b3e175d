"""Of all bodies together no more than a limit is held."""

from __future__ import annotations

import pytest
from ollama_openai_proxy.errors import ApiError
from ollama_openai_proxy.guard.held_bytes import HeldBytes


def test_what_would_be_too_much_is_refused_until_others_have_left() -> None:
    held = HeldBytes(100)
    first, second = held.hold(), held.hold()
    first.add(60)
    second.add(40)
    assert not held.has_room(1)
    with pytest.raises(ApiError) as refused:
        second.add(1)
    assert (refused.value.status, refused.value.headers, "MAX_BUFFERED" in refused.value.message) == (
        503,
        {"Retry-After": "1"},
        True,
    )
    first.release()
    first.release()
    assert held.total == 40
    second.add(60)
    second.release()
    assert held.total == 0


def test_without_a_limit_all_is_held() -> None:
    held = HeldBytes(0)
    held.hold().add(1 << 50)
    assert held.has_room(1 << 50)
