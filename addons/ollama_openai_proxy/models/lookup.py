"""The models as the endpoints see them: found by name, or refused in Ollama's words."""

from __future__ import annotations

import hashlib
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

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

type Owners = Literal["keys", "passed keys", "all"]

TABLE = "copies"
"""The name under which workers share the names that clients made."""

logger = logging.getLogger(__name__)


class Models:
    """The back ends' models, and the names that clients made for them.

    Args:
        catalogue: of the back ends' models.
        most_bytes: see `Derived`.
        owners: who has names of its own: each key of the proxy, each key that is passed through, or all clients together.
            Keys that are passed through are nobody's that the proxy knows: all their names share the room of one owner.
        link: to the other workers, which share the names; None where there are none.
    """

    def __init__(self, catalogue: Catalogue, most_bytes: int, *, owners: Owners, link: Link | None = None) -> None:
        self._most_bytes = most_bytes
        self._owners = owners
        self._link = link
        self._catalogue = catalogue
        self._derived: dict[str, Derived] = {}
        if link is not None:
            link.learn(TABLE, self._learn)

    @property
    def derived(self) -> Derived:
        """The names that the caller of this request has made."""
        return self._derived_of(self._owner())

    def _owner(self) -> str:
        record = current_record()
        match self._owners:
            case "keys":
                return record.caller
            case "passed keys" if record.client_key:
                # Workers tell each other of owners; nobody needs the key for that.
                return hashlib.sha256(record.client_key.encode("utf-8", "surrogatepass")).hexdigest()
        return ""

    def _derived_of(self, owner: str) -> Derived:
        if (known := self._derived.get(owner)) is not None:
            return known
        derived = Derived(self._most_bytes, lambda name, model: self._changed(owner, derived, name, model))
        # Anybody may bring a key that is passed through: nothing is kept of one that has made no name.
        if self._owners != "passed keys":
            self._derived[owner] = derived
        return derived

    def _changed(self, owner: str, derived: Derived, name: str, model: Model | None) -> None:
        self._keep(owner, derived)
        if self._link is not None:
            # The key is made of the owner and the name, neither of which has a line break.
            self._link.tell(TABLE, f"{owner}\n{name}", model and model.as_json())

    def _keep(self, owner: str, derived: Derived) -> None:
        if self._owners != "passed keys":
            return
        self._derived[owner] = derived
        # What was made just now does not make way, so that nobody can keep others from making names.
        kept = {derived: derived.newest_size}
        while sum(each.size for each in self._derived.values()) > self._most_bytes:
            max(self._derived.values(), key=lambda each: each.size - kept.get(each, 0)).forget_oldest()
        self._derived = {owner: each for owner, each in self._derived.items() if each.size}

    async def known_to_all(self) -> None:
        """Wait until all workers know of the names that were made and removed."""
        if self._link is not None:
            await self._link.told()

    def _learn(self, key: str, value: Any) -> None:
        owner, _, name = key.partition("\n")
        with suppress(TypeError, KeyError):  # of a worker with another version of this program
            model = None if value is None else model_from_json(value)
            # What another worker tells may be of other settings.
            if model is None or self._catalogue.has_backend(model.backend):
                derived = self._derived_of(owner)
                derived.learn(name, model)
                self._keep(owner, derived)

    async def list(self) -> list[Model]:
        """All models that are shown, those made by clients first; these take the place of others of their name.

        Raises:
            BackendError: no back end could be asked.
        """
        models, derived = await self._catalogue.list(), self.derived
        return [*derived.list(), *(model for model in models if derived.find(model.id) is None)]

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
