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
    from collections.abc import Mapping, Sequence

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
_BOTH_FORMATS: frozenset[Format] = frozenset({"json_object", "json_schema"})


def _effort(value: str) -> dict[str, Any]:
    return {"reasoning_effort": value}


def _template(**variables: bool | str) -> dict[str, Any]:
    """Variables for the chat template, which is where open models switch their thinking."""
    return {"chat_template_kwargs": variables}


_LEVELS: dict[Think, dict[str, Any]] = {
    "low": _effort("low"),
    "medium": _effort("medium"),
    "high": _effort("high"),
    "max": _effort("high"),
}
_ALL_LEVELS: dict[Think, dict[str, Any]] = _LEVELS | {"max": _effort("max")}
# Most templates read `enable_thinking`; DeepSeek's and Granite's read `thinking`. What a template does not read has no effect.
_THINKING, _NOT_THINKING = _template(enable_thinking=True, thinking=True), _template(enable_thinking=False, thinking=False)
_TEMPLATE_LEVELS: dict[Think, dict[str, Any]] = {level: _THINKING | effort for level, effort in _LEVELS.items()}


@dataclass(frozen=True, slots=True)
class Profile:
    """A family of servers.

    Attributes:
        name: what the settings call it.
        options: the parameter for each of Ollama's options that is sent; the others are not.
        thinking: the parameters for each value of `think` that is sent.
        formats: the types of `response_format` that it takes.
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
    """

    name: ProfileName
    options: Mapping[str, str] = field(default_factory=lambda: _PLAIN)
    thinking: Mapping[Think, Mapping[str, Any]] = field(default_factory=lambda: _LEVELS)
    formats: frozenset[Format] = _BOTH_FORMATS
    json_word: bool = False
    most_stops: int | None = None
    top_k_off: int | None = None
    stream_options: bool = True
    short_call_ids: bool = False
    reasoning_back: bool = False
    dimensions: str = "dimensions"
    continued_by: Literal["", "prefix", "partial", "continue_final_message"] = ""
    highest_temperature: float = 2.0

    @property
    def token_limit(self) -> str:
        """The parameter of a chat completion that limits its length."""
        return self.options["num_predict"]


PROFILES: dict[ProfileName, Profile] = {
    profile.name: profile
    for profile in (
        # vLLM turns thinking off for "none"; llama.cpp, llama-cpp-python and transformers ignore it.
        Profile("generic", thinking=_LEVELS | {True: _effort("medium"), False: _effort("none")}),
        *(
            Profile(
                name,
                options=_PLAIN | _NEWER_LIMIT,
                # Some models think by default and others do not, so both have to be said.
                thinking=_LEVELS | {True: _effort("medium"), False: _effort("none")},
                json_word=True,
                most_stops=4,
            )
            for name in ("openai", "azure")
        ),
        Profile(
            "openrouter",
            options=_PLAIN | _SAMPLERS,
            thinking={level: {"reasoning": {"effort": level}} for level in ("low", "medium", "high", "max")}
            | {on: {"reasoning": {"enabled": on}} for on in (True, False)},
            # It passes the call on to servers that want it, OpenAI's among them.
            json_word=True,
            most_stops=4,
        ),
        Profile(
            "llamacpp",
            options=_PLAIN
            | {
                "top_k": "top_k",
                "min_p": "min_p",
                "typical_p": "typical_p",
                "repeat_penalty": "repeat_penalty",
                "repeat_last_n": "repeat_last_n",
                "num_keep": "n_keep",
            },
            # Older releases know `reasoning_effort` only as a variable of the template.
            thinking={
                level: _template(enable_thinking=True, reasoning_effort=effort["reasoning_effort"])
                for level, effort in _LEVELS.items()
            }
            | {on: _template(enable_thinking=on) for on in (True, False)},
            top_k_off=-1,
        ),
        *(
            Profile(
                name,
                options=_PLAIN | _SAMPLERS,
                thinking=_TEMPLATE_LEVELS | {True: _THINKING, False: _NOT_THINKING},
                top_k_off=-1,
                continued_by="continue_final_message",
            )
            for name in ("vllm", "sglang")
        ),
        Profile(
            "lmstudio",
            options=_PLAIN | {"top_k": "top_k", "repeat_penalty": "repeat_penalty"},
            thinking=_LEVELS | {False: _effort("none")},
            formats=frozenset({"json_schema"}),
        ),
        # Its OpenAI API has no names for its own further options.
        Profile("ollama", thinking=_ALL_LEVELS | {False: _effort("none")}),
        Profile(
            "groq",
            options=_PLAIN | _NEWER_LIMIT,
            thinking=_LEVELS | {False: _effort("none")},
            json_word=True,
            most_stops=4,
        ),
        Profile(
            "mistral",
            options=_PLAIN | {"seed": "random_seed"},
            # There are two levels, and without one it does not think.
            thinking={think: _effort("high") for think in (True, "low", "medium", "high", "max")} | {False: _effort("none")},
            short_call_ids=True,
            dimensions="output_dimension",
            continued_by="prefix",
            highest_temperature=1.5,
        ),
        Profile(
            "deepseek",
            thinking={level: {"thinking": {"type": "enabled"}} | effort for level, effort in _ALL_LEVELS.items()}
            | {True: {"thinking": {"type": "enabled"}}, False: {"thinking": {"type": "disabled"}}},
            formats=frozenset({"json_object"}),
            json_word=True,
            most_stops=16,
            reasoning_back=True,
        ),
        Profile(
            "together",
            options=_PLAIN | _SAMPLERS,
            thinking=_LEVELS | {on: {"reasoning": {"enabled": on}} for on in (True, False)},
        ),
        Profile(
            "gemini",
            options={name: _PLAIN[name] for name in ("num_predict", "temperature", "top_p", "stop")},
            thinking=_LEVELS | {False: _effort("none")},
            most_stops=5,
        ),
        Profile(
            "xai",
            options={name: _PLAIN[name] for name in ("temperature", "top_p", "seed", "stop")} | _NEWER_LIMIT,
            thinking=_LEVELS | {False: _effort("none")},
            most_stops=4,
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
}
_OWNERS: dict[str, ProfileName] = {
    "llamacpp": "llamacpp",
    "vllm": "vllm",
    "sglang": "sglang",
    "organization_owner": "lmstudio",
    "library": "ollama",
}


def detect_profile(base_url: str, listing: Sequence[Mapping[str, Any]]) -> Profile:
    """The profile of a server, by its host name or else by the entries of its `/v1/models`.

    Entries that speak of several families come from a gateway, which has the generic profile.
    """
    host = (urlsplit(base_url).hostname or "").rstrip(".")
    for known, name in _HOSTS.items():
        if host == known or host.endswith("." + known):
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
    return parameters


def thinking_parameters(think: Think | None, profile: Profile) -> dict[str, Any]:
    """The parameters for `think`; none where it is not given, or where the family has no way to say it."""
    return deepcopy(dict(profile.thinking.get(think, {}))) if think is not None else {}


def supported_format(form: Mapping[str, Any] | None, profile: Profile) -> dict[str, Any] | None:
    """A `response_format` as the family takes it: the nearest one, where it does not take that type."""
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
        case {"meta": {"n_ctx_train": _}}:
            return "llamacpp"
        case {"max_model_len": int()}:
            return "vllm"
        case {"supported_parameters": list()}:
            return "openrouter"
    return None
