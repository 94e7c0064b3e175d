"""The servers of the settings and of the models file: what stops the start where a key is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from ollama_openai_proxy.models.models_file import load_models_file
from ollama_openai_proxy.models.servers import configured_servers
from ollama_openai_proxy.settings import Settings, SettingsError, load_settings

if TYPE_CHECKING:
    from pathlib import Path

NAMED = (
    "TWO_KEY is not set: backends.two in MODELS_FILE names it as its key; "
    "set it, or take api_key_env out if the server needs no key."
)
PRESET = "GROQ_API_KEY is not set: backends.two in MODELS_FILE needs it as the key of groq."


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [*(each.upper() for each in Settings.model_fields), "TWO_KEY", "GROQ_API_KEY"]:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("lines", "environment", "missing"),
    [
        ("url = 'http://h/v1'\napi_key_env = 'TWO_KEY'", {}, NAMED),
        ("url = 'http://h/v1'\napi_key_env = 'TWO_KEY'", {"TWO_KEY": ""}, NAMED),
        ("preset = 'groq'\napi_key_env = 'TWO_KEY'", {}, NAMED),
        ("preset = 'groq'\nurl = 'http://h/v1'\napi_key_env = 'TWO_KEY'", {}, NAMED),
        ("preset = 'groq'", {}, PRESET),
        ("url = 'http://h/v1'\napi_key_env = 'TWO_KEY'", {"TWO_KEY": "sk-two"}, ""),
        ("url = 'http://h/v1'\napi_key_env = 'TWO_KEY'\napi_key = 'sk-file'", {}, ""),
        ("preset = 'groq'\nurl = 'http://h/v1'", {}, ""),
        ("url = 'http://h/v1'", {}, ""),
    ],
)
def test_a_key_that_is_named_and_not_set_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: str, environment: dict[str, str], missing: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "models.toml").write_text(f"[backends.two]\n{lines}\n", "utf-8")
    file = load_models_file(tmp_path / "models.toml")
    settings = load_settings({"openai_api_base_url": "http://one/v1"})
    assert configured_servers(settings.without_demand_for_keys(), file)[1].missing_key == missing
    if missing:
        with pytest.raises(SettingsError) as caught:
            configured_servers(settings, file)
        assert str(caught.value) == missing
    else:
        assert configured_servers(settings, file)[1].name == "two"


def test_a_key_that_clients_bring_need_not_be_set(tmp_path: Path) -> None:
    (tmp_path / "models.toml").write_text("[backends.groq]\napi_key_env = 'TWO_KEY'\n", "utf-8")
    file = load_models_file(tmp_path / "models.toml")
    settings = load_settings({"backends": "groq", "openai_api_key_passthrough": "true"})
    assert [server.missing_key for server in configured_servers(settings, file)] == [""]
