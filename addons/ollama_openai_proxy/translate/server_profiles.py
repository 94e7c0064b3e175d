"""What each family of OpenAI-compatible servers takes beyond the plain call, or takes differently.

Strict servers refuse a call for one parameter that they do not know, lenient ones ignore it; so an option is sent only where
it is known to mean something. What a single model of a family refuses is learnt from its answers (`adaptation`).
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..schemas.ollama.requests import Think

type ProfileName = Literal[
    "generic",
    "openai",
    "azure",
    "openrouter",
    "llamacpp",
    "vllm",
    "sglang",
    "lmstudio",
    "ollama",
    "groq",
    "mistral",
    "deepseek",
    "together",
    "gemini",
    "xai",
    "llama-cpp-python",
    "transformers",
    "litellm",
    "infinity",
    "moonshot",
    "dashscope",
    "zai",
    "minimax",
    "fireworks",
    "cerebras",
    "nvidia",
    "perplexity",
    "sambanova",
    "github",
    "cloudflare",
    "bedrock",
]
type Format = Literal["json_object", "json_schema"]

_PLAIN = {
    "num_predict": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "seed": "seed",
    "stop": "stop",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
}
_NEWER_LIMIT = {"num_predict": "max_completion_tokens"}
_SAMPLERS = {"top_k": "top_k", "min_p": "min_p", "repeat_penalty": "repetition_penalty"}
_MIROSTAT = {"mirostat_tau": "mirostat_tau", "mirostat_eta": "mirostat_eta"}
_BOTH_FORMATS: frozenset[Format] = frozenset({"json_object", "json_schema"})


def _effort(value: str) -> dict[str, Any]:
    return {"reasoning_effort": value}


def _typed(kind: str) -> dict[str, Any]:
    return {"thinking": {"type": kind}}


def _without(*options: str) -> dict[str, str]:
    """The plain options without some."""
    return {option: name for option, name in _PLAIN.items() if option not in options}


def _template(**variables: bool | str) -> dict[str, Any]:
    """Variables for the chat template, which is where open models switch their thinking."""
    return {"chat_template_kwargs": variables}


_LEVELS: dict[Think, dict[str, Any]] = {
    "low": _effort("low"),
    "medium": _effort("medium"),
    "high": _effort("high"),
    "max": _effort("high"),
}
_OR_NONE: dict[Think, dict[str, Any]] = _LEVELS | {False: _effort("none")}
_ALL_LEVELS: dict[Think, dict[str, Any]] = _LEVELS | {"max": _effort("max")}
# Most templates read `enable_thinking`; DeepSeek's and Granite's read `thinking`. What a template does not read has no effect.
_THINKING, _NOT_THINKING = _template(enable_thinking=True, thinking=True), _template(enable_thinking=False, thinking=False)
_TEMPLATE_LEVELS: dict[Think, dict[str, Any]] = {level: _THINKING | effort for level, effort in _LEVELS.items()}


_ON: tuple[Think, ...] = (True, "low", "medium", "high", "max")


@dataclass(frozen=True, slots=True)
class Profile:
    """A family of servers.

    Attributes:
        name: what the settings call it.
        sources: where the facts stand: documentation, source text, or the report of somebody who met them.
        options: the parameter for each of Ollama's options that is sent; the others are not.
        thinking: the parameters for each value of `think` that is sent.
        formats: the types of `response_format` that it takes; with none, the format is told in words.
        schema_in_object: whether it takes a schema as `schema` of the type json_object.
        raw_schema: the parameter of a text completion for the schema of its answer; "" where there is none.
        infill: whether it fills in between a prompt and a suffix at `/infill`, beside `/v1`, and ignores a `suffix` elsewhere.
        ranges: the lowest and the highest value of a parameter.
        json_word: whether it refuses the type json_object unless the messages contain the word JSON.
        most_stops: how many `stop` strings it takes; None is any number.
        top_k_off: the `top_k` that leaves all tokens in; None where there is none.
        stream_options: whether it takes `stream_options`, without which OpenAI sends no counts.
        short_call_ids: whether the id of a tool call must be nine letters and digits.
        reasoning_back: whether a model's reasoning must come back with its tool calls, as `reasoning_content`; where it must
            not, some servers refuse it.
        dimensions: the parameter of an embeddings call for the length of the vectors.
        continued_by: how a call says that its last message, the assistant's, is to be continued: a field of that message, or
            vLLM's parameter `continue_final_message`; "" where the server knows no way, or continues by itself.
        highest_temperature: the highest `temperature` that it takes.
        most_inputs: how many texts an embeddings call may have; None is not known.
        truncation: the parameters with which the server itself cuts texts to embed that are too long.
        thinks_by_default: whether a model that can think does so without being asked.
        levels_unknown: whether models of many makers are behind it, so that the levels of one are not known by the server.
        stops_answers: whether a running answer ends when another request comes.
        hides_refusals: whether a streamed call that is refused gets an empty answer, and only one without a stream the reason.
        responses_beside_tools: whether its newest models reason beside tools only in `/v1/responses`.
        translated: the APIs that are translated although the server has them, since clients miss something in its answers.
    """

    name: ProfileName
    sources: tuple[str, ...]
    options: Mapping[str, str] = field(default_factory=lambda: _PLAIN)
    thinking: Mapping[Think, Mapping[str, Any]] = field(default_factory=lambda: _LEVELS)
    formats: frozenset[Format] = _BOTH_FORMATS
    schema_in_object: bool = False
    raw_schema: str = ""
    infill: bool = False
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    json_word: bool = False
    most_stops: int | None = None
    top_k_off: int | None = None
    stream_options: bool = True
    short_call_ids: bool = False
    reasoning_back: bool = False
    dimensions: str = "dimensions"
    continued_by: Literal["", "prefix", "partial", "continue_final_message"] = ""
    highest_temperature: float = 2.0
    most_inputs: int | None = None
    truncation: Mapping[str, Any] = field(default_factory=dict)
    thinks_by_default: bool = True
    levels_unknown: bool = False
    stops_answers: bool = False
    hides_refusals: bool = False
    responses_beside_tools: bool = False
    translated: frozenset[Literal["responses", "messages"]] = frozenset()

    @property
    def template_thinking(self) -> bool:
        """Whether thinking is a variable of the chat template, which most models only have on or off."""
        return "chat_template_kwargs" in self.thinking.get(True, {})

    @property
    def token_limit(self) -> str:
        """The parameter of a chat completion that limits its length."""
        return self.options["num_predict"]


_OPENAI: dict[ProfileName, str] = {
    "openai": "https://platform.openai.com/docs/api-reference/chat/create",
    "azure": "https://learn.microsoft.com/azure/ai-foundry/openai/reference",
}
_TEMPLATE_SERVERS: dict[ProfileName, str] = {
    "vllm": "https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
    "sglang": "https://docs.sglang.ai/basic_usage/openai_api_completions.html",
}

PROFILES: dict[ProfileName, Profile] = {
    profile.name: profile
    for profile in (
        # Seen: vLLM stops thinking then; llama.cpp, llama-cpp-python and transformers ignore what they do not know.
        Profile("generic", ("https://github.com/openai/openai-openapi",), thinking=_OR_NONE, levels_unknown=True),
        *(
            Profile(
                name,
                (source,),
                options=_PLAIN | _NEWER_LIMIT,
                # Some models think by default and others do not, so both have to be said.
                thinking=_LEVELS | {True: _effort("medium"), False: _effort("none")},
                json_word=True,
                most_stops=4,
                # https://github.com/openai/openai-openapi/issues/541
                responses_beside_tools=True,
            )
            for name, source in _OPENAI.items()
        ),
        Profile(
            "openrouter",
            ("https://openrouter.ai/docs/api-reference/parameters",),
            options=_PLAIN | _SAMPLERS,
            thinking={level: {"reasoning": {"effort": level}} for level in ("low", "medium", "high", "max")}
            | {on: {"reasoning": {"enabled": on}} for on in (True, False)},
            # It passes the call on to servers that want it, OpenAI's among them.
            json_word=True,
            most_stops=4,
        ),
        Profile(
            "llamacpp",
            ("https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md",),
            options=_PLAIN
            | {
                "top_k": "top_k",
                "min_p": "min_p",
                "typical_p": "typical_p",
                "repeat_penalty": "repeat_penalty",
                "repeat_last_n": "repeat_last_n",
                "num_keep": "n_keep",
                "mirostat": "mirostat",
            }
            | _MIROSTAT,
            # Older releases know `reasoning_effort` only as a variable of the template.
            thinking={
                level: _template(enable_thinking=True, reasoning_effort=effort["reasoning_effort"])
                for level, effort in _LEVELS.items()
            }
            | {on: _template(enable_thinking=on) for on in (True, False)},
            raw_schema="json_schema",
            infill=True,
            top_k_off=-1,
            # Seen: events of its responses have no indices, which the OpenAI SDK needs, and an answer that was cut is
            # "completed". Its messages do not turn thinking on.
            translated=frozenset({"responses", "messages"}),
        ),
        *(
            Profile(
                name,
                (source,),
                options=_PLAIN | _SAMPLERS,
                thinking=_TEMPLATE_LEVELS | {True: _THINKING, False: _NOT_THINKING},
                top_k_off=-1,
                continued_by="continue_final_message",
                # Seen: vLLM refuses what is outside.
                ranges={"temperature": (0.0, 2.0), "top_p": (1e-6, 1.0)} if name == "vllm" else {},
                # https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html, "Extra parameters" of embeddings
                truncation={"truncate_prompt_tokens": -1} if name == "vllm" else {},
            )
            for name, source in _TEMPLATE_SERVERS.items()
        ),
        Profile(
            "lmstudio",
            ("https://lmstudio.ai/docs/developer/openai-compat",),
            options=_PLAIN | {"top_k": "top_k", "repeat_penalty": "repeat_penalty"},
            thinking=_LEVELS | {False: _effort("none")},
            formats=frozenset({"json_schema"}),
        ),
        # Its OpenAI API has no names for its own further options.
        Profile(
            "ollama", ("https://docs.ollama.com/api/openai-compatibility",), thinking=_ALL_LEVELS | {False: _effort("none")}
        ),
        Profile(
            "groq",
            ("https://console.groq.com/docs/openai",),
            options=_PLAIN | _NEWER_LIMIT,
            thinking=_LEVELS | {False: _effort("none")},
            json_word=True,
            most_stops=4,
        ),
        Profile(
            "mistral",
            ("https://docs.mistral.ai/api",),
            options=_PLAIN | {"seed": "random_seed"},
            # There are two levels, and without one it does not think.
            thinking={think: _effort("high") for think in (True, "low", "medium", "high", "max")} | {False: _effort("none")},
            thinks_by_default=False,
            short_call_ids=True,
            dimensions="output_dimension",
            continued_by="prefix",
            highest_temperature=1.5,
        ),
        Profile(
            "deepseek",
            ("https://api-docs.deepseek.com/api/create-chat-completion",),
            thinking={level: {"thinking": {"type": "enabled"}} | effort for level, effort in _ALL_LEVELS.items()}
            | {True: {"thinking": {"type": "enabled"}}, False: {"thinking": {"type": "disabled"}}},
            formats=frozenset({"json_object"}),
            json_word=True,
            most_stops=16,
            reasoning_back=True,
        ),
        Profile(
            "together",
            ("https://docs.together.ai/reference/chat-completions-1",),
            options=_PLAIN | _SAMPLERS,
            thinking=_LEVELS | {on: {"reasoning": {"enabled": on}} for on in (True, False)},
        ),
        Profile(
            "gemini",
            ("https://ai.google.dev/gemini-api/docs/openai",),
            options={name: _PLAIN[name] for name in ("num_predict", "temperature", "top_p", "stop")},
            thinking=_LEVELS | {False: _effort("none")},
            most_stops=5,
        ),
        Profile(
            "xai",
            ("https://docs.x.ai/docs/api-reference",),
            options={name: _PLAIN[name] for name in ("temperature", "top_p", "seed", "stop")} | _NEWER_LIMIT,
            thinking=_LEVELS | {False: _effort("none")},
            most_stops=4,
        ),
        Profile(
            "llama-cpp-python",
            # Seen: json_schema is no type of its `response_format`; a schema is a part of json_object.
            ("https://github.com/abetlen/llama-cpp-python/blob/main/llama_cpp/server/types.py",),
            options=_PLAIN
            | {"top_k": "top_k", "min_p": "min_p", "repeat_penalty": "repeat_penalty", "mirostat": "mirostat_mode"}
            | _MIROSTAT,
            thinking=_OR_NONE,
            formats=frozenset({"json_object"}),
            schema_in_object=True,
            top_k_off=0,
            levels_unknown=True,
            # Its setting `interrupt_requests` is on by default.
            stops_answers=True,
            # Seen with 0.3.36: the stream has begun when the call is looked at.
            hides_refusals=True,
        ),
        Profile(
            "transformers",
            # The fields that it refuses; newer releases ignore response_format (seen).
            ("https://github.com/huggingface/transformers/blob/main/src/transformers/cli/serving/chat_completion.py",),
            options=_without("presence_penalty"),
            thinking={},
            formats=frozenset(),
            stream_options=False,
            # Seen: its responses refuse reasoning and formats, and are a stream unless a call says otherwise.
            translated=frozenset({"responses"}),
        ),
        Profile(
            "litellm",
            ("https://docs.litellm.ai/docs/completion/input", "https://docs.litellm.ai/docs/completion/drop_params"),
            thinking=_OR_NONE,
            levels_unknown=True,
            # It passes the call on to servers that want it, OpenAI's among them.
            json_word=True,
        ),
        Profile(
            "infinity",
            ("https://github.com/michaelfeil/infinity/blob/main/libs/infinity_emb/infinity_emb/fastapi_schemas/pymodels.py",),
            most_inputs=2048,
        ),
        Profile(
            "moonshot",
            (
                "https://platform.kimi.ai/docs/api/models-overview",
                "https://java.agentscope.io/v2/en/integration/model/kimi",
                "https://github.com/BerriAI/litellm/blob/main/litellm/llms/moonshot/chat/transformation.py",
                "https://github.com/continuedev/continue/issues/11600",
            ),
            options=_without("seed") | _NEWER_LIMIT,
            thinking=dict.fromkeys(_ON, _typed("enabled")) | {False: _typed("disabled")},
            reasoning_back=True,
            ranges={"temperature": (0.0, 1.0)},
        ),
        Profile(
            "dashscope",
            (
                "https://docs.camel-ai.org/reference/camel.configs.qwen_config",
                "https://help.aliyun.com/en/model-studio/deep-thinking",
                "https://github.com/memodb-io/memobase/issues/142",
            ),
            options=_without("frequency_penalty"),
            thinking={key: {"enable_thinking": True} for key in _ON} | {False: {"enable_thinking": False}},
            json_word=True,
            most_inputs=10,
        ),
        Profile(
            "zai",
            (
                "https://github.com/BerriAI/litellm/blob/main/litellm/llms/zai/chat/transformation.py",
                "https://java.agentscope.io/v2/en/integration/model/glm",
            ),
            options=_without("seed", "presence_penalty", "frequency_penalty"),
            thinking=dict.fromkeys(_ON, _typed("enabled")) | {False: _typed("disabled")},
            formats=frozenset({"json_object"}),
            reasoning_back=True,
        ),
        Profile(
            "minimax",
            (
                "https://docs.camel-ai.org/reference/camel.configs.minimax_config",
                "https://java.agentscope.io/v2/en/integration/model/minimax",
            ),
            options=_without("presence_penalty", "frequency_penalty") | _NEWER_LIMIT,
            thinking=dict.fromkeys(_ON, _typed("adaptive")) | {False: _typed("disabled")},
            reasoning_back=True,
            ranges={"temperature": (0.0, 1.0)},
        ),
        Profile(
            "fireworks",
            (
                "https://github.com/BerriAI/litellm/blob/main/litellm/llms/fireworks_ai/chat/transformation.py",
                "https://docs.fireworks.ai/guides/reasoning",
            ),
            options=_PLAIN | {"top_k": "top_k"},
            thinking=_OR_NONE,
        ),
        Profile(
            "cerebras",
            (
                "https://github.com/BerriAI/litellm/blob/main/litellm/llms/cerebras/chat.py",
                "https://github.com/theopenco/llmgateway/pull/1322",
            ),
            options=_without("presence_penalty", "frequency_penalty") | _NEWER_LIMIT,
            thinking=_OR_NONE,
            most_stops=4,
            ranges={"temperature": (0.0, 1.5)},
        ),
        Profile(
            "nvidia",
            (
                "https://docs.nvidia.com/nim/large-language-models/latest/reference/api-reference.html",
                "https://reference.langchain.com/python/langchain-nvidia-ai-endpoints/embeddings/NVIDIAEmbeddings",
            ),
            thinking=_OR_NONE,
            truncation={"truncate": "END"},
        ),
        Profile(
            "perplexity",
            (
                "https://github.com/BerriAI/litellm/blob/main/litellm/llms/perplexity/chat/transformation.py",
                "https://kestra.io/plugins/io.kestra.plugin.perplexity.ChatCompletion",
            ),
            options=_without("seed", "stop") | {"top_k": "top_k"},
            formats=frozenset({"json_schema"}),
        ),
        Profile(
            "sambanova",
            (
                "https://github.com/BerriAI/litellm/blob/main/litellm/llms/sambanova/chat.py",
                "https://docs.camel-ai.org/reference/camel.configs.samba_config",
            ),
            options=_without("presence_penalty", "frequency_penalty") | {"top_k": "top_k"},
        ),
        Profile(
            "github",
            ("https://docs.github.com/en/rest/models/inference",),
            thinking={},
            # Its models are OpenAI's, among others.
            json_word=True,
            most_stops=4,
        ),
        Profile(
            "cloudflare",
            (
                "https://developers.cloudflare.com/workers-ai/configuration/open-ai-compatibility",
                "https://github.com/cloudflare/workers-types",
            ),
            options=_PLAIN | {"top_k": "top_k", "repeat_penalty": "repetition_penalty"},
        ),
        Profile(
            "bedrock",
            (
                "https://docs.aws.amazon.com/bedrock/latest/userguide/inference-chat-completions-mantle.html",
                "https://github.com/BerriAI/litellm/issues/36970",
            ),
            options=_PLAIN | _NEWER_LIMIT,
            thinking=_OR_NONE,
        ),
    )
}

# Each with whatever is before it: regions, and the names of customers' resources.
_HOSTS: dict[str, ProfileName] = {
    "api.openai.com": "openai",
    "openai.azure.com": "azure",
    "services.ai.azure.com": "azure",
    "cognitiveservices.azure.com": "azure",
    "openrouter.ai": "openrouter",
    "api.groq.com": "groq",
    "api.mistral.ai": "mistral",
    "api.deepseek.com": "deepseek",
    "api.together.xyz": "together",
    "api.together.ai": "together",
    "generativelanguage.googleapis.com": "gemini",
    "api.x.ai": "xai",
    "ollama.com": "ollama",
    "api.moonshot.ai": "moonshot",
    "api.moonshot.cn": "moonshot",
    "dashscope.aliyuncs.com": "dashscope",
    "dashscope-intl.aliyuncs.com": "dashscope",
    "dashscope-us.aliyuncs.com": "dashscope",
    "api.z.ai": "zai",
    "open.bigmodel.cn": "zai",
    "api.minimax.io": "minimax",
    "api.minimaxi.com": "minimax",
    "api.fireworks.ai": "fireworks",
    "api.cerebras.ai": "cerebras",
    "integrate.api.nvidia.com": "nvidia",
    "api.perplexity.ai": "perplexity",
    "api.sambanova.ai": "sambanova",
    "models.github.ai": "github",
    "models.inference.ai.azure.com": "github",
    "api.cloudflare.com": "cloudflare",
    "gateway.ai.cloudflare.com": "cloudflare",
}
# Each with a region behind it: https://docs.aws.amazon.com/bedrock/latest/userguide/inference-chat-completions-mantle.html
_HOST_BEGINNINGS: dict[str, ProfileName] = {"bedrock-runtime.": "bedrock", "bedrock-mantle.": "bedrock"}
_OWNERS: dict[str, ProfileName] = {
    "llamacpp": "llamacpp",
    "vllm": "vllm",
    "sglang": "sglang",
    "organization_owner": "lmstudio",
    "library": "ollama",
    "infinity": "infinity",
    # It starts whatever server its configuration names.
    "llama-swap": "generic",
}
_HEADERS: dict[str, ProfileName] = {"x-litellm-version": "litellm"}


def detect_profile(base_url: str, listing: Sequence[Mapping[str, Any]], headers: Iterable[str] = ()) -> Profile:
    """The profile of a server, by its host name, or else by the headers or the entries of its `/v1/models`.

    Args:
        base_url: of the server.
        listing: the entries of its list of models.
        headers: the names of the headers that came with the list, in lower case.

    Entries that speak of several families come from a gateway, which has the generic profile.
    """
    host = (urlsplit(base_url).hostname or "").rstrip(".")
    for known, name in _HOSTS.items():
        if host == known or host.endswith("." + known):
            return PROFILES[name]
    for beginning, name in _HOST_BEGINNINGS.items():
        if host.startswith(beginning):
            return PROFILES[name]
    for header, name in _HEADERS.items():
        if header in headers:
            return PROFILES[name]
    families = {family for entry in listing if (family := _family(entry))}
    return PROFILES[families.pop() if len(families) == 1 else "generic"]


def sampling_parameters(options: Mapping[str, Any], profile: Profile, *, chat: bool = True) -> dict[str, Any]:
    """The parameters for options that `check_options` has checked; `chat` is False for a text completion.

    What stands for "no limit" or "any" in Ollama is said by leaving it out.
    """
    parameters: dict[str, Any] = {}
    for option, name in profile.options.items():
        value = options.get(option)
        match option:
            case _ if value is None:
                pass
            case "num_predict":
                if value > 0:
                    parameters[name if chat else "max_tokens"] = value
            case "seed":
                if value >= 0:
                    parameters[name] = value
            case "stop":
                if value:
                    parameters[name] = value[: profile.most_stops]
            case "top_k" if value <= 0:
                if profile.top_k_off is not None:
                    parameters[name] = profile.top_k_off
            case _:
                parameters[name] = value
    for name, (low, high) in profile.ranges.items():
        if name in parameters:
            parameters[name] = min(max(parameters[name], low), high)
    return parameters


def thinking_parameters(think: bool | str | None, profile: Profile) -> dict[str, Any]:
    """The parameters for `think`; none where it is not given, or where the family has no way to say it.

    A level that only the models file knows is said as the level `high` is.
    """
    if think is None:
        return {}
    if think in profile.thinking:
        return deepcopy(dict(profile.thinking[think]))  # type: ignore[index]  # a key is a level, but mypy knows few of them
    return _with_level(profile.thinking.get("high", {}), think) if isinstance(think, str) else {}


def _with_level(parameters: Mapping[str, Any], level: str) -> dict[str, Any]:
    """The parameters for the level `high` with the name of another level."""
    return {
        name: _with_level(value, level) if isinstance(value, dict) else level if value == "high" else value
        for name, value in parameters.items()
    }


def supported_format(form: Mapping[str, Any] | None, profile: Profile) -> dict[str, Any] | None:
    """A `response_format` as the family takes it: the nearest one, where it does not take that type; None if it takes none."""
    if form and not profile.formats:
        return None
    if form and form["type"] == "json_schema" and profile.schema_in_object:
        return {"type": "json_object", "schema": form["json_schema"]["schema"]}
    if form is None or form["type"] in profile.formats:
        return dict(form) if form else None
    return nearest_format(form)


def nearest_format(form: Mapping[str, Any]) -> dict[str, Any]:
    """What comes nearest to a `response_format` whose type is not taken: JSON without a schema, or any object's schema."""
    if form["type"] == "json_schema":
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": {"name": "schema", "schema": {"type": "object"}}}


def _family(entry: Mapping[str, Any]) -> ProfileName | None:
    owner = entry.get("owned_by")
    if isinstance(owner, str) and owner in _OWNERS:
        return _OWNERS[owner]
    match entry:
        case {"owned_by": str(), "status": {"value": _}}:
            return "transformers"
        case {"meta": {"n_ctx_train": _}}:
            return "llamacpp"
        case {"max_model_len": int()}:
            return "vllm"
        case {"owned_by": "me", "permissions": _}:
            return "llama-cpp-python"
        case {"supported_parameters": list()}:
            return "openrouter"
    return None
