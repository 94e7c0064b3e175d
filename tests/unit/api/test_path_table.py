"""The table of paths: each path is in it once, no other module repeats one, and fix mode restores what it allows to restore."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import ollama_openai_proxy
import pytest
from ollama_openai_proxy.api.path_table import (
    API_PREFIXES,
    ROUTES,
    Route,
    below_base,
    calls_model,
    find_route,
    has_dot_segments,
    root_url,
    surface_of,
    takes_file,
)
from ollama_openai_proxy.fix.method_map import KEPT, MethodMap
from ollama_openai_proxy.fix.request_repair import Mender
from ollama_openai_proxy.net.http_messages import Request

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(ollama_openai_proxy.__file__).parent
TABLE = PACKAGE / "api" / "path_table.py"
ARRIVED = ("GET", "POST", "PUT", "PATCH", "DELETE")
FIX = Mender(MethodMap(), restore=True, pseudo_endpoints=True, bodiless=True)


def example(route: Route) -> str:
    """A path of the route."""
    return route.path if route.prefix is None else route.prefix + "x"


def by_path(route: Route) -> str:
    return route.path


# ── the table itself


def test_each_path_is_in_the_table_once() -> None:
    assert len({route.path for route in ROUTES}) == len(ROUTES)
    assert len({route.prefix for route in ROUTES if route.prefix}) == sum(route.prefix is not None for route in ROUTES)


@pytest.mark.parametrize("route", ROUTES, ids=by_path)
def test_a_route_is_found_by_its_path_and_belongs_to_its_api(route: Route) -> None:
    assert find_route(example(route)) is route
    assert surface_of(example(route)) == (route.surface if route.surface != "proxy" else "ollama")
    assert (route.handler is not None) == (route.surface == "ollama" and route.stands_for is None)
    assert route.operation is None or route.calls_model
    if route.stands_for is not None:
        led = find_route(route.stands_for)
        assert led is not None
        assert (led.methods, led.body) == (route.methods, route.body)


@pytest.mark.parametrize(
    "path", ["", "/api", "/api/", "/api/blobs", "/api/blobs/", "/API/tags", "/api/tags/", "/v1", "/v1/x", "*"]
)
def test_a_path_that_is_not_in_the_table_is_not_found(path: str) -> None:
    assert find_route(path) is None


@pytest.mark.parametrize(
    ("method", "path", "counts"),
    [
        *(("POST", path, True) for path in ("/api/chat", "/api/generate", "/api/embed", "/api/embeddings")),
        *(("POST", path, False) for path in ("/api/show", "/api/pull", "/api/me", "/api/unheard", "/v1", "/other")),
        *(("POST", path, True) for path in ("/v1/chat/completions", "/v1/messages", "/v1/unheard", "/v1/responses/r/cancel")),
        *(
            ("GET", path, False)
            for path in ("/v1/models", "/v1/unheard", "/v1/responses/r", "/v1/chat/completions", "/api/chat")
        ),
        *(("DELETE", path, False) for path in ("/v1/models/m", "/v1/responses/r")),
    ],
)
def test_only_calls_for_which_a_model_works_count_as_such(method: str, path: str, counts: bool) -> None:
    assert calls_model(method, path) == counts


def test_only_the_upload_of_a_blob_is_a_file() -> None:
    found = [(method, route.path) for route in ROUTES for method in ARRIVED if takes_file(method, example(route))]
    assert found == [("POST", "/api/blobs/:digest")]
    assert not takes_file("POST", "/other")


def test_a_path_is_put_behind_a_base_url() -> None:
    assert below_base("/v1/chat/completions?x=/v1") == "/chat/completions?x=/v1"
    assert below_base("/api/chat") == "/api/chat"


# ── fix mode's promise: wherever path and body leave one possible method, a mangled request gets that method back

CALLS = [(route, body) for route in ROUTES if route.surface != "proxy" for body in (True, False)]
SETTLED = [(route, body) for route, body in CALLS if len(route.methods_with(body=body)) == 1]
SEVERAL = {
    (route.path, body): " ".join(sorted(route.methods_with(body=body)))
    for route, body in CALLS
    if len(route.methods_with(body=body)) > 1
}


@pytest.mark.parametrize(
    ("route", "body"), SETTLED, ids=[f"{route.path}-{'body' if body else 'bodiless'}" for route, body in SETTLED]
)
def test_a_mangled_request_gets_the_one_possible_method_back(route: Route, body: bool) -> None:
    (method,) = route.methods_with(body=body)
    came = Request("GET", example(route), body=b'{"model":"m"}' if body else b"")
    # Whoever sent a GET waits for a body, so a HEAD is only asked.
    restored = "HEAD" if FIX.answers_as_head(came) else FIX.mend(came).method
    assert restored == method
    assert FIX.lost_body(came) is None


def test_the_calls_that_several_methods_have_are_known() -> None:
    read = ("/", "/api/version", "/api/tags", "/api/ls", "/api/serve", "/api/hello")
    assert {
        **{(path, body): "GET HEAD" for path in read for body in (True, False)},
        **{("/v1/models/:model", body): "DELETE GET" for body in (True, False)},
        **{("/v1/responses/:id", body): "DELETE GET POST" for body in (True, False)},
    } == SEVERAL


@pytest.mark.parametrize(("path", "methods"), [(path, methods) for (path, body), methods in SEVERAL.items() if not body])
def test_such_a_call_keeps_the_method_with_which_it_arrived(path: str, methods: str) -> None:
    route = next(route for route in ROUTES if route.path == path)
    for method in methods.split():
        assert FIX.mend(Request(method, example(route))).method == method


@pytest.mark.parametrize("route", [route for route in ROUTES if route.body != "none"], ids=by_path)
def test_a_request_that_cannot_have_lost_its_body_is_the_only_one_that_stays(route: Route) -> None:
    came = Request("GET", example(route))
    known = FIX.lost_body(came) is not None or FIX.answers_as_head(came)
    assert known == (route.surface == "ollama")
    assert FIX.mend(came).method == "GET"


@pytest.mark.parametrize("method", sorted(KEPT))
@pytest.mark.parametrize("route", ROUTES, ids=by_path)
def test_head_and_options_stay(route: Route, method: str) -> None:
    assert FIX.mend(Request(method, example(route))).method == method


# ── no other module repeats a path


def texts(source: str) -> Iterator[tuple[int, str]]:
    """The strings of a module with their lines, also strings within f-strings; docstrings aside."""
    tree = ast.parse(source)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


PATHS = {route.path for route in ROUTES} | {route.prefix for route in ROUTES} | {below_base(route.path) for route in ROUTES}


def repeats_a_path(text: str) -> bool:
    """Whether a string is a route's path, or begins one. A sentence for users may name a path, but is none."""
    begun = text.strip().partition("?")[0].partition(" ")[0]
    return text != "/" and (begun in PATHS or text.startswith(API_PREFIXES) or re.search(r"^POST |^GET ", text) is not None)


@pytest.mark.parametrize(
    "text", ["/api/", "/api/chat", "/v1/x", "/chat/completions", "/healthz", "POST /api/chat", "/metrics?x"]
)
def test_a_repeated_path_would_be_found(text: str) -> None:
    assert [repeats_a_path(found) for _, found in texts(f'"""/api/."""\nx = f"{text}{{y}}"')] == [True]


def test_no_other_module_of_the_package_holds_a_path() -> None:
    modules = [path for path in PACKAGE.rglob("*.py") if path != TABLE]
    assert len(modules) > 100
    found = [
        f"{module.relative_to(PACKAGE)}:{line}: {text}"
        for module in modules
        for line, text in texts(module.read_text(encoding="utf-8"))
        if repeats_a_path(text)
    ]
    assert found == []


def test_the_table_imports_nothing_of_the_package() -> None:
    imports = [
        node
        for node in ast.walk(ast.parse(TABLE.read_text(encoding="utf-8")))
        if (isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").startswith(PACKAGE.name)))
        or (isinstance(node, ast.Import) and any(alias.name.startswith(PACKAGE.name) for alias in node.names))
    ]
    assert imports == []


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/v1/..",
            "/v1/../x",
            "/v1/./x",
            "/v1/%2e%2e/x",
            "/v1/%2E./x",
            "/v1/..%2fx",
            "/v1%2f..%2fx",
            "/v1/..\\x",
            "/v1/..%5cx",
        ),
        *(
            "/v1/%252e%252e/x",
            "/v1/%25252e%25252e%25252fx",
            "/v1/..;/x",
            "/v1/..;a=b/x",
            "/v1/..%3b/x",
            "/v1/..%00/x",
            "/v1/.. /x",
        ),
        *("/v1/%c0%ae%c0%ae/x", "/v1/%ef%bc%8e%ef%bc%8e/x", "/v1/%e2%80%a5/x", "/v1/a/../x?y"),
        "/v1/%2525252525252e",
    ],
)
def test_a_path_with_dot_segments_is_found_in_every_spelling(path: str) -> None:
    assert has_dot_segments(path)


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/",
            "/v1/models/org%2Fname",
            "/v1/files/a..b",
            "/v1/files/...",
            "/v1/x?a=../..",
            "/v1/a;b",
            "/v1/%E2%82%AC",
            "/v1/%",
        ),
        *("/v1/.well-known", "/v1/..a", "/v1//x", "/v1/%25"),
    ],
)
def test_other_paths_are_left_alone(path: str) -> None:
    assert not has_dot_segments(path)


def test_the_root_is_above_v1() -> None:
    assert root_url("http://h/v1") == root_url("http://h/v1/") == root_url("http://h") == "http://h"
