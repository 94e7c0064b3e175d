"""Puts a request right that was mangled on its way: method, path, body.

Pure: a request goes in, the request that its client must have meant comes out. A request that is right stays as it is.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from .method_map import KEPT

if TYPE_CHECKING:
    from ..net.http_messages import Request
    from .method_map import Endpoint, MethodMap

# Fields whose text is taken as it is, even if it looks like a number.
_TEXTS = frozenset({"model", "name", "prompt", "system", "template", "suffix", "from", "source", "destination"})
_LONGEST_NAMING = 1 << 20
"""Bytes of a body that does no more than name a model."""
_OWN_SITE = frozenset({"none", "same-origin"})
_FETCH_HEADERS = ("sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest", "origin")
_KEY_HEADERS = ("x-api-key", "api-key")


class Mender:
    """Knows what to mend.

    Args:
        methods: the method of each endpoint.
        restore: whether methods are restored at all.
        pseudo_endpoints: whether names that no Ollama server has become those it has.
        bodiless: whether the method of a request without a body is restored even if the request did not arrive as `GET`.
        query_bodies: whether a query takes the place of a body in requests of browsers without a key, too.
    """

    def __init__(
        self, methods: MethodMap, *, restore: bool, pseudo_endpoints: bool, bodiless: bool, query_bodies: bool = False
    ) -> None:
        self._methods = methods
        self._restore = restore
        self._pseudo_endpoints = pseudo_endpoints
        self._bodiless = bodiless
        self._query_bodies = query_bodies

    def mend(self, request: Request) -> Request:
        """Return the request as its client meant it; a body that still arrives is left alone."""
        return self.mend_content(self.mend_head(request))

    def mend_head(self, request: Request) -> Request:
        """Repair what the head shows: doubled slashes in the path, a preflight, and the method of a request with a body."""
        target = mend_slashes(request.target)
        if target != request.target:
            request = replace(request, target=target)
        if not self._restore:
            return request
        if _is_mangled_preflight(request):
            return replace(request, method="OPTIONS", body=b"", arrived_as=request.method)
        return self._with_method(request, target.partition("?")[0])

    def mend_content(self, request: Request) -> Request:
        """Repair the rest of a request with a mended head: a body that is in the query, and names that no Ollama server has.

        A request that has been repaired stays as it is.
        """
        if request.repaired:
            return request
        path = request.target.partition("?")[0]
        if self._restore and self._lost_body(request, path) and request.method not in KEPT:
            if not self.refuses_query(request):
                request = _filled_from_query(request)
            request = self._with_method(request, path)
        endpoint = self._methods.find(path) if self._pseudo_endpoints else None
        if endpoint is not None:
            request = _renamed(request, endpoint)
        return request.marked_as_repaired()

    def lost_body(self, request: Request) -> Endpoint | None:
        """The endpoint of a request that cannot be mended since its body is lost, else None."""
        if not self._restore:
            return None
        return self._methods.lost_body(request.method, request.path, has_body=_has_body(request))

    def refuses_query(self, request: Request) -> bool:
        """CSRF: whether the query of a request may not take the place of its body, since a page may have made the request.

        A page can make a browser send a `GET`, for example for an image, to any address, and over plain HTTP the browser does
        not tell who made it do so. A page cannot add a key to such a request, except for a password that the browser remembers
        (`Authorization: Basic`).
        """
        if "?" not in request.target or _brings_key(request):
            return False
        if self._query_bodies:
            return request.headers.get("sec-fetch-site", "none") not in _OWN_SITE
        return _is_browser(request)

    def answers_as_head(self, request: Request) -> bool:
        """Whether a GET without a body must have been a HEAD, because HEAD is the only call of its path without a body."""
        if not self._restore or request.method != "GET" or _has_body(request):
            return False
        endpoint = self._methods.find(request.path)
        return endpoint is not None and endpoint.bodiless == "HEAD"

    def _lost_body(self, request: Request, path: str) -> bool:
        endpoint = self._methods.find(path)
        return endpoint is not None and endpoint.takes_body and endpoint.bodiless is None and not _has_body(request)

    def _with_method(self, request: Request, path: str) -> Request:
        has_body = _has_body(request)
        override = request.headers.get("x-http-method-override", "")
        method = self._methods.restore(request.method, path, has_body=has_body, override=override)
        if method == request.method or not (has_body or override or self._bodiless or request.method == "GET"):
            return request
        if (
            request.method == "GET"
            and not (has_body or override or "origin" in request.headers or _brings_key(request))
            and _is_of_another_site(request)
        ):
            return request
        return replace(request, method=method, arrived_as=request.arrived_as or request.method)


def mend_slashes(target: str) -> str:
    """The request target with doubled slashes in its path made one and a trailing one removed.

    Ollama answers such paths with a redirect, after which most clients lose method and body.
    """
    path, mark, query = target.partition("?")
    if "//" not in path and (path == "/" or not path.endswith("/")):
        return target
    return (re.sub("/{2,}", "/", path).rstrip("/") or "/") + mark + query


def _has_body(request: Request) -> bool:
    return bool(request.body) or request.parts is not None


def _is_mangled_preflight(request: Request) -> bool:
    # No page can set this header itself, so a request that has it was sent by a browser, as OPTIONS.
    return "access-control-request-method" in request.headers and "origin" in request.headers and request.method != "OPTIONS"


def _is_of_another_site(request: Request) -> bool:
    """CSRF: whether a page of another site may have made the browser send a request, for example for an image."""
    site = request.headers.get("sec-fetch-site")
    return _is_browser(request) if site is None else site not in _OWN_SITE


def _is_browser(request: Request) -> bool:
    """Whether a browser sent a request, or a program that says that it is one. No page can change these headers of an image."""
    agent = request.headers.get("user-agent", "").lower()
    return "mozilla/" in agent or "opera/" in agent or any(name in request.headers for name in _FETCH_HEADERS)


def _brings_key(request: Request) -> bool:
    """Whether a request has a key in a header that a page can set only after a preflight."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return (scheme.lower() == "bearer" and bool(key.strip())) or any(request.headers.get(name) for name in _KEY_HEADERS)


def _filled_from_query(request: Request) -> Request:
    """The request with the parameters of its query as its body, if it has some."""
    query = request.target.partition("?")[2]
    try:
        parameters = parse_qs(query, keep_blank_values=True)
    except ValueError:  # too many
        return request
    if not parameters:
        return request
    values = {name: [_value(name, text) for text in texts] for name, texts in parameters.items()}
    body = json.dumps({name: several if len(several) > 1 else several[0] for name, several in values.items()}).encode()
    fields = [(name, value) for name, value in request.fields if name.lower() != "content-type"]
    return replace(
        request,
        body=body,
        headers={**request.headers, "content-type": "application/json"},
        fields=(*fields, ("Content-Type", "application/json")),
    )


def _value(name: str, text: str) -> Any:
    if name in _TEXTS:
        return text
    try:
        value = json.loads(text)
        # What Python takes for a number is not always JSON.
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        return text
    return value


def _renamed(request: Request, endpoint: Endpoint) -> Request:
    if endpoint.path is not None:
        request = replace(request, target=endpoint.path + "".join(request.target.partition("?")[1:]))
    if endpoint.body is not None and (model := _model_of(request.body)) is not None:
        request = replace(request, body=json.dumps({"model": model, **endpoint.body}).encode())
    return request


def _model_of(body: bytes) -> str | None:
    """The model that a body names, "" if none; None for a body that Ollama will refuse anyway."""
    if len(body) > _LONGEST_NAMING:
        return None
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return (asked.get("model") or asked.get("name") or "") if isinstance(asked, dict) else None
