"""The map of endpoints: which method a request had, where it leads, and how its user changes that."""

import re
from pathlib import Path

import pytest
from ollama_openai_proxy.fix.method_map import ENDPOINTS, Endpoint, MethodMap, explain_lost_body, read_method_map

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
BLOB = "/api/blobs/sha256:00"
KEY = "/api/user/keys/c3NoLWVk"
BUILT_IN = MethodMap()
WITHOUT_A_BODY = {"/api/me": "POST", "/api/signout": "POST", KEY: "DELETE"}
TAKES = {
    **dict.fromkeys(["/", "/api/version", "/api/tags", "/api/ps", "/api/status", "/api/ls", "/api/serve"], "GET"),
    **dict.fromkeys(["/api/experimental/model-recommendations", "/api/usage", "/api/balance", "/v1/models"], "GET"),
    **dict.fromkeys([f"/api/{name}" for name in ("generate", "chat", "embed", "embeddings", "show")], "POST"),
    **dict.fromkeys([f"/api/{name}" for name in ("pull", "push", "create", "copy", "stop", "unload")], "POST"),
    **dict.fromkeys(["/api/experimental/web_search", "/api/experimental/web_fetch"], "POST"),
    BLOB: "POST",
    "/api/delete": "DELETE",
    **WITHOUT_A_BODY,
}
TAKES_NO_BODY = [path for path, method in TAKES.items() if method == "GET"]
LOSES_A_BODY = [path for path, method in TAKES.items() if method != "GET" and path not in {BLOB, *WITHOUT_A_BODY}]
NOT_IN_THE_MAP = ["/v1/chat/completions", "/v1/models/m", "/api/blobs", "/api/tags/x", "/API/TAGS", "/other", "/v1", "/apis/x"]


def restore(method: str, path: str, *, has_body: bool, override: str = "", using: MethodMap = BUILT_IN) -> str:
    return using.restore(method, path, has_body=has_body, override=override)


# ── the built-in map


def test_every_endpoint_is_in_the_map() -> None:
    parameters = {"/api/blobs/": BLOB, "/api/user/keys/": KEY}
    assert {parameters.get(path, path) for path in ENDPOINTS} == set(TAKES)


@pytest.mark.parametrize("arrived", METHODS)
@pytest.mark.parametrize(("path", "method"), TAKES.items())
def test_a_request_with_a_body_gets_its_endpoints_method(path: str, method: str, arrived: str) -> None:
    assert restore(arrived, path, has_body=True) == method


@pytest.mark.parametrize("arrived", METHODS[1:])
@pytest.mark.parametrize(("path", "method"), TAKES.items())
def test_so_does_one_without_a_body_that_did_not_arrive_as_get(path: str, method: str, arrived: str) -> None:
    assert restore(arrived, path, has_body=False) == method
    assert BUILT_IN.lost_body(arrived, path, has_body=False) is None


@pytest.mark.parametrize("has_body", [True, False])
@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
@pytest.mark.parametrize("path", [*TAKES, "/other", "/v1/models"])
def test_head_and_options_stay(path: str, method: str, has_body: bool) -> None:
    assert restore(method, path, has_body=has_body, override="DELETE") == method
    assert BUILT_IN.lost_body(method, path, has_body=has_body) is None


@pytest.mark.parametrize("path", TAKES_NO_BODY)
def test_a_get_that_needs_no_body_stays(path: str) -> None:
    assert restore("GET", path, has_body=False) == "GET"
    assert BUILT_IN.lost_body("GET", path, has_body=False) is None


@pytest.mark.parametrize("path", LOSES_A_BODY)
def test_a_get_whose_body_was_lost_stays_and_is_known(path: str) -> None:
    assert restore("GET", path, has_body=False) == "GET"
    assert BUILT_IN.lost_body("GET", path, has_body=False) == ENDPOINTS[path]
    assert BUILT_IN.lost_body("GET", path, has_body=True) is None


def test_a_get_of_a_blob_without_a_body_lost_none() -> None:
    assert restore("GET", BLOB, has_body=False) == "GET"
    assert BUILT_IN.lost_body("GET", BLOB, has_body=False) is None
    endpoint = BUILT_IN.find(BLOB)
    assert endpoint is not None
    assert endpoint.bodiless == "HEAD"


@pytest.mark.parametrize("arrived", METHODS)
@pytest.mark.parametrize(("path", "method"), WITHOUT_A_BODY.items())
def test_a_call_that_has_no_body_gets_its_method_back(path: str, method: str, arrived: str) -> None:
    assert restore(arrived, path, has_body=False) == method
    assert BUILT_IN.lost_body(arrived, path, has_body=False) is None


@pytest.mark.parametrize("arrived", METHODS)
def test_a_body_makes_no_post_of_a_call_that_is_known_and_has_none(arrived: str) -> None:
    assert restore(arrived, "/v1/models/m", has_body=True) == arrived
    assert restore(arrived, "/v1/models", has_body=True) == "GET"


def test_names_that_no_ollama_has_lead_to_those_it_has() -> None:
    led = {path: (endpoint.path, endpoint.body) for path, endpoint in ENDPOINTS.items() if endpoint.path}
    assert led == {
        "/api/ls": ("/api/tags", None),
        "/api/serve": ("/api/version", None),
        "/api/stop": ("/api/generate", {"keep_alive": 0}),
        "/api/unload": ("/api/generate", {"keep_alive": 0}),
    }


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        *(("/", "HEAD, GET"), ("/api/tags", "HEAD, GET"), ("/api/ps", "GET"), ("/api/chat", "POST"), (BLOB, "HEAD, POST")),
        ("/api/delete", "DELETE"),
    ],
)
def test_allow_is_what_ollama_says(path: str, allow: str) -> None:
    endpoint = BUILT_IN.find(path)
    assert endpoint is not None
    assert endpoint.allow == allow


def test_a_lost_body_is_explained_with_its_cause_and_its_cure() -> None:
    text = explain_lost_body(ENDPOINTS["/api/delete"])
    assert text.startswith("405 method not allowed: this endpoint takes DELETE,")
    assert "redirect" in text
    assert "https://" in text


def test_a_query_that_may_not_take_the_place_of_a_body_is_explained_with_what_allows_it() -> None:
    text = explain_lost_body(ENDPOINTS["/api/delete"], query=True)
    assert text.startswith("405 method not allowed: this endpoint takes DELETE,")
    assert "send a key" in text
    assert "QUERY_BODIES=true" in text


# ── paths that are not in the map


@pytest.mark.parametrize("path", NOT_IN_THE_MAP)
def test_a_path_that_is_not_in_the_map_keeps_its_method_where_there_is_no_body(path: str) -> None:
    assert BUILT_IN.find(path) is None
    assert [restore(method, path, has_body=False) for method in METHODS] == METHODS
    assert BUILT_IN.lost_body("GET", path, has_body=False) is None


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/v1/unheard", "/v1/responses/r/cancel", "/api/unheard", "/api/tags/x"]
)
def test_in_the_apis_a_body_means_post(path: str) -> None:
    assert [restore(method, path, has_body=True) for method in METHODS] == ["POST"] * len(METHODS)


@pytest.mark.parametrize("path", ["/other", "/v1", "/apis/x", "/API/TAGS", "//api/tags"])
def test_elsewhere_only_a_get_with_a_body_becomes_post(path: str) -> None:
    assert [restore(method, path, has_body=True) for method in METHODS] == ["POST", *METHODS[1:]]


@pytest.mark.parametrize("has_body", [True, False])
@pytest.mark.parametrize(("override", "method"), [("PATCH", "PATCH"), ("delete", "DELETE"), ("Head", "HEAD"), ("GET", "GET")])
def test_what_the_override_header_says_counts_where_the_map_has_no_entry(override: str, method: str, has_body: bool) -> None:
    assert restore("GET", "/v1/files/1", has_body=has_body, override=override) == method
    assert restore("POST", "/other", has_body=has_body, override=override) == method
    assert restore("GET", "/api/chat", has_body=True, override=override) == "POST"


@pytest.mark.parametrize("override", ["", "OPTIONS", "CONNECT", "nonsense", "POST, DELETE", "POST "])
def test_an_override_that_is_no_usual_method_says_nothing(override: str) -> None:
    assert restore("GET", "/v1/files", has_body=True, override=override) == "POST"
    assert restore("GET", "/v1/files", has_body=False, override=override) == "GET"


# ── the user's changes

TOML = """
"/api/wipe" = {method = "delete", path = "/api/delete"}
"/api/rest" = {method = "POST", path = "/api/generate", body = {keep_alive = 0, options = {seed = 1}}}
"/api/chat" = "keep"
"/v1/files/" = "Get"
"""
JSON = """ {
  "/api/wipe": {"method": "delete", "path": "/api/delete"},
  "/api/rest": {"method": "POST", "path": "/api/generate", "body": {"keep_alive": 0, "options": {"seed": 1}}},
  "/api/chat": "KEEP",
  "/v1/files/": "Get"
} """


@pytest.fixture(params=[TOML, JSON], ids=["TOML", "JSON"])
def text(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["inline", "file"])
def changed(request: pytest.FixtureRequest, text: str, tmp_path: Path) -> MethodMap:
    if request.param == "inline":
        return read_method_map(text)
    # What a file is called says nothing about its content.
    file = tmp_path / "the map.txt"
    file.write_text(text, encoding="utf-8")
    return read_method_map(f" {file}\n")


def test_a_map_is_read_from_toml_and_json_inline_and_from_a_file(changed: MethodMap) -> None:
    assert changed.find("/api/wipe") == Endpoint("DELETE", "DELETE", path="/api/delete")
    unload = {"keep_alive": 0, "options": {"seed": 1}}
    assert changed.find("/api/rest") == Endpoint("POST", "POST", path="/api/generate", body=unload)
    assert changed.find("/v1/files/1") == Endpoint("GET", "HEAD, GET")
    assert changed.find("/v1/files") is None
    assert restore("POST", "/v1/files/1", has_body=True, using=changed) == "GET"


def test_the_rest_of_the_map_stays_as_it_was(changed: MethodMap) -> None:
    for path, method in TAKES.items():
        if path != "/api/chat":
            assert restore("PUT", path, has_body=True, using=changed) == method


def test_what_the_map_says_to_keep_is_left_alone(changed: MethodMap) -> None:
    assert changed.find("/api/chat") is None
    for has_body in (True, False):
        assert [restore(method, "/api/chat", has_body=has_body, using=changed) for method in METHODS] == METHODS
    assert changed.lost_body("GET", "/api/chat", has_body=False) is None
    assert restore("GET", "/api/chat", has_body=True, override="PUT", using=changed) == "PUT"


def test_keep_holds_for_all_paths_below_one_that_ends_in_a_slash() -> None:
    changed = read_method_map('"/v1/" = "keep"\n"/v1/chat/" = "POST"\n"/api/blobs/" = "keep"')
    for path in ("/v1/files/1", BLOB):
        assert changed.find(path) is None
        assert [restore(method, path, has_body=True, using=changed) for method in METHODS] == METHODS
    assert restore("PUT", "/v1/chat/completions", has_body=True, using=changed) == "POST"


def test_of_two_entries_the_longer_path_counts_and_the_exact_one_before_all() -> None:
    changed = read_method_map('"/x/" = "PUT"\n"/x/y/" = "PATCH"\n"/x/y/z" = "DELETE"')
    paths = {"/x/a": "PUT", "/x/y": "PUT", "/x/y/a": "PATCH", "/x/y/z": "DELETE", "/x/y/z/a": "PATCH"}
    assert {path: restore("GET", path, has_body=True, using=changed) for path in paths} == paths


def test_an_entry_for_the_root_is_not_one_for_everything() -> None:
    changed = read_method_map('"/" = "POST"')
    assert restore("GET", "/", has_body=True, using=changed) == "POST"
    assert changed.find("/other") is None


@pytest.mark.parametrize(
    ("entry", "endpoint"),
    [
        # The same method as before: what else the built-in entry knows still holds.
        ('"/api/ps" = "GET"', Endpoint("GET", "GET")),
        ('"/api/blobs/" = "POST"', Endpoint("POST", "HEAD, POST", bodiless="HEAD")),
        ('"/api/blobs/" = "PUT"', Endpoint("PUT", "PUT")),
        ('"/api/delete" = "post"', Endpoint("POST", "POST")),
        ('"/api/stop" = {method = "POST"}', Endpoint("POST", "POST")),
        ('"/api/chat" = {method = "get"}', Endpoint("GET", "HEAD, GET")),
    ],
)
def test_an_entry_takes_the_place_of_the_built_in_one(entry: str, endpoint: Endpoint) -> None:
    path = entry.split('"')[1]
    assert read_method_map(entry).find(path + ("sha256:00" if path.endswith("/") else "")) == endpoint


def test_a_map_without_entries_changes_nothing() -> None:
    assert read_method_map("{}").find("/api/chat") == ENDPOINTS["/api/chat"]


# ── what cannot be read

SAY = 'say "GET", "POST", "PUT", "PATCH", "DELETE" or "keep", or give method, path and body'


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (" \n", "it is blank"),
        ("/no/such/file.toml", "/no/such/file.toml cannot be read"),
        ("nul\0byte", "nul\0byte cannot be read"),
        ("DELETE", "DELETE cannot be read"),
        ('["/api/chat"]', '["/api/chat"] cannot be read'),
        ("/api/chat = POST", "it is neither TOML nor JSON (Invalid"),
        ('{"/api/chat": "POST",}', "it is neither TOML nor JSON ("),
        ('{"/a":' * 100_000, "it is nested too deeply"),
        ('"/a" = "GET"\n"/a" = "PUT"', "it is neither TOML nor JSON (Cannot overwrite"),
        ('"/api/chat" = "FETCH"', f"/api/chat: {SAY}"),
        ('"/api/chat" = "Keep"', f"/api/chat: {SAY}"),
        ('"/api/chat" = "HEAD"', f"/api/chat: {SAY}"),
        ('"/api/chat" = 5', f"/api/chat: {SAY}"),
        ('"/api/chat" = ["GET"]', f"/api/chat: {SAY}"),
        ('{"/api/chat": null}', f"/api/chat: {SAY}"),
        ('"/a" = {path = "/b"}', f"/a: {SAY}"),
        ('"/a" = {method = 5}', f"/a: {SAY}"),
        ('"/a" = {method = "POST", path = "b"}', f"/a: {SAY}"),
        ('"/a" = {method = "POST", paht = "/b"}', f"/a: {SAY}"),
        ('"/a" = {method = "POST", body = "b"}', f"/a: {SAY}"),
        ('"/a" = {method = "POST", body = {since = 2020-01-01}}', f"/a: {SAY}"),
        ('"/a" = {method = "GET", body = {}}', f"/a: {SAY}"),
        ('"/a" = "GET"\n"/b" = "FETCH"', f"/b: {SAY}"),
        ('"api/chat" = "GET"', "api/chat: a path begins with a slash"),
    ],
)
def test_a_map_that_is_wrong_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(why)):
        read_method_map(text)


def test_a_file_that_is_no_text_or_no_map_is_refused_as_well(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    (tmp_path / "words").write_text("Hello")
    with pytest.raises(ValueError, match="bytes cannot be read"):
        read_method_map(str(tmp_path / "bytes"))
    with pytest.raises(ValueError, match="neither TOML nor JSON"):
        read_method_map(str(tmp_path / "words"))
    with pytest.raises(ValueError, match="cannot be read"):
        read_method_map(str(tmp_path))
