"""The configuration of each program: variables, arguments and files of its own, as pure functions of a target.

Each function names what the program reads. A program that has no other way than a file gets a file of its own beside the
user's files, which stay as they are.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .target import FOLDER, Setup

if TYPE_CHECKING:
    from .target import Target

PROVIDER = "ollama-openai-proxy"
"""The name under which programs list the proxy."""
KEY_VARIABLE = "OLLAMA_PROXY_KEY"
"""The variable of the key, for programs that want the name of one."""


def claude(target: Target) -> Setup:
    """Claude Code speaks Anthropic's API; each of its tiers of models becomes the one model.

    Without its own models it takes an unknown model for one of a million tokens.
    """
    tiers = ("OPUS", "SONNET", "HAIKU")
    environment = {
        "ANTHROPIC_BASE_URL": target.url,
        "ANTHROPIC_AUTH_TOKEN": target.sent_key,
        **{f"ANTHROPIC_DEFAULT_{tier}_MODEL": target.model for tier in tiers},
        "CLAUDE_CODE_SUBAGENT_MODEL": target.model,
        "CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY": "1",
        # Two features that only Anthropic's own servers have: one asks a second model, the other defeats prompt caches.
        "CLAUDE_CODE_AUTO_MODE_SERVER": "0",
        "CLAUDE_CODE_ATTRIBUTION_HEADER": "0",
    }
    if target.context_length:
        environment["CLAUDE_CODE_MAX_CONTEXT_TOKENS"] = str(target.context_length)
    # Of two credentials it would ask which one counts, and a cloud provider would come first.
    unset = ("ANTHROPIC_API_KEY", "ANTHROPIC_MODEL", "ANTHROPIC_SMALL_FAST_MODEL", "CLAUDE_CODE_USE_BEDROCK")
    return Setup(environment, ("--model", target.model), unset=(*unset, "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY"))


def codex(target: Target) -> Setup:
    """Codex speaks the Responses API; a provider of its own on the command line takes keys, and `--oss` does not."""
    provider = f"model_providers.{PROVIDER}"
    given: dict[str, str | int] = {
        "model_provider": PROVIDER,
        f"{provider}.name": PROVIDER,
        f"{provider}.base_url": target.openai_url,
        f"{provider}.wire_api": "responses",
        f"{provider}.env_key": KEY_VARIABLE,
    }
    if target.context_length:
        given["model_context_window"] = target.context_length
    arguments = [word for name, value in given.items() for word in ("-c", f"{name}={json.dumps(value)}")]
    return Setup({KEY_VARIABLE: target.sent_key}, (*arguments, "-m", target.model))


def opencode(target: Target) -> Setup:
    """Opencode merges the JSON of a variable over its files, which stay as they are."""
    model: dict[str, Any] = {"name": target.model, "tool_call": True, "reasoning": target.thinks, "attachment": target.vision}
    if target.context_length:
        model["limit"] = {"context": target.context_length, "output": target.output_length}
    name = f"{PROVIDER}/{target.model}"
    options = {"baseURL": target.openai_url, "apiKey": f"{{env:{KEY_VARIABLE}}}"}
    provider = {"npm": "@ai-sdk/openai-compatible", "name": PROVIDER, "options": options, "models": {target.model: model}}
    content = {"model": name, "small_model": name, "provider": {PROVIDER: provider}}
    return Setup({KEY_VARIABLE: target.sent_key, "OPENCODE_CONFIG_CONTENT": _compact(content)})


def copilot(target: Target) -> Setup:
    """Copilot CLI with a provider of its own needs no account at GitHub."""
    environment = {
        "COPILOT_PROVIDER_BASE_URL": target.openai_url,
        "COPILOT_PROVIDER_TYPE": "openai",
        "COPILOT_PROVIDER_BEARER_TOKEN": target.sent_key,
        "COPILOT_MODEL": target.model,
    }
    if target.context_length:
        environment["COPILOT_PROVIDER_MAX_PROMPT_TOKENS"] = str(target.context_length - target.output_length)
        environment["COPILOT_PROVIDER_MAX_OUTPUT_TOKENS"] = str(target.output_length)
    return Setup(environment, unset=("COPILOT_PROVIDER_API_KEY", "COPILOT_PROVIDER_WIRE_MODEL", "COPILOT_PROVIDER_MODEL_ID"))


def qwen(target: Target) -> Setup:
    """Qwen Code reads the context length only from settings: here from a file of defaults, before which the user's count."""
    environment = {
        "OPENAI_BASE_URL": target.openai_url,
        "OPENAI_API_KEY": target.sent_key,
        "OPENAI_MODEL": target.model,
    }
    arguments = ("--auth-type", "openai", "--model", target.model)
    if not target.context_length:
        return Setup(environment, arguments)
    settings = {"model": {"generationConfig": {"contextWindowSize": target.context_length}}}
    environment["QWEN_CODE_SYSTEM_DEFAULTS_PATH"] = f"{FOLDER}/qwen-defaults.json"
    return Setup(environment, arguments, {"qwen-defaults.json": _indented(settings)})


def cline(target: Target) -> Setup:
    """Cline's command takes a base URL only from its file of providers, whose place a variable names."""
    settings = {
        "provider": "openai-compatible",
        "apiKey": target.sent_key,
        "model": target.model,
        "baseUrl": target.openai_url,
    }
    entry = {"settings": settings, "updatedAt": "1970-01-01T00:00:00.000Z", "tokenSource": "manual"}
    content = {"version": 1, "lastUsedProvider": "openai-compatible", "providers": {"openai-compatible": entry}}
    return Setup(
        {"CLINE_PROVIDER_SETTINGS_PATH": f"{FOLDER}/providers.json"},
        ("-P", "openai-compatible", "-m", target.model),
        {"providers.json": _indented(content)},
    )


def continue_(target: Target) -> Setup:
    """Continue's command takes a whole configuration from a file; JSON is YAML, too."""
    capabilities = ["tool_use", *(["image_input"] if target.vision else [])]
    model: dict[str, Any] = {
        "name": target.model,
        "provider": "openai",
        "model": target.model,
        "apiBase": target.openai_url,
        "apiKey": target.sent_key,
        "roles": ["chat", "edit", "apply"],
        "capabilities": capabilities,
    }
    if target.context_length:
        model["contextLength"] = target.context_length
        model["defaultCompletionOptions"] = {"contextLength": target.context_length, "maxTokens": target.output_length}
    content = {"name": PROVIDER, "version": "1.0.0", "schema": "v1", "models": [model]}
    return Setup(arguments=("--config", f"{FOLDER}/config.yaml"), files={"config.yaml": _indented(content)})


def aider(target: Target) -> Setup:
    """Aider knows the context length of an unknown model only from a file of metadata."""
    name = f"openai/{target.model}"
    environment = {"OPENAI_API_BASE": target.openai_url, "OPENAI_API_KEY": target.sent_key}
    arguments = ("--model", name, "--weak-model", name, "--no-show-model-warnings")
    if not target.context_length:
        return Setup(environment, arguments)
    metadata = {
        "max_input_tokens": target.context_length,
        "max_output_tokens": target.output_length,
        "litellm_provider": "openai",
        "mode": "chat",
    }
    return Setup(
        environment,
        (*arguments, "--model-metadata-file", f"{FOLDER}/metadata.json"),
        {"metadata.json": _indented({name: metadata})},
    )


def pi(target: Target) -> Setup:
    """Pi takes a provider from an extension, which is a file that an argument names."""
    model: dict[str, Any] = {
        "id": target.model,
        "name": target.model,
        "reasoning": target.thinks,
        "input": ["text", *(["image"] if target.vision else [])],
        "cost": dict.fromkeys(("input", "output", "cacheRead", "cacheWrite"), 0),
        "contextWindow": target.context_length or 32_768,
        "maxTokens": target.output_length or 8192,
        "compat": {"supportsDeveloperRole": False},
    }
    provider = {
        "name": PROVIDER,
        "baseUrl": target.openai_url,
        "apiKey": KEY_VARIABLE,
        "api": "openai-completions",
        "models": [model],
    }
    extension = (
        f"export default (pi) => {{\n  pi.registerProvider({json.dumps(PROVIDER)}, {_indented(provider).strip()});\n}};\n"
    )
    return Setup(
        {KEY_VARIABLE: target.sent_key},
        ("--extension", f"{FOLDER}/provider.js", "--provider", PROVIDER, "--model", target.model),
        {"provider.js": extension},
    )


def gptme(target: Target) -> Setup:
    """Gptme has a provider `local` for servers with OpenAI's API."""
    environment = {"OPENAI_BASE_URL": target.openai_url, "OPENAI_API_KEY": target.sent_key}
    return Setup(environment, ("--model", f"local/{target.model}"))


def llm(target: Target) -> Setup:
    """The command `llm` with llm-ollama, which reads the variables of Ollama's SDK and puts a prefix to each name."""
    return Setup(_ollama(target), ("--model", f"ollama/{target.model}"))


def aichat(target: Target) -> Setup:
    """Aichat takes a whole configuration from a file that a variable names; JSON is YAML, too."""
    model: dict[str, Any] = {"name": target.model, "supports_function_calling": True, "supports_vision": target.vision}
    if target.context_length:
        model["max_input_tokens"] = target.context_length
    client = {
        "type": "openai-compatible",
        "name": PROVIDER,
        "api_base": target.openai_url,
        "api_key": target.sent_key,
        "models": [model],
    }
    content = {"model": f"{PROVIDER}:{target.model}", "clients": [client]}
    return Setup({"AICHAT_CONFIG_FILE": f"{FOLDER}/config.yaml"}, files={"config.yaml": _indented(content)})


def oterm(target: Target) -> Setup:
    """Oterm reads the variables of Ollama's SDK and lists the models itself."""
    return Setup(_ollama(target))


def ollama(target: Target) -> Setup:
    """The `ollama` command, which sends no key."""
    return Setup({"OLLAMA_HOST": target.url})


def _ollama(target: Target) -> dict[str, str]:
    key = {"OLLAMA_API_KEY": target.key} if target.key else {}
    return {"OLLAMA_HOST": target.url, **key}


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _indented(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
