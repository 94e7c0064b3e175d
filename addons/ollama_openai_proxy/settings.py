"""Every setting of the proxy, once: its environment variable, its default, its meaning, and what a wrong value is told.

A setting comes from a mitmproxy option or a command line argument (`overrides`), else from the environment, else from a
`.env` file in the working directory, else from its default. An empty value counts as absent.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, ByteSize, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from .net.messages import Timeouts
from .translate.server_profiles import ProfileName

if TYPE_CHECKING:
    from collections.abc import Mapping

type Mode = Literal["translate", "fix"]

OPENAI_URL = "https://api.openai.com/v1"
DEFAULT_PORTS: dict[Mode, int] = {"translate": 11434, "fix": 11435}
DEFAULT_TIMEOUTS: dict[Mode, float] = {"translate": 600, "fix": 0}


class SettingsError(Exception):
    """A setting that cannot be used. The message is one sentence that says what to change."""


KEY_RULE = "an API key, which has neither spaces nor letters with accents"


@dataclass(frozen=True, slots=True)
class MustBe:
    """What a setting's value has to be, as the end of the sentence "NAME is wrong: it must be …"."""

    wanted: str


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


class Settings(BaseSettings):
    """The proxy's settings. A field's environment variable is its name in upper case."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", hide_input_in_errors=True
    )

    proxy_mode: Annotated[Mode, BeforeValidator(_lower), MustBe('"translate" or "fix"')] = Field(
        "translate",
        description=(
            'What stands behind the proxy: "translate" answers the Ollama API through an OpenAI-compatible server, '
            '"fix" restores the HTTP methods of requests to a real Ollama.'
        ),
    )
    openai_api_base_url: Annotated[
        HttpUrl, MustBe("the base URL of an OpenAI-compatible server, for example http://127.0.0.1:8000/v1")
    ] = Field(OPENAI_URL, description="Translate mode: the base URL of the OpenAI-compatible server, usually ending in /v1.")
    openai_api_key: Annotated[ApiKey | None, MustBe(KEY_RULE)] = Field(
        None,
        description="Translate mode: the server's API key. Needed for OpenAI itself; most local servers need none.",
    )
    ollama_upstream_url: Annotated[HttpUrl, MustBe("the URL of an Ollama server, for example http://127.0.0.1:11434")] = Field(
        "http://127.0.0.1:11434", description="Fix mode: the URL of the real Ollama."
    )
    proxy_host: Annotated[str, MustBe("an address to listen on, for example 127.0.0.1 or 0.0.0.0")] = Field(
        "127.0.0.1",
        description="The address to listen on. The default is reachable from this machine only; 0.0.0.0 is everywhere.",
    )
    proxy_port: Annotated[int, Field(ge=1, le=65535), MustBe("a port number from 1 to 65535, for example 11434")] = Field(
        0,
        validate_default=False,
        description="The port to listen on. The default is 11434 (Ollama's own) in translate mode and 11435 in fix mode.",
    )
    fix_methods: Annotated[bool, MustBe('"true" or "false"')] = Field(
        True, description="Restore the HTTP method of a request that arrives with a wrong one."
    )
    openai_api_key_passthrough: Annotated[bool, MustBe('"true" or "false"')] = Field(
        False,
        description=(
            "Translate mode: send the key that the client brings to the server, instead of OPENAI_API_KEY, which then is for "
            "clients that bring none."
        ),
    )
    proxy_api_keys: Annotated[SecretStr | None, MustBe("keys of eight characters or more, separated by commas")] = Field(
        None,
        description=(
            "Keys that clients must bring, separated by commas: as `Authorization: Bearer`, as the password of "
            "`Authorization: Basic`, or as `X-Api-Key`. Without any, everyone may call."
        ),
    )
    proxy_api_keys_file: Annotated[Path | None, MustBe("the path of a file with a key on each line")] = Field(
        None, description="A file with further keys that clients may bring, one on each line; for mounted secrets."
    )
    rate_limit: Annotated[str | None, MustBe("limits like 60/minute;1000/day")] = Field(
        None, description="How often each key, or without keys each address, may call, for example 60/minute;1000/day."
    )
    rate_limit_storage: Annotated[SecretStr, MustBe("memory:// or a URL like redis://127.0.0.1:6379")] = Field(
        SecretStr("memory://"), description="Where calls are counted; with a redis:// URL several proxies share one count."
    )
    trusted_proxies: Annotated[str, MustBe("addresses or networks, separated by commas")] = Field(
        "", description="Addresses and networks whose X-Forwarded-For is believed, separated by commas."
    )
    max_body_size: Annotated[ByteSize, Field(ge=0), MustBe("a size like 100MiB, or 0 for any")] = Field(
        ByteSize(100 << 20),
        description="The largest body of a request, for example 100MiB; 0 is any. Uploads of blobs are not limited.",
    )
    max_concurrent_requests: Annotated[int, Field(ge=0), MustBe("a number, or 0 for any")] = Field(
        0, description="How many calls to models are answered at a time; further ones wait. 0 is any number."
    )
    max_queued_requests: Annotated[int, Field(ge=0), MustBe("a number")] = Field(
        512, description="How many calls may wait for MAX_CONCURRENT_REQUESTS; further ones are told that the server is busy."
    )
    client_timeout: Annotated[float, Field(ge=0, allow_inf_nan=False), MustBe("a number of seconds, or 0 for ever")] = Field(
        60,
        description=(
            "How many seconds a client may take to send a request's head, and its body beyond 1 kB a second; 0 is for ever."
        ),
    )
    request_timeout: Annotated[float | None, Field(ge=0, allow_inf_nan=False), MustBe("a number of seconds, or 0 for ever")] = (
        Field(
            None,
            description=(
                "How many seconds the server behind the proxy may take to begin its answer; 0 is for ever. "
                "The default is 600 in translate mode and for ever in fix mode."
            ),
        )
    )
    stream_idle_timeout: Annotated[
        float | None, Field(ge=0, allow_inf_nan=False), MustBe("a number of seconds, or 0 for ever")
    ] = Field(
        None,
        description=(
            "How many seconds the server behind the proxy may be silent within an answer; 0 is for ever. "
            "The default is 600 in translate mode and for ever in fix mode."
        ),
    )
    method_map: Annotated[str | None, MustBe("TOML or JSON, or the path of such a file")] = Field(
        None,
        description=(
            "Changes to the map of endpoints and methods: the path of a TOML or JSON file, or such text itself, for example "
            '"/api/wipe" = {method = "DELETE", path = "/api/delete"}.'
        ),
    )
    heartbeat_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False), MustBe("a number of seconds, or 0 for never")] = (
        Field(
            0,
            description=(
                "After so many seconds without a first frame, a streamed chat or generate call gets empty frames, "
                "which keep a proxy in between from giving up; 0 is never."
            ),
        )
    )
    upstream_wait_seconds: Annotated[
        float, Field(ge=0, allow_inf_nan=False), MustBe("a number of seconds, or 0 for not at all")
    ] = Field(0, description="Fix mode: how long a request waits for an Ollama that refuses connections, as while it starts.")
    ollama_version: Annotated[
        str, Field(pattern=r"^\d+\.\d+\.\d+$"), MustBe("a version like 0.24.0: three numbers and nothing else")
    ] = Field(
        "0.24.0",
        description="Translate mode: the Ollama version that clients are told. Several refuse one older than 0.13.4.",
    )
    ollama_origins: Annotated[str, MustBe("origins like https://app.example, separated by commas, or *")] = Field(
        "",
        description=(
            "Origins whose web pages may call the proxy, besides local ones, separated by commas; * in one stands for anything."
        ),
    )
    models_file: Annotated[Path | None, MustBe("the path of a TOML file")] = Field(
        None, description="Translate mode: a TOML file with further back ends, other names for models, and more about them."
    )
    backend_profile: Annotated[
        ProfileName | None, BeforeValidator(_lower), MustBe("one of " + ", ".join(get_args(ProfileName.__value__)))
    ] = Field(
        None,
        description=(
            "Translate mode: the kind of the server, where it is not recognised by its URL and its list of models: "
            + ", ".join(get_args(ProfileName.__value__))
            + "."
        ),
    )
    drain_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False), MustBe("a number of seconds, or 0 for none")] = Field(
        30, description="How many seconds running answers have to end when the proxy is told to stop."
    )
    metrics_port: Annotated[int | None, Field(ge=1, le=65535), MustBe("a port number from 1 to 65535")] = Field(
        None, description="A port of its own for /metrics; without it they are at that path of the proxy's own port."
    )
    keep_flows: Annotated[int, Field(ge=0), MustBe("a number, or 0 for all")] = Field(
        1000,
        description="mitmweb and mitmproxy: how many flows stay in the list; older ones go, unless they are marked. 0 is all.",
    )
    log_format: Annotated[Literal["text", "json"], BeforeValidator(_lower), MustBe('"text" or "json"')] = Field(
        "text", description="The form of the log lines that the console command writes."
    )
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        BeforeValidator(_lower),
        MustBe('"debug", "info", "warning" or "error"'),
    ] = Field("info", description="The least urgent log lines to write.")

    @model_validator(mode="after")
    def _pick_defaults(self) -> Self:
        if self.proxy_port == 0:
            self.proxy_port = DEFAULT_PORTS[self.proxy_mode]
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
    host, port, url = settings.proxy_host, settings.proxy_port, settings.upstream_url
    name = "OPENAI_API_BASE_URL" if settings.proxy_mode == "translate" else "OLLAMA_UPSTREAM_URL"
    if _reaches(url, host, port):
        raise SettingsError(
            f"{name} is {url}, which is this proxy itself: "
            f"set it to the server behind the proxy, or set PROXY_PORT to another port."
        )
    try:
        info = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(info[0], info[1]) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(info[4])
            # On Linux two sockets may be bound to one address as long as neither listens.
            probe.listen(1)
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
    wanted = next(m.wanted for m in Settings.model_fields[field].metadata if isinstance(m, MustBe))
    return f"{field.upper()} is wrong: it must be {wanted}."


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
