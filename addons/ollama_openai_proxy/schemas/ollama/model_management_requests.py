"""The requests that fetch, make, copy and remove models.

Source: docs/wire.md#pull-push-and-create and docs/wire.md#copy-delete-and-blobs.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, FailFast, Field

from ..go_json_decoding import WireModel
from .requests import MESSAGE_TYPES, Message, null_is

type _Text = Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]


class _Named(WireModel):
    """A request about one model; older clients and the `ollama` command say `name`."""

    model: str = ""
    name: str = ""

    @property
    def about(self) -> str:
        """The model that is meant."""
        return self.model or self.name


class _Transfer(_Named):
    stream: bool = True


class PullRequest(_Transfer):
    """`POST /api/pull`."""

    go_type: ClassVar[str] = "PullRequest"


class PushRequest(_Transfer):
    """`POST /api/push`."""

    go_type: ClassVar[str] = "PushRequest"


class DeleteRequest(_Named):
    """`DELETE /api/delete`."""

    go_type: ClassVar[str] = "DeleteRequest"


class CopyRequest(WireModel):
    """`POST /api/copy`."""

    go_type: ClassVar[str] = "CopyRequest"

    source: str = ""
    destination: str = ""


class CreateRequest(_Transfer):
    """`POST /api/create`. What concerns weights (`quantize` …) has no meaning in front of a back end."""

    go_type: ClassVar[str] = "CreateRequest"
    go_types: ClassVar[dict[str, str]] = MESSAGE_TYPES | {
        "files": "map[string]string",
        "adapters": "map[string]string",
        "parameters": "map[string]interface {}",
    }

    from_: str = Field("", alias="from")
    files: dict[str, _Text] = Field(default_factory=dict)
    adapters: dict[str, _Text] = Field(default_factory=dict)
    system: str = ""
    template: str = ""
    license: Any = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    messages: Annotated[list[Message], FailFast(), null_is({})] = Field(default_factory=list)
