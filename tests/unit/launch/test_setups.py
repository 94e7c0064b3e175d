"""What each program is configured with."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from typing import Any

import pytest
from ollama_openai_proxy.launch.programs import PROGRAMS, Program, find_program
from ollama_openai_proxy.launch.target import FOLDER, Setup, Target

TARGET = Target("http://127.0.0.1:11434", "qwen3:8b", "secret-key", 65_536, ("low", "high"), thinks=True, vision=True)
BARE = Target("http://127.0.0.1:11434", "qwen3:8b")
TAKES_A_CONTEXT = ["claude", "codex", "opencode", "qwen", "copilot", "continue", "aider", "pi", "aichat"]
WITHOUT_KEY = ["ollama"]


def setup_of(name: str, target: Target = TARGET) -> Setup:
    program = find_program(name)
    assert program is not None
    return program.setup(target)


def whole(setup: Setup) -> str:
    return "\n".join([*setup.environment.values(), *setup.arguments, *setup.files.values()])


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
@pytest.mark.parametrize("target", [TARGET, BARE, replace(TARGET, vision=False, thinks=False)], ids=["all", "bare", "plain"])
def test_a_setup_names_the_proxy_and_each_file_that_is_used(program: Program, target: Target) -> None:
    setup = program.setup(target)
    text = whole(setup)
    assert target.url in text
    used = "\n".join([*setup.environment.values(), *setup.arguments])
    assert all(f"{FOLDER}/{name}" in used for name in setup.files)
    assert used.count(FOLDER) == len(setup.files)
    assert not set(setup.unset) & set(setup.environment)


@pytest.mark.parametrize("program", [each for each in PROGRAMS if each.name not in WITHOUT_KEY], ids=lambda each: each.name)
def test_a_key_reaches_the_program(program: Program) -> None:
    assert TARGET.key in whole(program.setup(TARGET))
    assert TARGET.key not in whole(program.setup(BARE))


@pytest.mark.parametrize(
    "program", [each for each in PROGRAMS if each.name not in ("oterm", "ollama")], ids=lambda each: each.name
)
def test_the_model_is_chosen(program: Program) -> None:
    assert TARGET.model in whole(program.setup(TARGET))


@pytest.mark.parametrize("name", TAKES_A_CONTEXT)
def test_the_context_length_is_told_where_it_is_known(name: str) -> None:
    known, unknown = whole(setup_of(name)), whole(setup_of(name, BARE))
    assert "65536" in known or "49152" in known
    assert "65536" not in unknown


def test_claude_code_uses_the_one_model_for_all_of_its_tiers() -> None:
    setup = setup_of("claude")
    assert {value for name, value in setup.environment.items() if name.endswith("_MODEL")} == {TARGET.model}
    assert setup.environment["ANTHROPIC_BASE_URL"] == TARGET.url
    assert setup.environment["CLAUDE_CODE_MAX_CONTEXT_TOKENS"] == "65536"
    assert "ANTHROPIC_API_KEY" in setup.unset
    assert setup.arguments == ("--model", TARGET.model)


def test_codex_gets_a_provider_in_toml() -> None:
    arguments = setup_of("codex").arguments
    assert arguments[-2:] == ("-m", TARGET.model)
    pairs = [arguments[index + 1] for index in range(0, len(arguments) - 2, 2)]
    assert set(arguments[0:-2:2]) == {"-c"}
    read = tomllib.loads("\n".join(pairs))
    assert read["model_provider"] == "ollama-openai-proxy"
    provider = read["model_providers"]["ollama-openai-proxy"]
    assert provider["base_url"] == f"{TARGET.url}/v1"
    assert provider["wire_api"] == "responses"
    assert provider["env_key"] in setup_of("codex").environment
    assert read["model_context_window"] == 65_536


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("codex", "qwen3:8b"),
        ("aider", "openai/qwen3:8b"),
        ("gptme", "local/qwen3:8b"),
        # The plugin llm-ollama puts the prefix to each name.
        ("llm", "ollama/qwen3:8b"),
    ],
)
def test_a_program_gets_the_name_by_which_it_knows_the_model(name: str, model: str) -> None:
    assert model in setup_of(name).arguments


def test_opencode_gets_its_configuration_in_a_variable_without_the_key() -> None:
    environment = setup_of("opencode").environment
    content = json.loads(environment["OPENCODE_CONFIG_CONTENT"])
    provider, _, model = content["model"].partition("/")
    assert content["small_model"] == content["model"]
    assert content["provider"][provider]["options"] == {"baseURL": f"{TARGET.url}/v1", "apiKey": "{env:OLLAMA_PROXY_KEY}"}
    assert content["provider"][provider]["models"][model]["limit"] == {"context": 65_536, "output": 16_384}
    assert environment["OLLAMA_PROXY_KEY"] == TARGET.key


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("qwen", "qwen-defaults.json"),
        ("cline", "providers.json"),
        ("continue", "config.yaml"),
        ("aider", "metadata.json"),
        ("aichat", "config.yaml"),
    ],
)
def test_a_file_is_json(name: str, file: str) -> None:
    assert isinstance(json.loads(setup_of(name).files[file]), dict)


def test_pi_gets_a_provider_from_an_extension() -> None:
    text = setup_of("pi").files["provider.js"]
    before, _, rest = text.partition("registerProvider(")
    name, _, config = rest.partition(", ")
    provider: dict[str, Any] = json.loads(config.rpartition(");")[0])
    assert before.startswith("export default (pi) => {")
    assert json.loads(name) in setup_of("pi").arguments
    assert provider["apiKey"] in setup_of("pi").environment
    assert provider["models"][0]["input"] == ["text", "image"]
    assert (
        json.loads(setup_of("pi", BARE).files["provider.js"].partition('models": ')[2].partition("\n  ]")[0] + "]")[0][
            "maxTokens"
        ]
        == 8192
    )
