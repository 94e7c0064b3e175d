"""Names are taken apart, completed and judged as Ollama does it."""

import pytest
from ollama_openai_proxy.schemas.ollama.model_names import LONGEST_NAME, Name, parse_name, shown

OLLAMA = "registry.ollama.ai"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        pytest.param("m", (OLLAMA, "library", "m", "latest"), id="a model alone"),
        pytest.param("m:8b", (OLLAMA, "library", "m", "8b"), id="with a tag"),
        pytest.param("n/m", (OLLAMA, "n", "m", "latest"), id="with a namespace"),
        pytest.param("n/m:8b", (OLLAMA, "n", "m", "8b"), id="with a namespace and a tag"),
        pytest.param("h.example/n/m:8b", ("h.example", "n", "m", "8b"), id="with all parts"),
        pytest.param("h.example:5000/n/m", ("h.example:5000", "n", "m", "latest"), id="with a port, which is no tag"),
        pytest.param("h.example:5000/n/m:8b", ("h.example:5000", "n", "m", "8b"), id="with a port and a tag"),
        pytest.param("https://h.example/n/m:8b", ("h.example", "n", "m", "8b"), id="with a scheme, which is not kept"),
        pytest.param("M:8B", (OLLAMA, "library", "M", "8B"), id="in its own case"),
        pytest.param("gpt-4o_mini.2:q4_K-M.x", (OLLAMA, "library", "gpt-4o_mini.2", "q4_K-M.x"), id="of all characters"),
        pytest.param("m" * 80, (OLLAMA, "library", "m" * 80, "latest"), id="of 80 characters"),
        pytest.param(f"{'h' * 350}/n/m", ("h" * 350, "n", "m", "latest"), id="on a host of 350 characters"),
    ],
)
def test_a_name_has_four_parts(text: str, parts: tuple[str, str, str, str]) -> None:
    assert parse_name(text) == Name(*parts)
    assert parse_name(text).valid


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "a b", "m ", "m\n", "m@1", "m:", ":8b", "m:8b:9b", "/m", "n//m", "n/", "/", ":"),
        *("-m", ".m", "m:-8b", "m:.8b", "-n/m", "-h.example/n/m", "ü", "m:ü"),
        pytest.param("vendor.ai/m", id="a dot in the namespace"),
        pytest.param("accounts/x/models/m", id="more than three parts"),
        pytest.param("m" * 81, id="more than 80 characters"),
        pytest.param("m:" + "t" * 81, id="a tag of more than 80 characters"),
        pytest.param("h" * 351 + "/n/m", id="a host of more than 350 characters"),
    ],
)
def test_some_names_no_model_can_have(text: str) -> None:
    assert not parse_name(text).valid


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("m", "registry.ollama.ai/library/m:latest"),
        ("N/M:8B", "registry.ollama.ai/N/M:8B"),
        ("h.example/n/m", "h.example/n/m:latest"),
        pytest.param("a b", "registry.ollama.ai/library/a b:latest", id="invalid"),
    ],
)
def test_errors_show_the_whole_name(text: str, full: str) -> None:
    assert parse_name(text).full == full


@pytest.mark.parametrize(
    ("text", "shortest"),
    [
        ("a", "a:latest"),
        ("a:1b", "a:1b"),
        ("registry.ollama.ai/library/a:1b", "a:1b"),
        ("me/a", "me/a:latest"),
        ("hub.example/library/a", "hub.example/library/a:latest"),
    ],
)
def test_other_errors_show_the_shortest_name_with_its_tag(text: str, shortest: str) -> None:
    assert parse_name(text).shortest == shortest


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("gpt-4o:latest", "gpt-4o:latest"),
        ("üé", "üé"),
        ("a\x1b[2J\n\0\u2028", "a\\x1b[2J\\n\\x00\\u2028"),
        ("m" * LONGEST_NAME, "m" * LONGEST_NAME),
        ("m" * (LONGEST_NAME + 1), "m" * LONGEST_NAME + "…"),
    ],
)
def test_a_name_in_a_text_is_cut_and_commands_no_terminal(name: str, text: str) -> None:
    assert shown(name) == text
