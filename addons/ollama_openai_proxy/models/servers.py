"""The servers behind translate mode, as the settings and the models file name them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import SecretStr

from ..backend.client import Backend
from ..backend.server_options import ServerOptions
from ..net.http_messages import Timeouts
from ..settings import SettingsError, comma_separated, environment_variable, pairs, usable_headers
from ..translate.ollama_descriptions import DEFAULT_BACKEND
from ..translate.service_presets import PRESETS
from .models_file import BackendEntry, plain, why_no_authorities
from .name_patterns import passes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..settings import Settings
    from ..translate.server_profiles import ProfileName
    from .models_file import ModelsFile


@dataclass(frozen=True, slots=True)
class Server:
    """A server as it is configured.

    Attributes:
        name: how the models file calls it; `DEFAULT_BACKEND` for the server of `OPENAI_API_BASE_URL`.
        url: its base URL.
        key: the proxy's own key.
        profile: its kind; None finds out.
        timeouts: how long it may take.
        options: the way to it.
        prefix: what stands before the names of its models.
        include: patterns of the models of its list that are shown; none shows all.
        exclude: patterns of the models of its list that are left out.
        place: where its URL is set.
        key_place: where its key is set.
        own_key: whether clients bring the key.
        missing_key: a sentence about the key that must be set and is not; "" if none is missing.
    """

    name: str
    url: str
    key: SecretStr | None
    profile: ProfileName | None
    timeouts: Timeouts
    options: ServerOptions = field(default_factory=ServerOptions)
    prefix: str = ""
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    place: str = ""
    key_place: str = ""
    own_key: bool = False
    missing_key: str = ""

    def opened(self, timeouts: Timeouts | None = None, *, adapt: bool = True, limit: int | None = None) -> Backend:
        """Return a client of the server, perhaps with other time-outs than those of the settings.

        Args:
            timeouts: instead of those of the settings.
            adapt: whether to learn from refusals.
            limit: bytes of an answer that may be held in memory; None for any.
        """
        return Backend(
            self.name,
            self.url,
            self.key,
            self.profile,
            timeouts or self.timeouts,
            passthrough=self.own_key,
            adapt=adapt,
            limit=limit,
            options=self.options,
        )

    def lets_pass(self, name: str) -> bool:
        """Return whether the server's filter lets a model pass."""
        return passes(name, self.include, self.exclude)

    @property
    def secrets(self) -> list[SecretStr]:
        """What must not be told to anybody."""
        return [*([self.key] if self.key else []), *self.options.headers.values(), *self.options.query.values()]

    def __str__(self) -> str:
        return f"the back end at {self.url}" if self.name == DEFAULT_BACKEND else f"the back end {self.name} at {self.url}"


def configured_servers(settings: Settings, file: ModelsFile) -> list[Server]:
    """Return all servers; the first is the one for models that are not known.

    Raises:
        SettingsError: a key, a variable or a file that a server needs is missing or wrong.
    """
    named = [name.lower() for name in comma_separated(settings.backends)]
    entries = {name: file.backends.get(name) or BackendEntry.model_validate({"preset": name}) for name in dict.fromkeys(named)}
    entries |= {name: entry for name, entry in file.backends.items() if name not in entries}
    own = settings.has_own_server
    servers = [_own_server(settings)] if own else []
    for number, (name, entry) in enumerate(entries.items()):
        first = number == 0 and not own
        servers.append(_named_server(name, entry, settings, from_list=name in named, first=first))
    return servers


def names_beside_file(settings: Settings) -> list[str]:
    """Return the names of the servers that the settings alone name."""
    return [*([DEFAULT_BACKEND] if settings.has_own_server else []), *map(str.lower, comma_separated(settings.backends))]


def _own_server(settings: Settings) -> Server:
    headers, query, file = settings.backend_headers, settings.backend_query, settings.backend_ca_file
    if file is not None and (wrong := why_no_authorities(file)):
        raise SettingsError(f"BACKEND_CA_FILE {file} {wrong}: correct the path.")
    return Server(
        DEFAULT_BACKEND,
        settings.openai_api_base_url,
        settings.openai_api_key,
        settings.backend_profile,
        settings.timeouts,
        ServerOptions(
            usable_headers(pairs(headers.get_secret_value())) if headers else {},
            {name: SecretStr(value) for name, value in pairs(query.get_secret_value()).items()} if query else {},
            settings.used_apis,
            file,
        ),
        with_slash(settings.backend_prefix),
        comma_separated(settings.backend_include),
        comma_separated(settings.backend_exclude),
        "OPENAI_API_BASE_URL",
        "OPENAI_API_KEY",
        settings.openai_api_key_passthrough,
    )


def _named_server(name: str, entry: BackendEntry, settings: Settings, *, from_list: bool, first: bool) -> Server:
    preset = PRESETS[entry.preset or name] if entry.preset or (from_list and name in PRESETS) else None
    place = f"backends.{name}.url in MODELS_FILE"
    key_place = entry.api_key_env or f"backends.{name}.api_key_env in MODELS_FILE"
    key = entry.key()
    own_key = first and settings.openai_api_key_passthrough
    missing_key = ""
    if key is None and not own_key and entry.api_key_env:
        missing_key = (
            f"{entry.api_key_env} is not set: backends.{name} in MODELS_FILE names it as its key; "
            "set it, or take api_key_env out if the server needs no key."
        )
    url = entry.url
    if preset is not None:
        where = "BACKENDS" if from_list else f"backends.{name} in MODELS_FILE"
        if entry.preset is None and key is None:
            key = entry.model_copy(update={"preset": name}).key()
        if not entry.api_key_env:
            key_place = preset.key_variable
        if url is None:
            place = where
            for variable in preset.variables:
                if not environment_variable(variable):
                    raise SettingsError(f"{variable} is not set: {where} needs it for the URL of {preset.profile}.")
            url = preset.filled_url(environment_variable)
            if key is None and not own_key and not missing_key:
                missing_key = f"{key_place} is not set: {where} needs it as the key of {preset.profile}."
    if missing_key and settings.demands_keys:
        raise SettingsError(missing_key)
    timeout = entry.timeout
    return Server(
        name,
        url or "",
        key,
        entry.profile or (preset.profile if preset else None),
        settings.timeouts if timeout is None else Timeouts(timeout or None, timeout or None),
        ServerOptions(plain(entry.headers), plain(entry.query), frozenset(entry.apis) if entry.apis else None, entry.ca_file),
        with_slash(entry.prefix),
        entry.include,
        entry.exclude,
        place,
        key_place,
        own_key,
        missing_key,
    )


def with_slash(prefix: str) -> str:
    """Return a prefix of names; a slash is added to one that ends with a letter or a digit."""
    return f"{prefix}/" if prefix and prefix[-1].isalnum() else prefix
