"""Whose key a call to a server carries, and in which headers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest
from ollama_openai_proxy.backend.call_headers import CallHeaders
from ollama_openai_proxy.backend.server_options import ServerOptions
from ollama_openai_proxy.net.request_context import Record, begin_record
from pydantic import SecretStr

if TYPE_CHECKING:
    from collections.abc import Mapping


class Case(NamedTuple):
    own: str | None
    client: str | None
    passthrough: bool
    options: Mapping[str, str]
    owner: str
    sdk: str | None
    """`Authorization` of a call of the SDK; None where the SDK's own counts, and "" where there is none."""
    passed: list[tuple[str, str]]
    """Further headers of a call that is handed on."""


CASES = {
    "no key at all": Case(None, "c", False, {}, "nobody", "", []),
    "the proxy's": Case("o", "c", False, {}, "proxy", None, [("Authorization", "Bearer o"), ("X-Api-Key", "o")]),
    "the client's": Case("o", "c", True, {}, "client", "Bearer c", [("Authorization", "Bearer c"), ("X-Api-Key", "c")]),
    "no client's": Case("o", None, True, {}, "proxy", None, [("Authorization", "Bearer o"), ("X-Api-Key", "o")]),
    "nobody's": Case(None, None, True, {}, "nobody", "", []),
    "in a header of the server": Case(None, None, False, {"api-key": "h"}, "proxy", "", [("api-key", "h")]),
    "in the SDK's own header": Case(None, None, False, {"authorization": "h"}, "proxy", "h", [("authorization", "h")]),
    "beside another header": Case(None, None, False, {"x-title": "t"}, "nobody", "", [("x-title", "t")]),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_call_carries_the_key_that_the_settings_say(case: Case) -> None:
    begin_record(Record("id", "POST", "/", client_key=case.client))
    options = ServerOptions(headers={name: SecretStr(value) for name, value in case.options.items()})
    headers = CallHeaders("lab", SecretStr(case.own) if case.own else None, options, passthrough=case.passthrough)
    assert headers.key_sent() == (case.owner, "of the back end lab")
    assert headers.brings_key() == (case.owner != "nobody")
    sent = headers.of_the_sdk()
    assert sent["X-Request-Id"] == "id"
    authorization = sent.get("Authorization")
    assert (authorization if isinstance(authorization, str | None) else "") == case.sdk
    assert headers.beside_a_clients() == [("Accept-Encoding", "identity"), *case.passed]


def test_the_key_of_the_settings_server_has_the_name_of_its_setting() -> None:
    begin_record(Record("id", "POST", "/"))
    assert CallHeaders("default", SecretStr("o"), ServerOptions(), passthrough=False).key_sent() == ("proxy", "OPENAI_API_KEY")
