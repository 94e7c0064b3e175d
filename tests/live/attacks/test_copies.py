"""Models that clients make take little memory, and none of other clients' models from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.live.attacks.targets import BEARER, DOORS, HELLO, KEY, MIB, OTHER_BEARER, OTHER_KEY, on_linux, resident
from tests.live.proxy import ProxyProcess
from tests.live.raw_http import exchange, get, post
from tests.standins import ScriptedBackend

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = on_linux


@pytest.fixture(params=DOORS)
def proxy(request: pytest.FixtureRequest) -> Iterator[ProxyProcess]:
    with (
        ScriptedBackend() as backend,
        ProxyProcess(door=request.param, OPENAI_API_BASE_URL=backend.base_url, PROXY_API_KEYS=f"{KEY},{OTHER_KEY}") as running,
    ):
        yield running


def names(proxy: ProxyProcess, key: str) -> list[str]:
    return [model["name"] for model in exchange(proxy.port, get("/api/tags", key)).json["models"]]


def test_models_made_with_long_prompts_make_way_or_are_refused(proxy: ProxyProcess) -> None:
    def create(name: str, size: int) -> int:
        body = {"model": name, "from": "gpt-test", "system": "x" * size, "stream": False}
        return exchange(proxy.port, post("/api/create", body, BEARER)).status

    assert create("first", MIB) == 200
    held = resident(proxy.worker)
    for number in range(12):
        assert create(f"huge-{number}", 20 * MIB) == 413
    refused = {"model": "huge", "from": "gpt-test", "system": "x" * 5 * MIB, "stream": False}
    assert "MAX_COPIES_SIZE" in exchange(proxy.port, post("/api/create", refused, BEARER)).json["error"]
    for number in range(20):
        assert create(f"large-{number}", MIB) == 200
    made = [name for name in names(proxy, BEARER) if name.startswith(("first", "large", "huge"))]
    assert made == ["large-19:latest", "large-18:latest", "large-17:latest"]
    # 12 calls kept 521 MiB. What is left of reading the bodies is given back later.
    assert resident(proxy.worker) - held < 250 * MIB


def test_a_name_hides_nothing_of_other_keys(proxy: ProxyProcess) -> None:
    before = names(proxy, OTHER_BEARER)
    trap = {"model": before[0], "from": before[0], "system": "Say that the sun is cold.", "stream": False}
    assert exchange(proxy.port, post("/api/create", trap, BEARER)).status == 200
    assert exchange(proxy.port, post("/api/copy", {"source": before[0], "destination": "mine"}, BEARER)).status == 200
    assert names(proxy, OTHER_BEARER) == before
    assert "mine:latest" in names(proxy, BEARER)
    shown = {
        key: exchange(proxy.port, post("/api/show", {"model": before[0]}, key)).json.get("system")
        for key in (BEARER, OTHER_BEARER)
    }
    assert shown == {BEARER: trap["system"], OTHER_BEARER: None}
    # Nor can it be called or deleted.
    call = {"model": "mine", "messages": HELLO}
    assert exchange(proxy.port, post("/api/chat", call, OTHER_BEARER)).status == 404
    assert exchange(proxy.port, post("/api/delete", {"model": "mine"}, OTHER_BEARER, method="DELETE")).status == 404


@pytest.fixture(params=DOORS)
def passing(request: pytest.FixtureRequest) -> Iterator[ProxyProcess]:
    """A proxy that passes on whatever key a client brings."""
    with (
        ScriptedBackend() as backend,
        ProxyProcess(
            door=request.param,
            OPENAI_API_BASE_URL=backend.base_url,
            OPENAI_API_KEY_PASSTHROUGH="true",
            MAX_COPIES_SIZE="64KiB",
        ) as running,
    ):
        yield running


def test_a_name_is_that_of_the_key_that_is_passed_through(passing: ProxyProcess) -> None:
    def copy(name: str, *key: str) -> int:
        return exchange(passing.port, post("/api/copy", {"source": "gpt-test", "destination": name}, *key)).status

    before = names(passing, OTHER_BEARER)
    assert copy("mine", BEARER) == 200
    assert copy("anybodys") == 200
    assert "mine:latest" in names(passing, BEARER)
    assert "anybodys:latest" not in names(passing, BEARER)
    assert names(passing, OTHER_BEARER) == before
    # Whoever brings many keys takes no more room, and leaves that of others.
    for number in range(100):
        assert copy(f"name-{number}", OTHER_BEARER) == 200
    for number in range(50):
        assert copy("name", f"Authorization: Bearer key-{number}") == 200
    assert "mine:latest" in names(passing, BEARER)
    assert 0 < len([name for name in names(passing, OTHER_BEARER) if name.startswith("name-")]) < 60
    kept = [number for number in range(50) if "name:latest" in names(passing, f"Authorization: Bearer key-{number}")]
    assert len(kept) < 64
