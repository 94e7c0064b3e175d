"""Whoever tries keys out is slowed down, and nobody else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.live.attacks.targets import BEARER, NAMES, TARGETS, target
from tests.live.raw_http import exchange, get


def guess(number: int, address: str) -> bytes:
    return get("/api/version", f"Authorization: Bearer wrong-key-{number}", f"X-Forwarded-For: {address}")


@pytest.mark.parametrize(("door", "mode"), TARGETS, ids=NAMES)
def test_an_address_finds_out_about_few_keys(door: object, mode: object) -> None:
    with target(door, mode, WRONG_KEYS_PER_MINUTE="5", TRUSTED_PROXIES="127.0.0.1") as attacked:  # type: ignore[arg-type]
        port = attacked.port
        known = get("/api/version", BEARER, "X-Forwarded-For: 192.0.2.1")
        assert exchange(port, known).status == 200
        with ThreadPoolExecutor(40) as pool:
            answers = list(pool.map(lambda number: exchange(port, guess(number, "192.0.2.1")), range(40)))
            statuses = [answer.status for answer in answers]
            # Five at once, those that wait a second each, and the others without a look at their keys.
            assert set(statuses) == {401, 429}
            assert statuses.count(429) >= 10
            assert next(answer for answer in answers if answer.status == 429).headers["retry-after"] == "1"
            # Meanwhile, other addresses are not shut, and neither is the address for a key that was right before.
            running = [pool.submit(exchange, port, guess(number, "192.0.2.1")) for number in range(30)]
            assert exchange(port, known).status == 200
            assert exchange(port, guess(0, "192.0.2.2")).status == 401
            assert exchange(port, get("/api/version", BEARER, "X-Forwarded-For: 192.0.2.3")).status == 200
            assert {each.result().status for each in running} <= {401, 429}
        # Whoever brings none does not try keys out.
        assert {exchange(port, get("/api/version")).status for _ in range(30)} == {401}
