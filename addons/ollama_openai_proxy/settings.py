"""Every setting of the proxy, once: its environment variable, its default, its meaning, and what a wrong value is told.

A setting comes from a mitmproxy option or a command line argument (`overrides`), else from the environment, else from a
`.env` file in the working directory, else from its default. An empty value counts as absent.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, cast, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, ByteSize, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from .net.bounds import Bounds, most_connections
from .net.http_messages import Timeouts
from .translate.server_profiles import ProfileName

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

type Mode = Literal["translate", "fix"]

OPENAI_URL = "https://api.openai.com/v1"
DEFAULT_PORTS: dict[Mode, int] = {"translate": 11434, "fix": 11435}
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


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


type HttpUrl = Annotated[str, AfterValidator(_http_url)]
type ApiKey = Annotated[SecretStr, AfterValidator(usable_key)]
type Port = Annotated[int, Field(ge=1, le=65535)]
type Count = Annotated[int, Field(ge=0)]
type Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]

_SECONDS_OR_FOR_EVER = "a number of seconds, or 0 for ever"
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
        env_file=".env", env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", hide_input_in_errors=True
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
    proxy_port: Port = setting(
        0,
        "The port to listen on.",
        group=Group.ADDRESS,
        must_be="a port number from 1 to 65535, for example 11434",
        example="11500",
        default_text="`11434` (Ollama's own), in fix mode `11435`",
        read_once=True,
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
        see="[What the file may contain](translate-mode.md#the-models-file).",
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
    upstream_wait_seconds: Seconds = setting(
        0,
        "How long a request waits for an Ollama that refuses connections, for example while Ollama starts.",
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
        ByteSize(100 << 20),
        "The largest body of a request; 0 is any size. Uploads of blobs have no limit.",
        group=Group.LIMITS,
        must_be="a size like 100MiB, or 0 for any",
        example="20MiB",
        default_text="`100MiB`",
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

    @model_validator(mode="after")
    def _pick_defaults(self) -> Self:
        if self.proxy_port == 0:
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

    @property
    def timeouts(self) -> Timeouts:
        """How long what stands behind the proxy may take."""
        return Timeouts(self.request_timeout or None, self.stream_idle_timeout or None)

    @property
    def answer_limit(self) -> int | None:
        """Bytes of an answer that may be held in memory; None for any."""
        return int(self.max_answer_size) or None

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
    def upstream_url(self) -> str:
        """The URL of what stands behind the proxy in its mode."""
        return self.openai_api_base_url if self.proxy_mode == "translate" else self.ollama_upstream_url


def load_settings(overrides: Mapping[str, str | None] | None = None) -> Settings:
    """Read the settings; `overrides` maps field names to texts and leaves out what is None.

    Raises:
        SettingsError: a value is wrong, or one is missing that the mode needs.
    """
    given = {name: value for name, value in (overrides or {}).items() if value not in (None, "")}
    try:
        settings = Settings(**given)  # type: ignore[arg-type]  # texts: pydantic makes the types
    except ValidationError as error:
        raise SettingsError(_sentence(error)) from None
    needs_key = settings.proxy_mode == "translate" and not settings.openai_api_key_passthrough
    if needs_key and not settings.openai_api_key and _is_openai(settings.openai_api_base_url):
        raise SettingsError(
            "OPENAI_API_KEY is not set: set it to your OpenAI key, "
            "or set OPENAI_API_BASE_URL to the OpenAI-compatible server you want to use."
        )
    return settings


def check_address(settings: Settings) -> None:
    """Make sure that the proxy can listen on its host and port and does not stand in front of itself.

    Raises:
        SettingsError: the port is taken or forbidden, the host is not of this machine, or the URL behind the proxy is
            the proxy's own.
    """
    check_loop(settings)
    with listening_errors(settings):
        info = socket.getaddrinfo(
            settings.proxy_host or None, settings.proxy_port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
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
def listening_errors(settings: Settings) -> Iterator[None]:
    """Turn the errors of opening the port into errors of the settings.

    Raises:
        SettingsError: the port is taken or forbidden, or the host is not of this machine.
    """
    host, port = settings.proxy_host, settings.proxy_port
    try:
        yield
    except socket.gaierror:
        raise SettingsError(f"PROXY_HOST is {host!r}, which is no address: set it to one like 127.0.0.1.") from None
    except PermissionError:
        raise SettingsError(f"Port {port} may not be opened by this user: set PROXY_PORT to one above 1023.") from None
    except OSError as error:
        raise SettingsError(_why_not_listening(host, port, error)) from None


def _why_not_listening(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} is in use by another program, perhaps Ollama itself: "
            f"stop that program, or set PROXY_PORT to a free port."
        )
    return f"PROXY_HOST is {host!r}, which is not an address of this machine: set it to 127.0.0.1 or 0.0.0.0."


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


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
