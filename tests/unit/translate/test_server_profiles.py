"""Each family of servers gets what it takes, under its own names."""

from typing import TYPE_CHECKING, Any, get_args

import pytest
from ollama_openai_proxy.schemas.ollama.options import FORMER, KINDS, check_options
from ollama_openai_proxy.translate.server_profiles import (
    PROFILES,
    ProfileName,
    detect_profile,
    nearest_format,
    sampling_parameters,
    supported_format,
    thinking_parameters,
)

if TYPE_CHECKING:
    from ollama_openai_proxy.schemas.ollama.requests import Think

SCHEMA = {"type": "json_schema", "json_schema": {"name": "schema", "schema": {"type": "array"}}}
ANY_OBJECT = {"type": "json_schema", "json_schema": {"name": "schema", "schema": {"type": "object"}}}
JSON = {"type": "json_object"}

PLAIN_OPTIONS = {
    "temperature": 0.1,
    "top_p": 0.2,
    "seed": 3,
    "stop": ["a", "b", "c", "d", "e", "f"],
    "num_predict": 7,
    "presence_penalty": 0.4,
    "frequency_penalty": 0.5,
}
FURTHER_OPTIONS = {
    "top_k": 40,
    "min_p": 0.1,
    "typical_p": 0.2,
    "repeat_penalty": 1.1,
    "repeat_last_n": 64,
    "num_keep": 4,
    "num_ctx": 4096,
    "num_batch": 512,
    "num_gpu": 1,
    "main_gpu": 0,
    "use_mmap": True,
    "num_thread": 8,
    "draft_num_predict": 4,
}
SAMPLERS = {"top_k": 40, "min_p": 0.1, "repetition_penalty": 1.1}


def test_there_is_a_profile_for_each_name_that_the_settings_take() -> None:
    assert tuple(PROFILES) == get_args(ProfileName.__value__)
    assert all(profile.name == name for name, profile in PROFILES.items())


@pytest.mark.parametrize("profile", PROFILES.values(), ids=list(PROFILES))
def test_a_profile_names_options_and_values_that_there_are(profile: Any) -> None:
    assert profile.options.keys() <= {*KINDS, *FORMER}
    assert profile.thinking.keys() <= {True, False, "low", "medium", "high", "max"}
    assert profile.sources
    assert all(source.startswith("https://") for source in profile.sources)
    assert profile.ranges.keys() <= set(profile.options.values())


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://api.openai.com/v1", "openai"),
        ("https://eu.api.openai.com/v1", "openai"),
        ("https://API.OpenAI.com.:443/v1", "openai"),
        ("https://mine.openai.azure.com/openai/v1/", "azure"),
        ("https://mine.services.ai.azure.com/openai/v1/", "azure"),
        ("https://mine.cognitiveservices.azure.com/openai/v1/", "azure"),
        ("https://openrouter.ai/api/v1", "openrouter"),
        ("https://api.groq.com/openai/v1", "groq"),
        ("https://api.mistral.ai/v1", "mistral"),
        ("https://api.deepseek.com", "deepseek"),
        ("https://api.together.xyz/v1", "together"),
        ("https://api.together.ai/v1", "together"),
        ("https://generativelanguage.googleapis.com/v1beta/openai/", "gemini"),
        ("https://api.x.ai/v1", "xai"),
        ("https://ollama.com/v1", "ollama"),
        ("https://api.moonshot.cn/v1", "moonshot"),
        ("https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "dashscope"),
        ("https://api.z.ai/api/paas/v4", "zai"),
        ("https://api.minimax.io/v1", "minimax"),
        ("https://api.fireworks.ai/inference/v1", "fireworks"),
        ("https://api.cerebras.ai/v1", "cerebras"),
        ("https://integrate.api.nvidia.com/v1", "nvidia"),
        ("https://api.perplexity.ai", "perplexity"),
        ("https://api.sambanova.ai/v1", "sambanova"),
        ("https://models.github.ai/inference", "github"),
        ("https://api.cloudflare.com/client/v4/accounts/a/ai/v1", "cloudflare"),
        ("https://bedrock-runtime.us-west-2.amazonaws.com/openai/v1", "bedrock"),
        ("https://bedrock-mantle.us-east-1.api.aws/v1", "bedrock"),
        ("https://api.openai.com.example.org/v1", "generic"),
        ("https://notopenrouter.ai/v1", "generic"),
        ("http://127.0.0.1:8000/v1", "generic"),
        ("nonsense", "generic"),
    ],
)
def test_a_service_is_known_by_its_host_name(url: str, name: ProfileName) -> None:
    assert detect_profile(url, []) is PROFILES[name]


@pytest.mark.parametrize(
    ("entries", "name"),
    [
        pytest.param([{"id": "m", "owned_by": "llamacpp", "meta": {"n_ctx_train": 1}}], "llamacpp", id="llama.cpp"),
        pytest.param([{"id": "m", "meta": {"n_ctx_train": 1}}], "llamacpp", id="llama.cpp without an owner"),
        pytest.param([{"id": "m", "owned_by": "vllm", "max_model_len": 1}], "vllm", id="vLLM"),
        pytest.param([{"id": "m", "owned_by": "me", "max_model_len": 1}], "vllm", id="vLLM renamed"),
        pytest.param([{"id": "m", "owned_by": "sglang", "max_model_len": 1}], "sglang", id="SGLang"),
        pytest.param([{"id": "m", "owned_by": "organization_owner"}], "lmstudio", id="LM Studio"),
        pytest.param([{"id": "m", "owned_by": "me"}, {"id": "n", "owned_by": "library"}], "ollama", id="Ollama"),
        pytest.param([{"id": "m", "owned_by": "me", "permissions": []}], "llama-cpp-python", id="llama-cpp-python"),
        pytest.param([{"id": "m", "owned_by": "infinity"}], "infinity", id="Infinity"),
        pytest.param([{"id": "a/m", "owned_by": "a", "status": {"value": "loaded"}}], "transformers", id="transformers"),
        pytest.param([{"id": "m", "owned_by": "llamacpp", "status": {"value": "loaded"}}], "llamacpp", id="llama.cpp's router"),
        pytest.param([{"id": "m", "supported_parameters": ["tools"]}], "openrouter", id="OpenRouter behind another name"),
        pytest.param([{"id": "m", "owned_by": "vllm"}, {"id": "n", "owned_by": "llamacpp"}], "generic", id="a gateway"),
        pytest.param([{"id": "m", "owned_by": "openai"}], "generic", id="an owner that says nothing"),
        pytest.param([{"id": "m", "owned_by": ["x"], "meta": None, "max_model_len": None}], "generic", id="odd values"),
        pytest.param([], "generic", id="no models"),
    ],
)
def test_a_server_is_known_by_its_list_of_models(entries: list[dict[str, Any]], name: ProfileName) -> None:
    assert detect_profile("http://gpu.example:8000/v1", entries) is PROFILES[name]


def test_litellm_is_known_by_its_header() -> None:
    listing = [{"id": "m", "owned_by": "openai"}]
    assert detect_profile("http://gateway.example/v1", listing, ["content-type", "x-litellm-version"]).name == "litellm"
    assert detect_profile("http://gateway.example/v1", listing, ["content-type"]).name == "generic"


def test_the_host_name_counts_before_the_list() -> None:
    assert detect_profile("https://openrouter.ai/api/v1", [{"owned_by": "vllm"}]).name == "openrouter"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("generic", {}),
        ("ollama", {}),
        ("deepseek", {}),
        ("openrouter", SAMPLERS),
        ("vllm", SAMPLERS),
        ("sglang", SAMPLERS),
        ("together", SAMPLERS),
        ("lmstudio", {"top_k": 40, "repeat_penalty": 1.1}),
        (
            "llamacpp",
            {"top_k": 40, "min_p": 0.1, "typical_p": 0.2, "repeat_penalty": 1.1, "repeat_last_n": 64, "n_keep": 4},
        ),
        ("openai", {}),
        ("azure", {}),
        ("groq", {}),
        ("mistral", {}),
        ("gemini", {}),
        ("xai", {}),
    ],
)
def test_further_options_go_only_where_they_are_known(name: ProfileName, expected: dict[str, Any]) -> None:
    assert sampling_parameters(check_options(FURTHER_OPTIONS), PROFILES[name]) == expected


def test_plain_options_keep_their_names_at_most_servers() -> None:
    assert sampling_parameters(PLAIN_OPTIONS, PROFILES["generic"]) == {
        "temperature": 0.1,
        "top_p": 0.2,
        "seed": 3,
        "stop": ["a", "b", "c", "d", "e", "f"],
        "max_tokens": 7,
        "presence_penalty": 0.4,
        "frequency_penalty": 0.5,
    }


@pytest.mark.parametrize("name", ["openai", "azure", "groq", "xai"])
def test_the_limit_of_tokens_has_its_newer_name_in_a_chat_only(name: ProfileName) -> None:
    assert PROFILES[name].token_limit == "max_completion_tokens"
    assert sampling_parameters({"num_predict": 5}, PROFILES[name]) == {"max_completion_tokens": 5}
    assert sampling_parameters({"num_predict": 5}, PROFILES[name], chat=False) == {"max_tokens": 5}


def test_mistral_has_its_own_name_for_the_seed() -> None:
    assert sampling_parameters({"seed": 1}, PROFILES["mistral"]) == {"random_seed": 1}


@pytest.mark.parametrize(
    ("name", "withheld"),
    [("gemini", {"seed", "presence_penalty", "frequency_penalty"}), ("xai", {"presence_penalty", "frequency_penalty"})],
)
def test_plain_options_that_a_service_refuses_are_not_sent(name: ProfileName, withheld: set[str]) -> None:
    sent = sampling_parameters(PLAIN_OPTIONS, PROFILES[name])
    assert not sent.keys() & withheld
    assert sent.keys() >= {"temperature", "top_p", "stop"}


@pytest.mark.parametrize(("name", "most"), [("openai", 4), ("openrouter", 4), ("gemini", 5), ("deepseek", 6), ("vllm", 6)])
def test_no_more_stop_strings_are_sent_than_are_taken(name: ProfileName, most: int) -> None:
    assert sampling_parameters(PLAIN_OPTIONS, PROFILES[name])["stop"] == ["a", "b", "c", "d", "e", "f"][:most]


@pytest.mark.parametrize("options", [{}, {"num_predict": -1}, {"num_predict": 0}, {"seed": -1}, {"stop": []}])
def test_what_stands_for_no_limit_is_not_sent(options: dict[str, Any]) -> None:
    assert sampling_parameters(options, PROFILES["generic"]) == {}


def test_zero_is_a_seed_and_a_temperature() -> None:
    assert sampling_parameters({"seed": 0, "temperature": 0.0}, PROFILES["vllm"]) == {"seed": 0, "temperature": 0.0}


@pytest.mark.parametrize(
    ("name", "expected"),
    [("vllm", {"top_k": -1}), ("sglang", {"top_k": -1}), ("llamacpp", {"top_k": -1}), ("openrouter", {}), ("lmstudio", {})],
)
@pytest.mark.parametrize("value", [0, -1])
def test_no_top_k_is_said_in_the_words_of_the_server(value: int, name: ProfileName, expected: dict[str, Any]) -> None:
    assert sampling_parameters({"top_k": value}, PROFILES[name]) == expected


def effort(value: str) -> dict[str, Any]:
    return {"reasoning_effort": value}


def template(**variables: Any) -> dict[str, Any]:
    return {"chat_template_kwargs": variables}


ON, OFF = template(enable_thinking=True, thinking=True), template(enable_thinking=False, thinking=False)
ENABLED = {"thinking": {"type": "enabled"}}


@pytest.mark.parametrize(
    ("name", "on", "off", "low", "most"),
    [
        ("generic", {}, effort("none"), effort("low"), effort("high")),
        ("moonshot", ENABLED, {"thinking": {"type": "disabled"}}, ENABLED, ENABLED),
        (
            "dashscope",
            {"enable_thinking": True},
            {"enable_thinking": False},
            {"enable_thinking": True},
            {"enable_thinking": True},
        ),
        ("zai", ENABLED, {"thinking": {"type": "disabled"}}, ENABLED, ENABLED),
        *(
            (name, {}, effort("none"), effort("low"), effort("high"))
            for name in ("llama-cpp-python", "litellm", "fireworks", "cerebras", "nvidia", "bedrock")
        ),
        ("transformers", {}, {}, {}, {}),
        ("github", {}, {}, {}, {}),
        ("openai", effort("medium"), effort("none"), effort("low"), effort("high")),
        ("azure", effort("medium"), effort("none"), effort("low"), effort("high")),
        (
            "openrouter",
            {"reasoning": {"enabled": True}},
            {"reasoning": {"enabled": False}},
            {"reasoning": {"effort": "low"}},
            {"reasoning": {"effort": "max"}},
        ),
        (
            "llamacpp",
            template(enable_thinking=True),
            template(enable_thinking=False),
            template(enable_thinking=True, reasoning_effort="low"),
            template(enable_thinking=True, reasoning_effort="high"),
        ),
        ("vllm", ON, OFF, ON | effort("low"), ON | effort("high")),
        ("sglang", ON, OFF, ON | effort("low"), ON | effort("high")),
        ("lmstudio", {}, effort("none"), effort("low"), effort("high")),
        ("ollama", {}, effort("none"), effort("low"), effort("max")),
        ("groq", {}, effort("none"), effort("low"), effort("high")),
        ("mistral", effort("high"), effort("none"), effort("high"), effort("high")),
        ("deepseek", ENABLED, {"thinking": {"type": "disabled"}}, ENABLED | effort("low"), ENABLED | effort("max")),
        ("together", {"reasoning": {"enabled": True}}, {"reasoning": {"enabled": False}}, effort("low"), effort("high")),
        ("gemini", {}, effort("none"), effort("low"), effort("high")),
        ("xai", {}, effort("none"), effort("low"), effort("high")),
    ],
)
def test_thinking_is_switched_as_the_family_does_it(
    name: ProfileName, on: dict[str, Any], off: dict[str, Any], low: dict[str, Any], most: dict[str, Any]
) -> None:
    values: dict[Think | None, dict[str, Any]] = {None: {}, True: on, False: off, "low": low, "max": most}
    assert {think: thinking_parameters(think, PROFILES[name]) for think in values} == values


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("openai", {"reasoning_effort": "minimal"}),
        ("openrouter", {"reasoning": {"effort": "minimal"}}),
        ("moonshot", {"thinking": {"type": "enabled"}}),
        ("transformers", {}),
    ],
)
def test_a_level_that_only_the_models_file_knows_is_said_as_others_are(name: ProfileName, sent: dict[str, Any]) -> None:
    assert thinking_parameters("minimal", PROFILES[name]) == sent


def test_what_a_family_cannot_say_is_not_said() -> None:
    assert thinking_parameters(True, PROFILES["generic"]) == thinking_parameters(None, PROFILES["openai"]) == {}


def test_parameters_can_be_changed_without_changing_the_profile() -> None:
    thinking_parameters(True, PROFILES["vllm"])["chat_template_kwargs"]["enable_thinking"] = False
    assert thinking_parameters(True, PROFILES["vllm"]) == ON


@pytest.mark.parametrize(
    ("name", "form", "expected"),
    [
        ("generic", None, None),
        ("generic", JSON, JSON),
        ("generic", SCHEMA, SCHEMA),
        ("deepseek", JSON, JSON),
        ("deepseek", SCHEMA, JSON),
        ("lmstudio", SCHEMA, SCHEMA),
        ("lmstudio", JSON, ANY_OBJECT),
        ("lmstudio", None, None),
        ("llama-cpp-python", SCHEMA, {"type": "json_object", "schema": {"type": "array"}}),
        ("llama-cpp-python", JSON, JSON),
        ("transformers", SCHEMA, None),
        ("transformers", JSON, None),
        ("transformers", None, None),
    ],
)
def test_a_format_becomes_one_that_the_server_takes(
    name: ProfileName, form: dict[str, Any] | None, expected: dict[str, Any] | None
) -> None:
    assert supported_format(form, PROFILES[name]) == expected


def test_the_formats_stand_in_for_each_other() -> None:
    assert nearest_format(SCHEMA) == JSON
    assert nearest_format(JSON) == ANY_OBJECT


def families(answer: str) -> set[str]:
    return {name for name, profile in PROFILES.items() if getattr(profile, answer)}


def test_peculiarities_are_those_of_their_services() -> None:
    assert families("json_word") == {
        *("openai", "azure", "openrouter", "groq", "deepseek", "litellm", "dashscope", "github"),
    }
    assert families("short_call_ids") == {"mistral"}
    assert families("reasoning_back") == {"deepseek", "moonshot", "zai", "minimax"}
    assert families("stream_options") == set(PROFILES) - {"transformers"}
    assert families("schema_in_object") == {"llama-cpp-python"}
    assert families("truncation") == {"vllm", "nvidia"}
    assert {name: profile.most_inputs for name, profile in PROFILES.items() if profile.most_inputs} == {
        "dashscope": 10,
        "infinity": 2048,
    }
    assert {name: profile.most_stops for name, profile in PROFILES.items() if profile.most_stops is not None} == {
        **dict.fromkeys(["openai", "azure", "openrouter", "groq", "xai", "cerebras", "github"], 4),
        "gemini": 5,
        "deepseek": 16,
    }
    assert {name: profile.dimensions for name, profile in PROFILES.items() if profile.dimensions != "dimensions"} == {
        "mistral": "output_dimension"
    }


@pytest.mark.parametrize("name", ["openai", "generic", "ollama", "deepseek"])
def test_the_highest_level_is_the_highest_that_the_family_knows(name: ProfileName) -> None:
    highest, high = PROFILES[name].thinking["max"], PROFILES[name].thinking["high"]
    if name in ("ollama", "deepseek"):
        assert highest["reasoning_effort"] == "max"
    else:
        assert highest == high
    assert high["reasoning_effort"] == "high"


@pytest.mark.parametrize(
    ("name", "options", "sent"),
    [
        ("vllm", {"temperature": 3.0, "top_p": 0.0}, {"temperature": 2.0, "top_p": 1e-6}),
        ("vllm", {"temperature": 0.5, "top_p": 0.5}, {"temperature": 0.5, "top_p": 0.5}),
        ("moonshot", {"temperature": 1.5}, {"temperature": 1.0}),
        ("generic", {"temperature": 3.0}, {"temperature": 3.0}),
        ("llamacpp", {"mirostat": 2, "mirostat_tau": 5.0}, {"mirostat": 2, "mirostat_tau": 5.0}),
        ("llama-cpp-python", {"mirostat": 2}, {"mirostat_mode": 2}),
    ],
)
def test_options_come_into_the_ranges_that_are_known(name: ProfileName, options: dict[str, Any], sent: dict[str, Any]) -> None:
    assert sampling_parameters(check_options(options), PROFILES[name]) == sent
