"""The models as the endpoints see them: found by name, or refused in Ollama's words."""

from __future__ import annotations

import logging
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import InvalidRequest, ModelNotFound
from ..net.request_context import current_record
from ..schemas.ollama.model_names import LONGEST_NAME, parse_name, shown
from ..translate.ollama_descriptions import model_from_json, with_also, without
from .copied_models import Derived

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..translate.ollama_descriptions import Model
    from ..translate.server_profiles import Profile
    from ..workers.link import Link
    from .catalogue import Catalogue

TABLE = "copies"
"""The name under which workers share the names that clients made."""

logger = logging.getLogger(__name__)


class Models:
    """The back ends' models, and the names that clients made for them.

    Args:
        catalogue: of the back ends' models.
        most_bytes: see `Derived`.
        by_caller: whether each caller has its own names, since clients bring keys.
        link: to the other workers, which share the names; None where there are none.
    """

    def __init__(self, catalogue: Catalogue, most_bytes: int, *, by_caller: bool, link: Link | None = None) -> None:
        self._most_bytes = most_bytes
        self._by_caller = by_caller
        self._link = link
        self._catalogue = catalogue
        self._derived: dict[str, Derived] = {}
        if link is not None:
            link.learn(TABLE, self._learn)

    @property
    def derived(self) -> Derived:
        """The names that the caller of this request has made."""
        return self._derived_of(current_record().caller if self._by_caller else "")

    def _derived_of(self, owner: str) -> Derived:
        if owner not in self._derived:
            tell = partial(self._tell, self._link, owner) if self._link else None
            self._derived[owner] = Derived(self._most_bytes, tell)
        return self._derived[owner]

    async def known_to_all(self) -> None:
        """Wait until all workers know of the names that were made and removed."""
        if self._link is not None:
            await self._link.told()

    @staticmethod
    def _tell(link: Link, owner: str, name: str, model: Model | None) -> None:
        """Tell the workers of a name; the key is made of the owner and the name, neither of which has a line break."""
        link.tell(TABLE, f"{owner}\n{name}", model and model.as_json())

    def _learn(self, key: str, value: Any) -> None:
        owner, _, name = key.partition("\n")
        with suppress(TypeError, KeyError):  # of a worker with another version of this program
            model = None if value is None else model_from_json(value)
            # What another worker tells may be of other settings.
            if model is None or self._catalogue.has_backend(model.backend):
                self._derived_of(owner).learn(name, model)

    async def list(self) -> list[Model]:
        """All models that are shown, those made by clients first; these take the place of others of their name.

        Raises:
            BackendError: no back end could be asked.
        """
        others = [model for model in await self._catalogue.list() if self.derived.find(model.id) is None]
        return [*self.derived.list(), *others]

    async def find(self, name: str) -> Model | None:
        """The model that a client means.

        Raises:
            InvalidRequest: the name is longer than any model's.
            BackendError: no back end could be asked.
        """
        if len(name) > LONGEST_NAME:
            raise InvalidRequest("invalid model name")
        model = self.derived.find(name) or await self._catalogue.find(name)
        record = current_record()
        record.model = name
        if model is not None:
            backend = self._catalogue.backend_of(model)
            record.backend = model.backend
            record.profile = backend.profile.name
            if denied := backend.learned.lacks(model.target) - model.lacks:
                model = without(model, denied)
            if able := backend.learned.does(model.target) - model.told:
                model = with_also(model, able)
        return model

    def profile_of(self, model: Model) -> Profile:
        """The profile of the back end that has a model."""
        return self._catalogue.backend_of(model).profile

    async def answering(self, model: Model) -> Sequence[Model]:
        """The models to ask for an answer, in order: the model itself, then those that its `fallback` names.

        A name that is not known is left out.
        """
        models = [model]
        for name in model.fallback:
            other = self.derived.find(name) or await self._catalogue.find(name)
            if other is None:
                logger.warning("model %s: its fallback %s is not known", model.id, name)
            else:
                models.append(other)
        return models

    async def require(
        self, name: str, *, nameless: str = "model is required", quoted: bool = False, tagged: bool = False
    ) -> Model:
        """The model that a request names.

        Args:
            name: as in the request.
            nameless: the text for a request without a name; "" for the endpoints where that is a 404.
            quoted: whether the endpoint words its 404 as the embedding endpoints do.
            tagged: whether the endpoint's 404 has the name with its tag, as the endpoints do that describe a model.

        Raises:
            InvalidRequest: there is no name, or one that no model could have.
            ModelNotFound: there is no such model.
            BackendError: no back end could be asked.
        """
        if not name.strip():
            raise InvalidRequest(nameless) if nameless else ModelNotFound("model '' not found")
        if model := await self.find(name):
            return model
        if not parse_name(name.strip()).valid:
            raise InvalidRequest("invalid model name")
        name = shown(name)
        if tagged:
            raise ModelNotFound(f"model '{parse_name(name.strip()).shortest}' not found")
        raise ModelNotFound(f'model "{name}" not found, try pulling it first' if quoted else f"model '{name}' not found")


def require_capabilities(model: Model, name: str, wanted: Sequence[str], doing: str = "chat") -> None:
    """Refuse what a model is known to lack; what is not known of it is allowed.

    Args:
        model: the model.
        name: its name in the request.
        wanted: what the request needs.
        doing: what a request does that needs no more than `completion`: "chat" or "generate".

    Raises:
        InvalidRequest: with Ollama's text for the capabilities of `wanted` that are missing.
    """
    missing = [capability for capability in wanted if capability in model.lacks]
    if "thinking" in missing:
        raise InvalidRequest(f'"{shown(name)}" does not support thinking')
    if "completion" in missing:
        raise InvalidRequest(f'"{shown(name)}" does not support {doing}')
    if missing:
        raise does_not_support(name, *missing)


def does_not_support(name: str, *capabilities: str) -> InvalidRequest:
    """The error that says which capabilities a model lacks, in Ollama's words."""
    full = parse_name(shown(name).strip()).full
    return InvalidRequest("\n".join(f"{full} does not support {capability}" for capability in capabilities))
