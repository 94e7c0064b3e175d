"""The models file: further back ends, other names for models, and what is to be known of them.

Everything in it is optional; without a file the back end of the settings is asked what it has.
"""

from __future__ import annotations

import os
import tomllib
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from ..settings import KEY_RULE, ApiKey, HttpUrl, SettingsError, usable_key
from ..translate.server_profiles import ProfileName

if TYPE_CHECKING:
    from pathlib import Path

type Capability = Literal["completion", "tools", "insert", "vision", "embedding", "thinking", "audio", "decision"]

DEFAULT_BACKEND = "default"
"""The name of the back end that the settings describe."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class BackendEntry(_Table):
    """`[backends.NAME]`: a server beside that of the settings."""

    url: HttpUrl
    api_key: ApiKey | None = None
    api_key_env: str | None = Field(None, description="The environment variable that holds the key.")
    profile: ProfileName | None = None

    def key(self) -> SecretStr | None:
        """The key, from the environment or from the file.

        Raises:
            SettingsError: what the environment has cannot be a key.
        """
        value = os.environ.get(self.api_key_env) if self.api_key_env else None
        if not value:
            return self.api_key
        try:
            return usable_key(SecretStr(value))
        except ValueError:
            raise SettingsError(f"{self.api_key_env} is wrong: it must be {KEY_RULE}.") from None


class ModelEntry(_Table):
    """`[models."NAME"]`: a name that clients may use, or more about a model that the back end lists under that name."""

    model: str | None = Field(None, description="The back end's own name; the table's name where it is left out.")
    backend: str = DEFAULT_BACKEND
    hidden: bool = Field(False, description="Leave the model out of lists; it can be used all the same.")
    capabilities: list[Capability] | None = None
    context_length: int | None = Field(None, gt=0)
    embedding_length: int | None = Field(None, gt=0)
    family: str | None = None
    parameter_size: str | None = None
    quantization_level: str | None = None
    options: dict[str, Any] = Field(default_factory=dict, description="Ollama options that a request may override.")
    system: str = Field("", description="A system prompt for conversations that bring none.")


class ModelsFile(_Table):
    """A whole models file."""

    backends: dict[str, BackendEntry] = Field(default_factory=dict)
    models: dict[str, ModelEntry] = Field(default_factory=dict)


def load_models_file(path: Path | None) -> ModelsFile:
    """Read a models file; none is an empty one.

    Raises:
        SettingsError: the file cannot be read, or does not fit; the sentence says where.
    """
    if path is None:
        return ModelsFile()
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"MODELS_FILE {path} cannot be read ({error.strerror}): correct the path.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"MODELS_FILE {path} is no TOML: {error}.") from None
    try:
        models_file = ModelsFile.model_validate(content)
    except ValidationError as error:
        raise SettingsError(f"MODELS_FILE {path}: {_complaint(error)}.") from None
    if DEFAULT_BACKEND in models_file.backends:
        raise SettingsError(
            f"MODELS_FILE {path}: backends.{DEFAULT_BACKEND} has the name of the server in OPENAI_API_BASE_URL: "
            "give it another one."
        )
    for name, entry in models_file.models.items():
        if entry.backend != DEFAULT_BACKEND and entry.backend not in models_file.backends:
            raise SettingsError(
                f"MODELS_FILE {path}: models.{name}.backend names {entry.backend!r}, which is not in [backends]."
            )
    return models_file


def _complaint(error: ValidationError) -> str:
    """What is wrong and where, without the value, which may be a secret."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    match first["type"]:
        case "extra_forbidden":
            return f"{place} is no setting"
        case "value_error" if place.endswith(".api_key"):
            return f"{place} is wrong: it must be {KEY_RULE}"
        case "value_error":
            return f"{place} is wrong: it must be a base URL like http://127.0.0.1:8000/v1, without name and password"
        case _:
            return f"{place} is wrong: {first['msg'][0].lower()}{first['msg'][1:]}"
