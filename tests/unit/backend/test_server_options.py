"""Which calls go to a server as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from ollama_openai_proxy.backend.server_options import ServerOptions
from ollama_openai_proxy.translate.server_profiles import PROFILES

if TYPE_CHECKING:
    from ollama_openai_proxy.settings import ApiName
    from ollama_openai_proxy.translate.server_profiles import ProfileName

ALL: frozenset[ApiName] = frozenset({"chat", "completions", "responses", "messages"})


@pytest.mark.parametrize(
    ("profile", "apis", "translated"),
    [
        ("generic", None, set()),
        ("vllm", None, set()),
        ("llamacpp", None, {"/v1/responses", "/v1/messages", "/v1/messages/count_tokens"}),
        ("transformers", None, {"/v1/responses"}),
        # Whoever names the APIs gets them.
        ("llamacpp", ALL, set()),
        ("llamacpp", frozenset({"chat", "responses"}), {"/v1/completions", "/v1/messages", "/v1/messages/count_tokens"}),
        ("generic", frozenset({"chat", "completions"}), {"/v1/responses", "/v1/messages", "/v1/messages/count_tokens"}),
    ],
)
def test_the_settings_or_else_the_kind_of_server_decide_what_is_translated(
    profile: ProfileName, apis: frozenset[ApiName] | None, translated: set[str]
) -> None:
    options = ServerOptions(apis=apis)
    paths = {"/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages", "/v1/messages/count_tokens"}
    assert {path for path in paths if not options.uses(path, PROFILES[profile].translated)} == translated
    assert options.uses("/v1/rerank", PROFILES[profile].translated)
