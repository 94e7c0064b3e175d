"""What holds for all unit tests: property tests leave nothing behind and are not timed one by one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from ollama_openai_proxy.net import request_context

if TYPE_CHECKING:
    from collections.abc import Iterator

# The same few examples each time, so that a run neither fails nor covers a line by chance; the nightly run looks for new ones.
settings.register_profile(
    "unit", database=None, deadline=None, derandomize=True, max_examples=25, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("quick", settings.get_profile("unit"), max_examples=10)
settings.register_profile("nightly", settings.get_profile("unit"), derandomize=False, max_examples=400, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "unit"))


@pytest.fixture(autouse=True)
def _no_request() -> Iterator[None]:
    """No test is about the request of another one: `begin_record` counts until something else is said."""
    before = request_context._CURRENT.set(None)
    yield
    request_context._CURRENT.reset(before)
