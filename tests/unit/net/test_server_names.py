"""Whom an error tells the name of a server."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ollama_openai_proxy.net.request_context import Record, begin_record
from ollama_openai_proxy.net.server_names import about_server

if TYPE_CHECKING:
    import pytest

URL = "http://gpu-7.internal:8000/v1"
WHOLE = f"cannot connect to the back end at {URL}: gpu-7.internal is not known"
NAMELESS = "cannot connect to the back end: gpu-7.internal is not known"


async def test_a_client_on_this_machine_is_told_the_name(caplog: pytest.LogCaptureFixture) -> None:
    begin_record(Record("1"))
    assert about_server(URL, WHOLE, NAMELESS) == WHOLE
    assert caplog.messages == []


async def test_any_other_client_is_told_the_id_under_which_the_log_has_the_name(caplog: pytest.LogCaptureFixture) -> None:
    begin_record(Record("abc", on_loopback=False))
    with caplog.at_level(logging.WARNING):
        assert about_server(URL, WHOLE, NAMELESS) == "cannot connect to the back end: … is not known (request id abc)"
    assert caplog.messages == [f"{WHOLE} request_id=abc"]
