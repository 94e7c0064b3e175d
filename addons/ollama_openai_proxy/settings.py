"""Every setting of the proxy, once: its environment variable, its default, its meaning, and what a wrong value is told.

A setting comes from a mitmproxy option or a command line argument (`overrides`), else from the environment, else from a
`.env` file in the working directory, else from its default. An empty value counts as absent.
"""

from __future__ import annotations

import errno
import ipaddress
import json
import os
import re
import socket
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Self, cast, get_args
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import AfterValidator, BeforeValidator, ByteSize, Field, PrivateAttr, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from .api.path_table import OPENAI_PREFIX
from .environment import find_mistake
from .net.bounds import Bounds, Counts, most_connections
from .net.http_messages import Timeouts
from .net.server_wait import WaitLimits
from .translate.server_profiles import ProfileName
from .translate.service_presets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

type Mode = Literal["translate", "fix"]
type ApiName = Literal["chat", "completions", "responses", "messages"]
"""An API of a server: `/v1/chat/completions`, `/v1/completions`, `/v1/responses`, `/v1/messages`."""

ENV_FILE = ".env"
OPENAI_URL = "https://api.openai.com/v1"
_OTHER_BASE_URLS = ("OPENAI_BASE_URL", "OPENAI_API_BASE")
"""Variables in which OpenAI's SDK, and its first release, have the base URL."""
DEFAULT_PORTS: dict[Mode, int] = {"translate": 11434, "fix": 11435}
MOST_WORKERS = 256
DEFAULT_WAIT = 60.0
"""Seconds that a call waits for a server that is loading."""
DEFAULT_TIMEOUTS: dict[Mode, float] = {"translate": 600, "fix": 0}


class SettingsError(Exception):
    """A setting that cannot be used. The message is one sentence that says what to change."""


KEY_RULE = "an API key, which has neither spaces nor letters with accents"


class Group(StrEnum):
    """The headings under which `.env.example` and the documentation show the settings, in this order."""

    ADDRESS = "Mode and address"
    BACKEND = "The server behind the proxy: translate mode"
    UPSTREAM = "The server behind the proxy: fix mode"
    REPAIR = "Repaired requests and waiting clients"
    ACCESS = "Who may call"
    LIMITS = "Limits and time-outs"
    OPERATION = "Operation"


@dataclass(frozen=True, slots=True)
class About:
    """What `.env.example`, the documentation and error texts say of a setting beside its meaning.

    Attributes:
        group: the heading of the setting.
        must_be: what a value has to be, as the end of the sentence "NAME is wrong: it must be …".
        example: a value other than the default.
        default: the default in words, where the field's own default does not show it.
        see: a sentence of Markdown with a link, relative to `docs/`.
        read_once: whether the setting counts only when the proxy starts.
    """

    group: Group
    must_be: str
    example: str
    default: str = ""
    see: str = ""
    read_once: bool = False


def setting(
    default: object,
    meaning: str,
    *,
    group: Group,
    must_be: str,
    example: str,
    default_text: str = "",
    see: str = "",
    read_once: bool = False,
) -> Any:
    """Make a field of `Settings`; see `About` for the arguments."""
    about = About(group, must_be, example, default_text, see, read_once=read_once)
    return Field(default, description=meaning, validate_default=False, json_schema_extra={"about": about})  # type: ignore[dict-item]  # no schema is made


def about(name: str) -> About:
    """Return what is said of the setting with this field name."""
    extra = Settings.model_fields[name].json_schema_extra
    return cast("dict[str, About]", extra)["about"]


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError(value)
    if parts.query or parts.fragment or parts.username or parts.password:
        raise ValueError(value)
    return value.rstrip("/")


def usable_key(key: SecretStr) -> SecretStr:
    """The key without the white space around it.

    Raises:
        ValueError: no HTTP header can hold it.
    """
    text = key.get_secret_value().strip()
    if any(not "!" <= character <= "~" for character in text):
        raise ValueError("no key")
    return SecretStr(text)


def environment_variable(name: str) -> str | None:
    """Return a variable of the environment, or else of the file `.env`, from which the settings come, too; None if empty."""
    return os.environ.get(name) or dotenv_values(".env", encoding="utf-8").get(name) or None


def comma_separated(text: str) -> list[str]:
    """Return the items of a list with commas, without empty items."""
    return [item for part in text.split(",") if (item := part.strip())]


def pairs(text: str) -> dict[str, str]:
    """Return names with values, from a JSON object or from a text like `X-Title=My app,X-Team=red`.

    Raises:
        ValueError: the text is neither.
    """
    if text.lstrip().startswith("{"):
        found = json.loads(text)
        if not all(isinstance(value, str) for value in found.values()):
            raise ValueError("no texts")
        return dict(found)
    result = {}
    for item in comma_separated(text):
        name, equals, value = item.partition("=")
        if not equals or not name.strip():
            raise ValueError("no pair")
        result[name.strip()] = value.strip()
    return result


def usable_headers(headers: Mapping[str, str]) -> dict[str, SecretStr]:
    """Return headers whose names and values HTTP can hold.

    Raises:
        ValueError: a name is no name of a header, or is one that HTTP itself needs; or a value is no text of one line.
    """
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _OWN_HEADERS or not _HEADER_VALUE.fullmatch(value):
            raise ValueError("no header")
    return {name: SecretStr(value) for name, value in headers.items()}


_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[!-~](?:[ \t!-~]*[!-~])?|")
_OWN_HEADERS = frozenset(
    {"host", "content-length", "content-type", "transfer-encoding", "connection", "accept-encoding", "content-encoding"}
)
HEADERS_RULE = "headers like X-Title=My app,X-Team=red, or a JSON object; not those that HTTP itself needs, such as Host"
QUERY_RULE = "parameters like api-version=2026-01-01, separated by commas, or a JSON object"
APIS_RULE = "some of chat, completions, responses, messages"


def api_names(words: Sequence[str]) -> list[ApiName]:
    """Return the APIs that words name; the paths of the APIs are understood, too.

    Raises:
        ValueError: a word names none.
    """
    names = [_API_WORDS.get(re.sub(r"[ ._/-]", "", word.lower().removeprefix(OPENAI_PREFIX))) for word in words if word.strip()]
    if not names or None in names:
        raise ValueError("no API")
    return [name for name in names if name]


_API_WORDS: dict[str, ApiName] = {
    "chat": "chat",
    "chatcompletions": "chat",
    "completions": "completions",
    "responses": "responses",
    "messages": "messages",
}


def _checked(check: Callable[[str], object]) -> AfterValidator:
    """Make a validator of a text that leaves the text as it is."""

    def validate(value: Any) -> Any:
        try:
            check(value.get_secret_value() if isinstance(value, SecretStr) else value)
        except (ValueError, AttributeError, RecursionError):
            raise ValueError("wrong") from None
        return value

    return AfterValidator(validate)


def _check_presets(text: str) -> None:
    for name in comma_separated(text):
        if name.lower() not in PRESETS:
            raise ValueError(name)


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


type HttpUrl = Annotated[str, AfterValidator(_http_url)]
type ApiKey = Annotated[SecretStr, AfterValidator(usable_key)]
type Port = Annotated[int, Field(ge=1, le=65535)]
type Count = Annotated[int, Field(ge=0)]
type Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]

_SECONDS_OR_FOR_EVER = "a number of seconds, or 0 for ever"
_NUMBER_OR_ANY = "a number, or 0 for any"
_TRUE_OR_FALSE = '"true" or "false"'
_PROFILE_NAMES = get_args(ProfileName.__value__)


def help_text(name: str) -> str:
    """Return the meaning of the setting with this field name, with the default where the field does not show it."""
    default = about(name).default.replace("`", "")
    return f"{Settings.model_fields[name].description}" + (f" The default is {default}." if default else "")


class Settings(BaseSettings):
    """The proxy's settings. A field's environment variable is the field's name in upper case.

    To add a setting, add a field here and run `scripts/docs --write`: `.env.example`, the tables of the documentation, the
    text of `--help` and mitmproxy's options are made from the fields.
    """

    model_config = SettingsConfigDict(
        env_file=ENV_FILE, env_file_encoding="utf-8-sig", env_ignore_empty=True, extra="ignore", hide_input_in_errors=True
    )

    # -- Mode and address

    proxy_mode: Annotated[Mode, BeforeValidator(_lower)] = setting(
        "translate",
        'What stands behind the proxy: "translate" answers the Ollama API through an OpenAI-compatible server, '
        '"fix" restores the HTTP methods of requests to a real Ollama.',
        group=Group.ADDRESS,
        must_be='"translate" or "fix"',
        example="fix",
    )
    proxy_host: str = setting(
        "127.0.0.1",
        "The address to listen on. The default is reachable from this machine only; 0.0.0.0 is reachable from everywhere.",
        group=Group.ADDRESS,
        must_be="an address to listen on, for example 127.0.0.1 or 0.0.0.0",
        example="0.0.0.0",  # noqa: S104  # an example, no binding
        read_once=True,
    )
    proxy_port: Annotated[int, Field(ge=0, le=65535)] = setting(
        DEFAULT_PORTS["translate"],
        "The port to listen on. 0 takes any free port; the log says which one.",
        group=Group.ADDRESS,
        must_be="a port number from 1 to 65535, for example 11434, or 0 for any free port",
        example="11500",
        default_text="`11434` (Ollama's own), in fix mode `11435`",
        read_once=True,
    )

    workers: Annotated[int, Field(ge=1, le=MOST_WORKERS)] = setting(
        1,
        "How many processes serve the port; one process uses one core. Only the console command has more than one.",
        group=Group.ADDRESS,
        must_be=f"a number from 1 to {MOST_WORKERS}",
        example="4",
        see="[Workers](operations.md#workers).",
    )

    # -- The server behind the proxy: translate mode

    openai_api_base_url: HttpUrl = setting(
        OPENAI_URL,
        "The base URL of the OpenAI-compatible server, usually ending in /v1.",
        group=Group.BACKEND,
        must_be="the base URL of an OpenAI-compatible server, for example http://127.0.0.1:8000/v1",
        example="http://127.0.0.1:8000/v1",
        see="[Recipes](translate-mode.md#recipes) for the common servers.",
    )
    openai_api_key: ApiKey | None = setting(
        None,
        "The server's API key. OpenAI needs one; most local servers do not.",
        group=Group.BACKEND,
        must_be=KEY_RULE,
        example="sk-own-key",
    )
    openai_api_key_passthrough: bool = setting(
        False,
        "Send the client's own key to the server. OPENAI_API_KEY is then used for clients without a key.",
        group=Group.BACKEND,
        must_be=_TRUE_OR_FALSE,
        example="true",
    )
    backend_profile: Annotated[ProfileName | None, BeforeValidator(_lower)] = setting(
        None,
        f"The kind of the server, if its URL and its list of models do not show the kind: {', '.join(_PROFILE_NAMES)}.",
        group=Group.BACKEND,
        must_be="one of " + ", ".join(_PROFILE_NAMES),
        example="vllm",
        default_text="found out from the server",
        see="[How the kinds differ](translate-mode.md#profiles).",
    )
    backends: Annotated[str, _checked(_check_presets)] = setting(
        "",
        "Hosted services whose models are served together, separated by commas; each one's key comes from its usual variable, "
        "such as GROQ_API_KEY. The first service takes the place of OPENAI_API_BASE_URL, unless that is set.",
        group=Group.BACKEND,
        must_be="some of " + ", ".join(PRESETS) + ", separated by commas",
        example="openai,groq,openrouter",
        see="[The services, and their variables](models-file.md#presets).",
    )
    backend_headers: Annotated[SecretStr | None, _checked(lambda text: usable_headers(pairs(text)))] = setting(
        None,
        "Headers that the server needs beside the key, as NAME=VALUE, separated by commas, or as a JSON object.",
        group=Group.BACKEND,
        must_be=HEADERS_RULE,
        example="HTTP-Referer=https://app.example,X-Title=My app",
        see="[What a server may need](models-file.md#reaching-a-server).",
    )
    backend_query: Annotated[SecretStr | None, _checked(pairs)] = setting(
        None,
        "Parameters that belong into the query of each call to the server, as NAME=VALUE, separated by commas, or as a JSON "
        "object.",
        group=Group.BACKEND,
        must_be=QUERY_RULE,
        example="api-version=2026-01-01",
    )
    backend_apis: Annotated[str, _checked(lambda text: not text or api_names(comma_separated(text)))] = setting(
        "",
        "The APIs of the server that are used, separated by commas; calls of the others are translated to chat completions, "
        "although the server has them.",
        group=Group.BACKEND,
        must_be=APIS_RULE + ", separated by commas",
        example="chat,completions",
        default_text="each one that the server turns out to have",
    )
    backend_ca_file: Path | None = setting(
        None,
        "A file in PEM with certificate authorities to trust for the server, besides those of the system.",
        group=Group.BACKEND,
        must_be="the path of a file with certificates in PEM",
        example="/etc/ssl/own-ca.pem",
    )
    backend_prefix: str = setting(
        "",
        "What stands before the names of the server's models; a slash is added to a word.",
        group=Group.BACKEND,
        must_be="a text like openai/",
        example="openai",
    )
    backend_include: str = setting(
        "",
        "Which models of the server's list are shown: names or patterns with *, separated by commas.",
        group=Group.BACKEND,
        must_be="names or patterns, separated by commas",
        example="gpt-5*,text-embedding-*",
        default_text="all",
        see="[Patterns](models-file.md#patterns).",
    )
    backend_exclude: str = setting(
        "",
        "Which models of the server's list are left out: names or patterns with *, separated by commas.",
        group=Group.BACKEND,
        must_be="names or patterns, separated by commas",
        example="*-preview,*audio*",
    )
    adapt: bool = setting(
        True,
        "Learn from refusals of the server: make a refused call again in another way, and begin there with the next "
        "call to this "
        "model, for an hour. false hands every refusal on to the client.",
        group=Group.BACKEND,
        must_be=_TRUE_OR_FALSE,
        example="false",
        see="[What is learned](translate-mode.md#what-is-learned-from-refusals).",
    )
    models_file: Path | None = setting(
        None,
        "A TOML file with further servers, other names for models, and more about them, like examples/models.toml.",
        group=Group.BACKEND,
        must_be="the path of a TOML file",
        example="examples/models.toml",
        see="[What the file may contain](models-file.md).",
    )
    backend_wait_seconds: Seconds | None = setting(
        None,
        "How many seconds a call waits for a server that says that it is loading its model. If you set it, in either mode, a "
        "call also waits for a server that cannot be reached, for example while it starts. 0 is not at all.",
        group=Group.BACKEND,
        must_be="a number of seconds, or 0 for not at all",
        example="300",
        default_text="`60` for a server that is loading, `0` for one that cannot be reached",
        see="[Servers that start or load](translate-mode.md#servers-that-start-or-load).",
    )
    ollama_version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")] = setting(
        "0.40.12",
        "The Ollama version that clients are told. Several clients refuse a version older than 0.13.4.",
        group=Group.BACKEND,
        must_be="a version like 0.40.12: three numbers and nothing else",
        example="0.40.12",
        see="Change it only for a client that demands a newer version.",
    )

    # -- The server behind the proxy: fix mode

    ollama_upstream_url: HttpUrl = setting(
        "http://127.0.0.1:11434",
        "The URL of the real Ollama.",
        group=Group.UPSTREAM,
        must_be="the URL of an Ollama server, for example http://127.0.0.1:11434",
        example="http://127.0.0.1:11434",
    )
    upstream_wait_seconds: Seconds | None = setting(
        None,
        "Another name of BACKEND_WAIT_SECONDS, which counts if both are set.",
        group=Group.UPSTREAM,
        must_be="a number of seconds, or 0 for not at all",
        example="60",
        see="[Other failures](fix-mode.md#failures).",
    )

    # -- Repaired requests and waiting clients

    fix_methods: bool = setting(
        True,
        "Restore the HTTP method of a request that arrives with a wrong method.",
        group=Group.REPAIR,
        must_be=_TRUE_OR_FALSE,
        example="false",
    )
    method_map: str | None = setting(
        None,
        "Changes to the map of paths and methods: the path of a TOML or JSON file, or the text itself, for example "
        '"/api/wipe" = {method = "DELETE", path = "/api/delete"}.',
        group=Group.REPAIR,
        must_be="TOML or JSON, or the path of such a file",
        example="methods.toml",
        see="[The map, and examples](fix-mode.md#changing-the-map).",
    )
    query_bodies: bool = setting(
        False,
        "Let the query of a GET take the place of a lost body in requests of browsers without a key, too. A page of any "
        "site could then make a browser delete models. Programs, and whoever brings a key, need no such setting.",
        group=Group.REPAIR,
        must_be=_TRUE_OR_FALSE,
        example="true",
        see="[Lost bodies](fix-mode.md#lost-bodies).",
    )
    heartbeat_seconds: Seconds | None = setting(
        None,
        "After this many seconds of silence, also before its first piece, a streamed answer gets a sign of life that says "
        "nothing, so that clients and proxies in between do not give up; 0 is never. Behind Runpod's proxy, which waits for "
        "100 seconds, use 20.",
        group=Group.REPAIR,
        must_be="a number of seconds, or 0 for never",
        example="20",
        default_text="`10` for `/v1/messages` and `/v1/responses`; elsewhere `15`, and never before the first piece",
        see="[What clients see](fix-mode.md#heartbeat).",
    )

    # -- Who may call

    proxy_api_keys: SecretStr | None = setting(
        None,
        "Keys that clients must bring, separated by commas: as `Authorization: Bearer`, as the password of "
        "`Authorization: Basic`, or as `X-Api-Key`. Without any key, everyone may call.",
        group=Group.ACCESS,
        must_be="keys of eight characters or more, separated by commas",
        example="first-long-key,second-long-key",
        see="The proxy takes a client's key from whichever of these headers the client sends.",
    )
    proxy_api_keys_file: Path | None = setting(
        None,
        "A file with further keys that clients may bring, one on each line; for mounted secrets.",
        group=Group.ACCESS,
        must_be="the path of a file with a key on each line",
        example="/run/secrets/proxy_keys",
    )
    ollama_origins: str = setting(
        "",
        "Origins whose web pages may call the proxy, besides local ones, separated by commas; * stands for anything.",
        group=Group.ACCESS,
        must_be="origins like https://app.example, separated by commas, or *",
        example="https://app.example,https://*.lan",
        see="[Web pages](fix-mode.md#web-pages-origin-and-host).",
    )
    trusted_proxies: str = setting(
        "",
        "Addresses and networks whose X-Forwarded-For header is believed, separated by commas.",
        group=Group.ACCESS,
        must_be="addresses or networks, separated by commas",
        example="10.0.0.0/8,192.0.2.1",
        see="[Replicas](operations.md#replicas).",
    )

    # -- Limits and time-outs

    rate_limit: str | None = setting(
        None,
        "How often each key, or without keys each address, may call.",
        group=Group.LIMITS,
        must_be="limits like 60/minute;1000/day",
        example="60/minute;1000/day",
    )
    rate_limit_storage: SecretStr = setting(
        SecretStr("memory://"),
        "Where calls are counted. With a redis:// URL several proxies share one count.",
        group=Group.LIMITS,
        must_be="memory:// or a URL like redis://127.0.0.1:6379",
        example="redis://127.0.0.1:6379",
        see="Redis needs another package: `pip install '.[redis]'` in a checkout.",
    )
    max_body_size: Annotated[ByteSize, Field(ge=0)] = setting(
        ByteSize(32 << 20),
        "The largest body of a request, packed and unpacked; 0 is any size. Uploads of blobs have no limit.",
        group=Group.LIMITS,
        must_be="a size like 32MiB, or 0 for any",
        example="20MiB",
        default_text="`32MiB`",
    )
    max_buffered: Annotated[ByteSize, Field(ge=0)] = setting(
        ByteSize(128 << 20),
        "How many bytes of request bodies are held at a time, over all clients; further requests are told to try again. 0 is "
        "any number. A parsed value of a large body counts for 100 bytes.",
        group=Group.LIMITS,
        must_be="a size like 128MiB, or 0 for any",
        example="64MiB",
        default_text="`128MiB`",
    )
    max_json_elements: Count = setting(
        500_000,
        "How many values the JSON of a request may have: numbers, texts, lists, objects. 0 is any number, as for the others.",
        group=Group.LIMITS,
        must_be=_NUMBER_OR_ANY,
        example="100000",
    )
    max_messages: Count = setting(
        10_000,
        "How many messages a request may have, or items of a Responses call.",
        group=Group.LIMITS,
        must_be=_NUMBER_OR_ANY,
        example="2000",
    )
    max_tools: Count = setting(
        2000,
        "How many tools a request may have.",
        group=Group.LIMITS,
        must_be=_NUMBER_OR_ANY,
        example="256",
    )
    max_stops: Count = setting(
        1000,
        "How many stop strings a request may have.",
        group=Group.LIMITS,
        must_be=_NUMBER_OR_ANY,
        example="16",
    )
    max_inputs: Count = setting(
        100_000,
        "How many texts, or numbers of tokens, a request may have embedded.",
        group=Group.LIMITS,
        must_be=_NUMBER_OR_ANY,
        example="2048",
    )
    max_schema_nodes: Count = setting(
        50_000,
        "How many values the JSON schemas of a request may have, in its format and in its tools together.",
        group=Group.LIMITS,
        must_be=_NUMBER_OR_ANY,
        example="10000",
    )
    max_context: Count = setting(
        500_000,
        "How many numbers the `context` of a generate call may have.",
        group=Group.LIMITS,
        must_be=_NUMBER_OR_ANY,
        example="100000",
    )
    max_copies_size: Annotated[ByteSize, Field(ge=0)] = setting(
        ByteSize(4 << 20),
        "How many bytes the models take that are made with copy and create, for each key of PROXY_API_KEYS, or else for all "
        "clients together. Older ones make way.",
        group=Group.LIMITS,
        must_be="a size like 4MiB",
        example="1MiB",
        default_text="`4MiB`",
    )
    wrong_keys_per_minute: Count = setting(
        60,
        "How many wrong keys an address may bring in a minute before its further wrong keys are refused slowly. 0 is "
        "any number.",
        group=Group.LIMITS,
        must_be=_NUMBER_OR_ANY,
        example="10",
        see="[How](operations.md#wrong-keys).",
    )
    max_answer_size: Annotated[ByteSize, Field(ge=0)] = setting(
        ByteSize(128 << 20),
        "The largest answer of a server that is held in memory: an answer that is translated, streamed or not, or one in a "
        "single piece in which a model is renamed. 0 is any size. An answer that passes as it is has no limit.",
        group=Group.LIMITS,
        must_be="a size like 128MiB, or 0 for any",
        example="32MiB",
        default_text="`128MiB`",
    )
    max_concurrent_requests: Count = setting(
        0,
        "How many calls to models are answered at a time; further calls wait. 0 is any number.",
        group=Group.LIMITS,
        must_be="a number, or 0 for any",
        example="8",
    )
    max_queued_requests: Count = setting(
        512,
        "How many calls may wait because of MAX_CONCURRENT_REQUESTS; further calls are told that the server is busy.",
        group=Group.LIMITS,
        must_be="a number",
        example="100",
    )
    client_timeout: Seconds = setting(
        60,
        "How many seconds a client may take to send the head of a request, and between two parts of its body; 0 is for ever. A "
        "part has a kilobyte for each of these seconds, except for the last part.",
        group=Group.LIMITS,
        must_be=_SECONDS_OR_FOR_EVER,
        example="30",
        read_once=True,
    )
    head_timeout: Seconds | None = setting(
        None,
        "How many seconds a client may take to send the head of a request, from its first byte; 0 is for ever.",
        group=Group.LIMITS,
        must_be=_SECONDS_OR_FOR_EVER,
        example="10",
        default_text="`CLIENT_TIMEOUT`",
        read_once=True,
    )
    body_timeout: Seconds | None = setting(
        None,
        "How many seconds may pass between two parts of a request's body; 0 is for ever.",
        group=Group.LIMITS,
        must_be=_SECONDS_OR_FOR_EVER,
        example="30",
        default_text="`CLIENT_TIMEOUT`",
        read_once=True,
    )
    keep_alive_timeout: Seconds = setting(
        75,
        "How many seconds a connection without a request stays open, be it new or kept alive; 0 is for ever.",
        group=Group.LIMITS,
        must_be=_SECONDS_OR_FOR_EVER,
        example="20",
        read_once=True,
    )
    write_timeout: Seconds = setting(
        60,
        "How many seconds a client may leave its response unread before the connection is closed; 0 is for ever.",
        group=Group.LIMITS,
        must_be=_SECONDS_OR_FOR_EVER,
        example="30",
        read_once=True,
    )
    linger_timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] = setting(
        5,
        "How many seconds the rest of a refused request is read, so that its client gets to see the response.",
        group=Group.LIMITS,
        must_be="a number of seconds above 0",
        example="2",
        read_once=True,
    )
    max_linger_size: Annotated[ByteSize, Field(ge=0)] = setting(
        ByteSize(4 << 20),
        "How many bytes of the rest of a refused request are read, so that its client gets to see the response.",
        group=Group.LIMITS,
        must_be="a size like 4MiB",
        example="1MiB",
        default_text="`4MiB`",
        read_once=True,
    )
    max_head_size: Annotated[ByteSize, Field(ge=1024)] = setting(
        ByteSize(1 << 16),
        "The largest head of a request, and the most bytes of trailers and of the framing of chunks.",
        group=Group.LIMITS,
        must_be="a size of 1KiB or more, like 64KiB",
        example="16KiB",
        default_text="`64KiB`",
        read_once=True,
    )
    max_header_count: Annotated[int, Field(ge=1)] = setting(
        200,
        "How many headers a request may have.",
        group=Group.LIMITS,
        must_be="a number above 0",
        example="100",
        read_once=True,
    )
    max_connections: Count = setting(
        0,
        "How many clients may be connected. When there are more, connections without a request are closed. 0 is what half of "
        "the limit of open files allows, and 10,000 at most; a larger number counts as 0.",
        group=Group.LIMITS,
        must_be="a number, or 0 for as many as possible",
        example="500",
        read_once=True,
    )
    request_timeout: Seconds | None = setting(
        None,
        "How many seconds the server behind the proxy may take to begin its answer; 0 is for ever.",
        group=Group.LIMITS,
        must_be=_SECONDS_OR_FOR_EVER,
        example="120",
        default_text="`600`, in fix mode `0`",
    )
    stream_idle_timeout: Seconds | None = setting(
        None,
        "How many seconds the server behind the proxy may be silent within an answer; 0 is for ever.",
        group=Group.LIMITS,
        must_be=_SECONDS_OR_FOR_EVER,
        example="60",
        default_text="`600`, in fix mode `0`",
    )

    # -- Operation

    drain_seconds: Seconds = setting(
        30,
        "How many seconds running answers have to end when the proxy is told to stop; the rest ends with an error.",
        group=Group.OPERATION,
        must_be="a number of seconds, or 0 for none",
        example="10",
        see="[How the proxy stops](operations.md#stopping).",
    )
    metrics_port: Port | None = setting(
        None,
        "A separate port for /metrics (Prometheus). Without it, /metrics is a path of the proxy's own port.",
        group=Group.OPERATION,
        must_be="a port number from 1 to 65535",
        example="9464",
        see="[Metrics](operations.md#metrics).",
        read_once=True,
    )
    log_format: Annotated[Literal["text", "json"], BeforeValidator(_lower)] = setting(
        "text",
        "The form of the console command's log lines.",
        group=Group.OPERATION,
        must_be='"text" or "json"',
        example="json",
        see="[Logs](operations.md#logs). mitmproxy's own tools have their own form of lines.",
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = setting(
        "info",
        "Minimum log level.",
        group=Group.OPERATION,
        must_be='"debug", "info", "warning" or "error"',
        example="debug",
    )
    keep_flows: Count = setting(
        1000,
        "mitmweb and mitmproxy: how many flows stay in the list; older flows are removed unless they are marked. 0 keeps all.",
        group=Group.OPERATION,
        must_be="a number, or 0 for all",
        example="200",
        see="[What is kept](debugging.md#what-is-kept).",
    )

    _demands_keys: bool = PrivateAttr(default=True)

    @model_validator(mode="after")
    def _pick_defaults(self) -> Self:
        if "proxy_port" not in self.model_fields_set:
            self.proxy_port = DEFAULT_PORTS[self.proxy_mode]
        if self.head_timeout is None:
            self.head_timeout = self.client_timeout
        if self.body_timeout is None:
            self.body_timeout = self.client_timeout
        if self.request_timeout is None:
            self.request_timeout = DEFAULT_TIMEOUTS[self.proxy_mode]
        if self.stream_idle_timeout is None:
            self.stream_idle_timeout = DEFAULT_TIMEOUTS[self.proxy_mode]
        return self

    def without_demand_for_keys(self) -> Self:
        """Return the settings for a process that need not call any server: keys that are missing do not stop its start."""
        settings = self.model_copy()
        settings._demands_keys = False  # noqa: SLF001  # of this class
        return settings

    @property
    def demands_keys(self) -> bool:
        """Whether the key of a server that needs one must be set."""
        return self._demands_keys

    @property
    def timeouts(self) -> Timeouts:
        """How long what stands behind the proxy may take."""
        return Timeouts(self.request_timeout or None, self.stream_idle_timeout or None)

    @property
    def answer_limit(self) -> int | None:
        """Bytes of an answer that may be held in memory; None for any."""
        return int(self.max_answer_size) or None

    @property
    def wait_limits(self) -> WaitLimits:
        """How long calls wait for a server that starts or loads."""
        given = self.upstream_wait_seconds if self.backend_wait_seconds is None else self.backend_wait_seconds
        return WaitLimits(DEFAULT_WAIT, refused=False) if given is None else WaitLimits(given, refused=True)

    @property
    def bounds(self) -> Bounds:
        """What clients may send, how long the server waits for clients, and how many there may be."""
        return Bounds(
            self.max_head_size,
            self.max_header_count,
            self.head_timeout or 0,
            self.keep_alive_timeout,
            self.body_timeout or 0,
            self.write_timeout,
            self.linger_timeout,
            self.max_linger_size,
            most_connections(self.max_connections),
        )

    @property
    def counts(self) -> Counts:
        """How many messages, tools and the like a request may have."""
        return Counts(*(getattr(self, name) for name in Counts._fields))

    @property
    def used_apis(self) -> frozenset[ApiName] | None:
        """The APIs of the server that are used; None uses each one that the server turns out to have."""
        return frozenset(api_names(comma_separated(self.backend_apis))) if self.backend_apis else None

    @property
    def has_own_server(self) -> bool:
        """Whether `OPENAI_API_BASE_URL` counts: where only `BACKENDS` is set, there is no other server."""
        return not self.backends or "openai_api_base_url" in self.model_fields_set

    @property
    def servers(self) -> str:
        """What stands behind the proxy, in words for the log."""
        own = [self.upstream_url] if self.proxy_mode == "fix" or self.has_own_server else []
        return ", ".join([*own, *(comma_separated(self.backends) if self.proxy_mode == "translate" else [])])

    @property
    def upstream_url(self) -> str:
        """The URL of what stands behind the proxy in its mode."""
        return self.openai_api_base_url if self.proxy_mode == "translate" else self.ollama_upstream_url


def load_settings(overrides: Mapping[str, str | None] | None = None, *, demand_keys: bool = True) -> Settings:
    """Read the settings.

    Args:
        overrides: texts by the names of fields; what is None is left out.
        demand_keys: whether the keys of servers that need one must be set; not in a process that need not call any server.

    Raises:
        SettingsError: a value is wrong, or one is missing that the mode needs.
    """
    if mistake := find_mistake(Path(ENV_FILE), os.environ, [name.upper() for name in Settings.model_fields]):
        raise SettingsError(mistake)
    given = {name: value for name, value in (overrides or {}).items() if value not in (None, "")}
    try:
        settings = Settings(**given)  # type: ignore[arg-type]  # texts: pydantic makes the types
    except ValidationError as error:
        raise SettingsError(_sentence(error)) from None
    if not demand_keys:
        return settings.without_demand_for_keys()
    needs_key = settings.proxy_mode == "translate" and not settings.openai_api_key_passthrough and settings.has_own_server
    if needs_key and not settings.openai_api_key and _is_openai(settings.openai_api_base_url):
        raise SettingsError(
            "OPENAI_API_KEY is not set: set it to your OpenAI key, "
            f"or set OPENAI_API_BASE_URL to the OpenAI-compatible server you want to use.{_base_url_hint()}"
        )
    return settings


def _base_url_hint() -> str:
    """Return a sentence about a variable in which other programs have the base URL; "" if none is set."""
    for name in _OTHER_BASE_URLS:
        if environment_variable(name):
            return f" {name} is set, but the proxy reads the URL from OPENAI_API_BASE_URL."
    return ""


class AddressNames(NamedTuple):
    """How the settings of an address that is listened on are called, for the sentence about a wrong one."""

    host: str
    port: str
    usual_holder: str = ""
    """What a user is told of the program that often has the port, after a comma."""


PROXY_ADDRESS = AddressNames("PROXY_HOST", "PROXY_PORT (or --port)", ", perhaps Ollama itself")
"""The address of the console command."""


def check_address(settings: Settings, names: AddressNames = PROXY_ADDRESS) -> None:
    """Make sure that the proxy can listen on its host and port and does not stand in front of itself.

    Raises:
        SettingsError: the port is taken or forbidden, the host is not of this machine, or the URL behind the proxy is
            the proxy's own.
    """
    check_loop(settings)
    check_listening(settings.proxy_host, settings.proxy_port, names)


def check_listening(host: str, port: int, names: AddressNames) -> None:
    """Make sure that a host and a port can be listened on.

    Raises:
        SettingsError: the port is none, taken or forbidden, or the host is not of this machine.
    """
    if not 0 <= port < 1 << 16:
        raise SettingsError(f"Port {port} is none: set {names.port} to one from 0 to 65535.")
    with listening_errors(host, port, names):
        info = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(info[0], info[1]) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(info[4])
            # On Linux two sockets may be bound to one address as long as neither listens.
            probe.listen(1)


def check_loop(settings: Settings) -> None:
    """Make sure that the proxy does not stand in front of itself.

    Raises:
        SettingsError: the URL behind the proxy is the proxy's own.
    """
    url = settings.upstream_url
    name = "OPENAI_API_BASE_URL" if settings.proxy_mode == "translate" else "OLLAMA_UPSTREAM_URL"
    if _reaches(url, settings.proxy_host, settings.proxy_port):
        raise SettingsError(
            f"{name} is {url}, which is this proxy itself: "
            f"set it to the server behind the proxy, or set PROXY_PORT to another port."
        )


@contextmanager
def listening_errors(host: str, port: int, names: AddressNames = PROXY_ADDRESS) -> Iterator[None]:
    """Turn the errors of opening a port into errors of the settings.

    Raises:
        SettingsError: the port is taken or forbidden, or the host is not of this machine.
    """
    try:
        yield
    except (socket.gaierror, UnicodeError):
        raise SettingsError(f"{names.host} is {host!r}, which is no address: set it to one like 127.0.0.1.") from None
    except PermissionError:
        raise SettingsError(f"Port {port} may not be opened by this user: set {names.port} to one above 1023.") from None
    except OSError as error:
        raise SettingsError(_why_not_listening(host, port, error, names)) from None


def _why_not_listening(host: str, port: int, error: OSError, names: AddressNames) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} is in use by another program{names.usual_holder}: "
            f"stop that program, or set {names.port} to a free port."
        )
    return f"{names.host} is {host!r}, which is not an address of this machine: set it to 127.0.0.1 or 0.0.0.0."


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    field = str(first["loc"][0]) if first["loc"] else ""
    return f"{field.upper()} is wrong: it must be {about(field).must_be}."


def _is_openai(url: str) -> bool:
    return urlsplit(url).hostname == "api.openai.com"


def _reaches(url: str, host: str, port: int) -> bool:
    parts = urlsplit(url)
    if (parts.port or (443 if parts.scheme == "https" else 80)) != port:
        return False
    target = parts.hostname or ""
    return target == host or (_is_local(target) and (host in ("", "0.0.0.0", "::") or _is_local(host)))  # noqa: S104  # no binding


def _is_local(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return address.is_loopback or address.is_unspecified


@lru_cache(maxsize=1024)
def http_url(host: str, port: int) -> str:
    """The URL of what listens on a host, which may be an address of IPv6, and a port."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
