"""The models file: further back ends, other names for models, and what is to be known of them.

Everything in it is optional; without a file the back end of the settings is asked what it has.
"""

from __future__ import annotations

import json
import re
import ssl
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from ..environment import nearest_name
from ..errors import InvalidRequest
from ..schemas.ollama.options import FORMER, KINDS, check_options
from ..settings import (
    APIS_RULE,
    HEADERS_RULE,
    KEY_RULE,
    ApiKey,
    ApiName,
    HttpUrl,
    SettingsError,
    api_names,
    environment_variable,
    usable_headers,
    usable_key,
)
from ..translate.ollama_descriptions import DEFAULT_BACKEND
from ..translate.server_profiles import ProfileName
from ..translate.service_presets import PRESETS
from ..translate.thinking_levels import nearest_level
from .name_patterns import is_pattern

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

type Capability = Literal["completion", "tools", "insert", "vision", "embedding", "thinking", "audio", "decision"]


class _Table(BaseModel):
    """A table of the file. A key that is no field stops the start."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


def _named_apis(value: object) -> object:
    return api_names(value) if isinstance(value, list) and all(isinstance(word, str) for word in value) else value


class FromEnvironment(_Table):
    """A value that a variable of the environment holds: `{ env = "NAME" }`."""

    env: str

    def value(self) -> SecretStr:
        """Return the variable's value.

        Raises:
            ValueError: the variable is not set.
        """
        if not (value := environment_variable(self.env)):
            raise ValueError(self.env)
        return SecretStr(value)


type Text = SecretStr | FromEnvironment


class BackendEntry(_Table):
    """A table `[backends.NAME]` of the models file: a server in addition to that of the settings.

    Each field is a key of the table.
    """

    url: HttpUrl | None = None
    preset: str | None = Field(None, description="A hosted service of which URL, profile and key variable are known.")
    api_key: ApiKey | None = None
    api_key_env: str | None = Field(None, description="The environment variable that holds the key.")
    profile: ProfileName | None = None
    prefix: str = Field("", description="What stands before the names of the server's models.")
    include: list[str] = Field(default_factory=list, description="The models of the server's list that are shown.")
    exclude: list[str] = Field(default_factory=list, description="The models of the server's list that are left out.")
    headers: dict[str, Text] = Field(default_factory=dict)
    query: dict[str, Text] = Field(default_factory=dict)
    apis: Annotated[list[ApiName] | None, BeforeValidator(_named_apis)] = None
    timeout: float | None = Field(None, ge=0, allow_inf_nan=False, description="Seconds; 0 is for ever.")
    ca_file: Path | None = None

    def key(self) -> SecretStr | None:
        """Return the key, from the environment or from the file.

        Raises:
            SettingsError: what the environment has cannot be a key.
        """
        variable = self.api_key_env or (PRESETS[self.preset].key_variable if self.preset and not self.api_key else None)
        value = environment_variable(variable) if variable else None
        if not value:
            return self.api_key
        try:
            return usable_key(SecretStr(value))
        except ValueError:
            raise SettingsError(f"{variable} is wrong: it must be {KEY_RULE}.") from None


class ModelEntry(_Table):
    """`[models."NAME"]`: a name that clients may use, or more about models that are listed under that name or pattern.

    Each field is a key of the table.
    """

    target: str | None = Field(
        None, validation_alias=AliasChoices("target", "model"), description="The back end's own name; by default the table's."
    )
    backend: str | None = Field(None, description="The back end that has the model.")
    hidden: bool = Field(False, description="Leave the model out of lists; it can be used all the same.")
    capabilities: list[Capability] | None = None
    context_length: int | None = Field(None, gt=0)
    embedding_length: int | None = Field(None, gt=0)
    family: str | None = None
    parameter_size: str | None = None
    quantization_level: str | None = None
    think: bool | str | None = Field(None, description="The level of thinking for requests that name none.")
    think_levels: list[bool | str] = Field(default_factory=list, description="The levels that the model has.")
    options: dict[str, Any] = Field(default_factory=dict, description="Ollama options that a request may override.")
    fallback: list[str] = Field(default_factory=list, description="Models to ask in order when this one cannot answer.")
    system: str = Field("", description="A system prompt for conversations that bring none.")


class ModelsFile(_Table):
    """A whole models file."""

    backends: dict[str, BackendEntry] = Field(default_factory=dict)
    models: dict[str, ModelEntry] = Field(default_factory=dict)


def load_models_file(path: Path | None, further: Iterable[str] = (DEFAULT_BACKEND,)) -> ModelsFile:
    """Read a models file; none is an empty one.

    Args:
        path: of the file.
        further: the names of the servers that are not in the file.

    Raises:
        SettingsError: the file cannot be read, or does not fit; the sentence says where.
    """
    if path is None:
        return ModelsFile()
    text = ""
    try:
        text = path.read_text("utf-8")
        content = tomllib.loads(text)
    except OSError as error:
        raise SettingsError(f"MODELS_FILE {path} cannot be read ({error.strerror}): correct the path.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"MODELS_FILE {path} is no TOML: {error}{_quotes_hint(text, str(error))}.") from None
    try:
        models_file = ModelsFile.model_validate(content)
        for name, backend in models_file.backends.items():
            _check_backend(name, backend, path.parent)
        for name, entry in models_file.models.items():
            _check_model(name, entry, {*further, *models_file.backends})
    except ValidationError as error:
        raise SettingsError(f"MODELS_FILE {path}: {_complaint(error, content)}.") from None
    except _Mistake as mistake:
        raise SettingsError(f"MODELS_FILE {path}: {mistake}.") from None
    return models_file


class _Mistake(Exception):
    """What is wrong with the file beside the types of its keys."""


def _check_backend(name: str, entry: BackendEntry, folder: Path) -> None:
    place = f"backends.{name}"
    if name == DEFAULT_BACKEND:
        raise _Mistake(f"{place} has the name of the server in OPENAI_API_BASE_URL: give it another one")
    if "/" in name:
        raise _Mistake(f"{place} has a slash in its name, which separates a server from a model: give it another one")
    if entry.preset is not None and entry.preset not in PRESETS:
        raise _Mistake(f"{place}.preset is {entry.preset!r}, which is none: it must be one of {', '.join(PRESETS)}")
    if entry.preset is None and name in PRESETS and entry.url is None:
        entry.preset = name
    if entry.preset is None and entry.url is None:
        raise _Mistake(f"{place} needs a url or a preset")
    if entry.apis is not None and not entry.apis:
        raise _Mistake(f"{place}.apis is wrong: it must be {APIS_RULE}")
    for key in ("headers", "query"):
        for each, value in getattr(entry, key).items():
            if isinstance(value, FromEnvironment) and environment_variable(value.env) is None:
                raise _Mistake(f"{place}.{key}.{each} comes from the variable {value.env}, which is not set")
    try:
        usable_headers({each: value.get_secret_value() for each, value in plain(entry.headers).items()})
    except ValueError:
        raise _Mistake(f"{place}.headers is wrong: it must hold {HEADERS_RULE}") from None
    if entry.ca_file is not None:
        entry.ca_file = folder / entry.ca_file
        if wrong := why_no_authorities(entry.ca_file):
            raise _Mistake(f"{place}.ca_file {entry.ca_file} {wrong}")


def why_no_authorities(path: Path) -> str:
    """Return why a file cannot be used as one with certificate authorities; "" if it can."""
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        return "holds no certificates in PEM"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return ""


def plain(texts: dict[str, Text]) -> dict[str, SecretStr]:
    """Return texts with those from the environment put in."""
    return {name: value.value() if isinstance(value, FromEnvironment) else value for name, value in texts.items()}


def _check_model(name: str, entry: ModelEntry, servers: Container[str]) -> None:
    place = f"models.{name}"
    if entry.backend is not None and entry.backend not in servers:
        raise _Mistake(f"{place}.backend names {entry.backend!r}, which is not in [backends]")
    if entry.target is not None and is_pattern(entry.target):
        raise _Mistake(f"{place}.target is {entry.target!r}, which is a pattern: it must be the name of one model")
    for option in entry.options:
        if option == "think":
            raise _Mistake(f"{place}.options.think is no option: write think = … beside options")
        if option not in KINDS and option not in FORMER:
            raise _Mistake(f"{place}.options.{option} is no option of Ollama")
    try:
        check_options(entry.options)
    except InvalidRequest as error:
        raise _Mistake(f"{place}.options is wrong: {error.message}") from None
    for level in entry.think_levels:
        if isinstance(level, str) and not level.strip():
            raise _Mistake(f"{place}.think_levels has an empty level")
    known = nearest_level(entry.think) is not None or entry.think in entry.think_levels
    if entry.think is not None and not known:
        raise _Mistake(
            f"{place}.think is {entry.think!r}, which is no level: it must be true, false, or a level of think_levels"
        )
    if entry.think is not None and entry.think_levels and entry.think not in entry.think_levels:
        levels = ", ".join(json.dumps(level) for level in entry.think_levels)
        raise _Mistake(
            f"{place}.think is {entry.think!r}, which is not in think_levels: add it there, or set think to one of {levels}"
        )


_TABLE_HEAD = re.compile(r"""\s*\[(models|backends)\.([^\]"']+)\]""")
"""The head of a table of a model or a server whose name has no quotes."""

_INNER_TABLES = (".options", ".headers", ".query")
"""What follows the name in the head of a table that belongs to a model or a server."""


def _quotes_hint(text: str, error: str) -> str:
    """Return the end of a sentence about a name that needs quotes, if the error is in the line of such a name; else "".

    Args:
        text: of the file.
        error: the TOML parser's message, which has the number of the line.
    """
    place = re.search(r"at line (\d+)", error)
    line = text.split("\n")[int(place[1]) - 1] if place else ""
    if not (head := _TABLE_HEAD.match(line)):
        return ""
    table, whole = head[1], head[2].strip()
    rest = next((inner for inner in _INNER_TABLES if whole.endswith(inner)), "")
    name = whole.removesuffix(rest)
    if re.fullmatch(r"[A-Za-z0-9_.-]*", name):
        return ""
    return f'; write the name in quotes: [{table}."{name}"{rest}]'


def _unknown_key(location: Sequence[int | str], content: Mapping[str, Any]) -> str:
    """What to say of a key that a table of the file does not have."""
    place = ".".join(str(part) for part in location)
    key = str(location[-1])
    table: type[_Table]
    if len(location) == 1:
        table, wrong = ModelsFile, f"{place} is no table of the file"
    elif location[0] == "models":
        table, wrong = ModelEntry, f"{place} is no key of a model"
    else:
        table, wrong = BackendEntry, f"{place} is no key of a server"
    if nearest := nearest_name(key, [*table.model_fields, *(_OLDER_KEYS if table is ModelEntry else ())]):
        return f"{wrong}: write `{_OLDER_KEYS.get(nearest, nearest)}`"
    value: Any = content
    for part in location:
        value = value[part]
    if isinstance(value, dict) and len(location) > 1:
        name = _dotted_name(".".join(map(str, location[1:])), value, table)
        return f'{wrong}: if it is a part of the name, write the name in quotes: [{location[0]}."{name}"]'
    return f"{wrong}: it must be one of {', '.join(table.model_fields)}"


_OLDER_KEYS = {"model": "target"}
"""Keys of a model that are understood under an older name."""


def _dotted_name(name: str, value: dict[str, Any], table: type[_Table]) -> str:
    """The whole name of a table whose name has dots, of which TOML makes tables within tables."""
    while len(value) == 1:
        ((part, inner),) = value.items()
        if part in table.model_fields or not isinstance(inner, dict):
            break
        name, value = f"{name}.{part}", inner
    return name


def _complaint(error: ValidationError, content: Mapping[str, Any]) -> str:
    """What is wrong and where, without the value, which may be a secret."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    match first["type"]:
        case "extra_forbidden":
            return _unknown_key(first["loc"], content)
        case "value_error" if place.endswith(".apis"):
            return f"{place} is wrong: it must be {APIS_RULE}"
        case "value_error" if place.endswith(".api_key"):
            return f"{place} is wrong: it must be {KEY_RULE}"
        case "value_error":
            return f"{place} is wrong: it must be a base URL like http://127.0.0.1:8000/v1, without name and password"
        case _:
            return f"{place} is wrong: {first['msg'][0].lower()}{first['msg'][1:]}"
