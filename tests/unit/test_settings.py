"""Settings: where they come from, what is taken, and what a wrong one is told."""

import re
from pathlib import Path
from typing import Any

import pytest
from ollama_openai_proxy.settings import (
    DEFAULT_PORTS,
    OPENAI_URL,
    AddressNames,
    Settings,
    SettingsError,
    about,
    check_listening,
    load_settings,
    pairs,
)
from pydantic import SecretStr

KEYED = {"openai_api_key": "sk"}


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(name, raising=False)


# ── where they come from


def test_the_defaults_serve_openai_on_ollamas_port() -> None:
    settings = load_settings(KEYED)
    assert (settings.proxy_mode, settings.openai_api_base_url) == ("translate", OPENAI_URL)
    assert (settings.proxy_host, settings.proxy_port) == ("127.0.0.1", 11434)
    assert (settings.fix_methods, settings.ollama_version, settings.log_level) == (True, "0.40.12", "info")


def test_an_override_beats_the_environment_which_beats_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PROXY_HOST=file\nLOG_LEVEL=error\nPROXY_PORT=1\nOPENAI_API_KEY=sk\nUNKNOWN=1\n")
    monkeypatch.setenv("PROXY_HOST", "environment")
    monkeypatch.setenv("LOG_LEVEL", "warning")
    settings = load_settings({"proxy_host": "override", "log_level": None})
    assert (settings.proxy_host, settings.log_level, settings.proxy_port) == ("override", "warning", 1)


def test_an_empty_value_counts_as_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROXY_HOST", "")
    monkeypatch.setenv("PROXY_PORT", "")
    settings = load_settings(KEYED | {"log_level": "", "proxy_mode": None})
    assert (settings.proxy_host, settings.proxy_port, settings.log_level) == ("127.0.0.1", 11434, "info")


@pytest.mark.parametrize("mode", ["translate", "fix"])
def test_each_mode_has_its_port_and_its_server(mode: Any) -> None:
    settings = load_settings(
        KEYED | {"proxy_mode": mode, "ollama_upstream_url": "http://o:1", "openai_api_base_url": "http://b:2"}
    )
    assert settings.proxy_port == DEFAULT_PORTS[mode]
    assert settings.upstream_url == {"translate": "http://b:2", "fix": "http://o:1"}[mode]
    assert load_settings(KEYED | {"proxy_mode": mode, "proxy_port": "5"}).proxy_port == 5
    assert load_settings(KEYED | {"proxy_mode": mode, "proxy_port": "0"}).proxy_port == 0


def test_the_key_is_not_shown() -> None:
    assert "sk" not in repr(load_settings(KEYED))


@pytest.mark.parametrize("name", ["OPENAI_BASE_URL", "OPENAI_API_BASE"])
def test_a_missing_key_is_told_and_the_name_of_a_url_that_is_not_read(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for other in ("OPENAI_BASE_URL", "OPENAI_API_BASE"):
        monkeypatch.delenv(other, raising=False)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    plain = str(caught.value)
    assert plain.startswith("OPENAI_API_KEY is not set: set it to your OpenAI key, or set OPENAI_API_BASE_URL ")
    assert "but" not in plain
    monkeypatch.setenv(name, "http://127.0.0.1:8000/v1")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value) == f"{plain} {name} is set, but the proxy reads the URL from OPENAI_API_BASE_URL."


def test_no_key_is_demanded_where_no_server_need_be_called() -> None:
    assert not load_settings(demand_keys=False).demands_keys
    assert load_settings(KEYED).demands_keys
    assert not load_settings(KEYED).without_demand_for_keys().model_copy(update={"proxy_port": 1}).demands_keys
    with pytest.raises(SettingsError, match=r"^PROXY_PORT is wrong"):
        load_settings({"proxy_port": "x"}, demand_keys=False)


# ── values


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        *(("proxy_mode", " FIX ", "fix"), ("log_level", "Debug", "debug"), ("fix_methods", "false", False)),
        *(("fix_methods", "1", True), ("proxy_port", "65535", 65535), ("ollama_version", "0.33.0", "0.33.0")),
        *(
            ("openai_api_base_url", "http://h:8000/v1/", "http://h:8000/v1"),
            ("ollama_upstream_url", "https://h//", "https://h"),
        ),
        ("openai_api_base_url", "http://[::1]:8000/v1", "http://[::1]:8000/v1"),
        ("openai_api_key", " sk-1\n", SecretStr("sk-1")),
    ],
)
def test_a_value_is_read(name: str, text: str, value: object) -> None:
    assert getattr(load_settings(KEYED | {name: text}), name) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("proxy_mode", "both"), ("log_level", "loud"), ("fix_methods", "perhaps")),
        *(("proxy_port", "0.5"), ("proxy_port", "-1"), ("proxy_port", "65536"), ("proxy_port", "x")),
        *(("openai_api_key", "sk-…"), ("openai_api_key", "sk one"), ("openai_api_key", "sk-\x7f")),
        *(("ollama_version", "0.24"), ("ollama_version", "v0.24.0"), ("ollama_version", "0.24.0-rc1")),
        *[
            (name, url)
            for name in ("openai_api_base_url", "ollama_upstream_url")
            for url in (
                *("host:8000", "ftp://h", "http://", "http://h:0", "http://h:99999", "http://h/?q=1", "http://h/#f"),
                *("http://user:secret@h", "http://user@h", "http://[::1"),
            )
        ],
    ],
)
def test_a_wrong_value_is_told_what_it_must_be_and_is_not_shown(name: str, text: str) -> None:
    wanted = about(name).must_be
    with pytest.raises(SettingsError) as caught:
        load_settings(KEYED | {name: text})
    assert str(caught.value) == f"{name.upper()} is wrong: it must be {wanted}."


# ── servers behind the proxy


@pytest.mark.parametrize(
    ("given", "servers"),
    [
        ({"openai_api_key": "sk"}, OPENAI_URL),
        ({"backends": "groq, mistral"}, "groq, mistral"),
        ({"backends": "groq", "openai_api_base_url": "http://h/v1"}, "http://h/v1, groq"),
        ({"proxy_mode": "fix", "backends": "groq", "ollama_upstream_url": "http://o"}, "http://o"),
    ],
)
def test_the_servers_are_named_in_the_log(given: dict[str, str], servers: str) -> None:
    assert load_settings(given).servers == servers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("X-Title=My app, X-Team=red", {"X-Title": "My app", "X-Team": "red"}),
        ("a=b=c,", {"a": "b=c"}),
        ('{"HTTP-Referer": "https://a,b"}', {"HTTP-Referer": "https://a,b"}),
        ("", {}),
    ],
)
def test_pairs_are_read(text: str, expected: dict[str, str]) -> None:
    assert pairs(text) == expected


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *[("backend_headers", text) for text in ("x", "=y", "{", '{"a": 1}', "[1]", "Host=x", "a b=c", '{"A": "b\\n"}', "A=ü")],
        *[("backend_query", text) for text in ("x", '{"a": []}')],
        *[("backend_apis", text) for text in (",", "chat,embeddings")],
        ("backends", "vllm"),
    ],
)
def test_a_wrong_way_to_a_server_is_told_what_it_must_be(name: str, text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(KEYED | {name: text})
    assert str(caught.value) == f"{name.upper()} is wrong: it must be {about(name).must_be}."


@pytest.mark.parametrize("word", ["chat", "Chat completions", "/v1/chat/completions", "chat.completions", "chat_completions"])
def test_an_api_is_named_by_its_name_or_its_path(word: str) -> None:
    assert load_settings(KEYED | {"backend_apis": f"{word},messages"}).used_apis == frozenset(("chat", "messages"))


# ── what is listened on

NAMES = AddressNames("HOST", "PORT (or --port)")


@pytest.mark.parametrize("port", [-1, 1 << 16, 70_000])
def test_a_port_that_is_none_is_told(port: int) -> None:
    with pytest.raises(SettingsError, match=re.escape(f"Port {port} is none: set PORT (or --port) to one from 0 to 65535.")):
        check_listening("127.0.0.1", port, NAMES)


@pytest.mark.parametrize("host", ["a..b", "a" * 70, "\udcff", "no such host"])
def test_a_host_that_is_none_is_told(host: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(f"HOST is {host!r}, which is no address")):
        check_listening(host, 0, NAMES)
