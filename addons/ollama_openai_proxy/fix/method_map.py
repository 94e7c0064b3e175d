"""Which HTTP method each endpoint of Ollama wants, and what else a call to it has to become.

Pure: the built-in map is made of the table of paths, `MethodMap` finds the entry of a path, `restore` decides. Source:
docs/wire.md#routes, and docs/requirements.md#f1, docs/requirements.md#f2, docs/requirements.md#f6, docs/requirements.md#f9.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError, model_validator

from ..api.path_table import API_PREFIXES, OPENAI_MODELS, ROUTES, find_route

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..api.path_table import Route

type Method = Literal["GET", "POST", "DELETE", "PUT", "PATCH"]

# These never come out of a mangling proxy by accident, and mean the same for every path.
KEPT = frozenset({"HEAD", "OPTIONS"})
# Of these, a request without a body is as good as one with it.
_BODILESS = frozenset({"GET"})
_OVERRIDES = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """How one path wants to be called.

    Attributes:
        method: the method it takes (`HEAD` and `OPTIONS` aside).
        allow: the `Allow` header of a 405.
        path: the path to use instead, for a name that no Ollama server knows.
        body: fields of the body that takes the place of the request's, beside the model that the request names; None leaves
            the body as it is.
        bodiless: the method that a `GET` without a body had, if the path has such a call; None if that request lost its body.
    """

    method: Method
    allow: str = ""
    path: str | None = None
    body: Mapping[str, Any] | None = None
    bodiless: Literal["HEAD", "POST", "DELETE"] | None = None

    @property
    def takes_body(self) -> bool:
        """Whether a call without a body makes no sense."""
        return self.method not in _BODILESS


def _endpoint(route: Route) -> Endpoint:
    """The entry of a route."""
    method: Any = route.methods[-1]
    bodiless: Any = None if method in _BODILESS else next(iter(route.methods_with(body=False)), None)
    return Endpoint(method, route.allow, route.stands_for, route.stands_for_body, bodiless)


# OpenAI's other paths are left to what a back end has there: a body means POST, and a call without one stays as it is.
ENDPOINTS: dict[str, Endpoint] = {
    route.prefix or route.path: _endpoint(route) for route in ROUTES if route.surface == "ollama" or route.path == OPENAI_MODELS
}
"""The built-in map. A path that ends in a slash stands for all paths below it."""


class MethodMap:
    """The built-in map with changes: an endpoint takes the place of the one of its path, None leaves a path alone."""

    def __init__(self, changes: Mapping[str, Endpoint | None] | None = None) -> None:
        self._endpoints: dict[str, Endpoint | None] = {**ENDPOINTS, **(changes or {})}
        below = [path for path in self._endpoints if path.endswith("/") and path != "/"]
        self._below = sorted(below, key=len, reverse=True)

    def find(self, path: str) -> Endpoint | None:
        """The endpoint of a path (without its query, slashes mended), or None where the map has none."""
        entry = self._entry(path)
        return self._endpoints[entry] if entry is not None else None

    def _entry(self, path: str) -> str | None:
        """The path of the entry that a path falls under."""
        return path if path in self._endpoints else next((entry for entry in self._below if path.startswith(entry)), None)

    def restore(self, method: str, path: str, *, has_body: bool, override: str = "") -> str:
        """The method that a request must have had when its client sent it.

        Args:
            method: as it arrived.
            path: without its query, slashes mended.
            has_body: whether a body arrived with it.
            override: what `X-HTTP-Method-Override` says; it counts where the map has no entry.
        """
        if method in KEPT:
            return method
        endpoint = self.find(path)
        if endpoint is None:
            if override.upper() in _OVERRIDES:
                return override.upper()
            if self._entry(path) is not None:
                return method
            return "POST" if has_body and _means_post(method, path) else method
        if method == "GET" and not has_body and endpoint.takes_body:
            # A lost body cannot be repaired. A call with HEAD is asked as HEAD, but answered as GET.
            return method if endpoint.bodiless in (None, "HEAD") else endpoint.bodiless
        return endpoint.method

    def lost_body(self, method: str, path: str, *, has_body: bool) -> Endpoint | None:
        """The endpoint of a GET that had another method and a body before both were lost, else None."""
        if method != "GET" or has_body:
            return None
        endpoint = self.find(path)
        return endpoint if endpoint is not None and endpoint.takes_body and endpoint.bodiless is None else None


def _means_post(method: str, path: str) -> bool:
    """Whether a request with a body, on a path without an entry, was a `POST`."""
    route = find_route(path)
    return (method == "GET" or path.startswith(API_PREFIXES)) and (route is None or "POST" in route.methods)


def explain_lost_body(endpoint: Endpoint, *, query: bool = False) -> str:
    """What to tell the client of a request whose body was lost; `query`: whether a browser's query may not take its place."""
    if query:
        return (
            f"405 method not allowed: this endpoint takes {endpoint.allow}, but a browser sent a GET with a query and no key, "
            "as any web page can make it do: send a key, or set QUERY_BODIES=true for the proxy."
        )
    return (
        f"405 method not allowed: this endpoint takes {endpoint.allow}, but the request arrived as GET without a body. "
        "A redirect from http to https, or of a doubled slash, drops method and body: "
        "use https:// and no trailing slash in the base URL."
    )


class _Entry(BaseModel):
    """One entry of a user's map."""

    model_config = ConfigDict(extra="forbid")

    method: Method
    path: Annotated[str, Field(pattern="^/")] | None = None
    body: dict[str, JsonValue] | None = None

    @model_validator(mode="before")
    @classmethod
    def _method_alone(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = {"method": value}
        if isinstance(value, dict) and isinstance(value.get("method"), str):
            value = value | {"method": value["method"].upper()}
        return value

    @model_validator(mode="after")
    def _body_is_taken(self) -> Self:
        if self.body is not None and self.method in _BODILESS:
            raise ValueError(self.method)
        return self

    def endpoint(self, path: str) -> Endpoint:
        """The entry as an endpoint of the map."""
        known = ENDPOINTS.get(path)
        same = known is not None and known.method == self.method
        allow = known.allow if known and same else "HEAD, GET" if self.method == "GET" else self.method
        return Endpoint(self.method, allow, self.path, self.body, known.bodiless if known and same else None)


_MAP: TypeAdapter[dict[Annotated[str, Field(pattern="^/")], _Entry | Literal["KEEP", "keep"]]] = TypeAdapter(
    dict[Annotated[str, Field(pattern="^/")], Literal["KEEP", "keep"] | _Entry]
)


def read_method_map(text: str) -> MethodMap:
    """The map of a setting: TOML or JSON, inline or as the path of a file.

    Each key is a path; its value is a method, "keep" (leave such requests alone), or a table of `method`, `path` and `body`.

    Raises:
        ValueError: it cannot be read; the message says why.
    """
    source = text.strip()
    if not source:
        raise ValueError("it is blank")
    if not source.startswith("{") and "=" not in source:
        try:
            source = Path(source).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise ValueError(f"{source} cannot be read") from error
    try:
        data = json.loads(source) if source.lstrip().startswith("{") else tomllib.loads(source)
        entries = _MAP.validate_python(data)
    except ValidationError as error:
        at, *inside = error.errors()[0]["loc"]
        if inside == ["[key]"]:
            raise ValueError(f"{at}: a path begins with a slash") from error
        raise ValueError(
            f'{at}: say "GET", "POST", "PUT", "PATCH", "DELETE" or "keep", or give method, path and body'
        ) from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except ValueError as error:
        raise ValueError(f"it is neither TOML nor JSON ({error})") from error
    return MethodMap({path: entry.endpoint(path) if isinstance(entry, _Entry) else None for path, entry in entries.items()})
