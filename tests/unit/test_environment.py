"""Settings that were meant and would be ignored are found; what is for other programs is left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from ollama_openai_proxy.environment import find_mistake, nearest_name

if TYPE_CHECKING:
    from pathlib import Path

KNOWN = ["PROXY_API_KEYS", "PROXY_PORT", "OPENAI_API_BASE_URL", "OPENAI_API_KEY", "RATE_LIMIT", "OLLAMA_ORIGINS"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("PROXY_API_KEY", "PROXY_API_KEYS"),
        ("PROXYAPIKEYS", "PROXY_API_KEYS"),
        ("proxy_api_key", "PROXY_API_KEYS"),
        ("PROXY_API_KEYSS", "PROXY_API_KEYS"),
        ("OPENAI_API_KEYS", "OPENAI_API_KEY"),
        ("OLLAMA_ORIGIN", "OLLAMA_ORIGINS"),
        ("RATE_LIMITS", "RATE_LIMIT"),
    ],
)
def test_a_name_that_resembles_a_setting_is_found(tmp_path: Path, name: str, meant: str) -> None:
    told = find_mistake(tmp_path / ".env", {name: "x"}, KNOWN)
    assert told is not None
    assert told.startswith(f"{name} is no setting")
    assert f"set {meant} " in told
    (tmp_path / ".env").write_text(f"# A comment\n{name}='x'\n")
    told = find_mistake(tmp_path / ".env", {}, KNOWN)
    assert told is not None
    assert f"write {meant}" in told


@pytest.mark.parametrize(
    "name",
    [
        *("PATH", "HTTP_PROXY", "NO_PROXY", "OLLAMA_HOST", "OLLAMA_MODELS", "OPENAI_API_BASE", "OPENAI_ORG_ID", "RATE"),
        *("PROXY_PORT_11434_TCP", "PROXY_SERVICE_PORT", "proxy_port", "OPENAI_API_BASE_URL"),
    ],
)
def test_what_is_for_other_programs_or_right_is_left_alone(tmp_path: Path, name: str) -> None:
    assert find_mistake(tmp_path / ".env", {name: "x"}, KNOWN) is None
    (tmp_path / ".env").write_text(f"{name}=x\n")
    assert find_mistake(tmp_path / ".env", {}, KNOWN) is None


def test_an_empty_value_counts_as_absent(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PROXY_API_KEY=\nRATE_LIMITS\n")
    assert find_mistake(tmp_path / ".env", {"PROXY_API_KEY": ""}, KNOWN) is None


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_file_in_utf_16_is_told_to_be_saved_anew(tmp_path: Path, encoding: str) -> None:
    (tmp_path / ".env").write_bytes("PROXY_API_KEYS=x\n".encode(encoding))
    assert "save the file as UTF-8" in str(find_mistake(tmp_path / ".env", {}, KNOWN))


def test_so_is_one_in_another_encoding_but_not_one_with_a_mark(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"PROXY_API_KEYS=schl\xfcssel\n")
    assert "is not in UTF-8" in str(find_mistake(tmp_path / ".env", {}, KNOWN))
    (tmp_path / ".env").write_bytes(b"\xef\xbb\xbfPROXY_API_KEYS=x\n")
    assert find_mistake(tmp_path / ".env", {}, KNOWN) is None


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        *(("targt", "target"), ("Target", "target"), ("context-length", "context_length"), ("thikn", "think")),
        *(("think_level", "think_levels"), ("url", None), ("", None)),
    ],
)
def test_the_nearest_name_is_the_one_with_the_fewest_slips(name: str, meant: str | None) -> None:
    assert nearest_name(name, ["think_levels", "think", "target", "context_length"]) == meant
