"""A request that was mangled on its way becomes the one that its client sent."""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.fix.method_map import ENDPOINTS, Endpoint, MethodMap, read_method_map
from ollama_openai_proxy.fix.request_repair import Mender, mend_slashes
from ollama_openai_proxy.net.http_messages import Request

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
BLOB = "/api/blobs/sha256:00"
PREFLIGHT = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}


def mender(
    methods: MethodMap | None = None,
    *,
    restore: bool = True,
    pseudo_endpoints: bool = True,
    bodiless: bool = True,
    query_bodies: bool = False,
) -> Mender:
    return Mender(
        methods or MethodMap(),
        restore=restore,
        pseudo_endpoints=pseudo_endpoints,
        bodiless=bodiless,
        query_bodies=query_bodies,
    )


FIX = mender()
TRANSLATE = mender(pseudo_endpoints=False, bodiless=False)


def request(method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Request:
    fields = tuple((headers or {}).items())
    return Request(method, target, {name.lower(): value for name, value in fields}, body, fields)


def mended(method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None, by: Mender = FIX) -> Request:
    result = by.mend(request(method, target, body, headers))
    assert result.arrived_as == ("" if result.method == method else method)
    return replace(result, arrived_as="")


def filled(query: str, path: str = "/api/generate") -> Any:
    """The body that is made of a query."""
    return json.loads(mended("GET", f"{path}?{query}").body)


async def still_to_come() -> AsyncIterator[bytes]:
    yield b""


# ── methods


@pytest.mark.parametrize("by", [FIX, TRANSLATE], ids=["fix", "translate"])
@pytest.mark.parametrize("arrived", METHODS)
def test_a_request_with_a_body_gets_its_method_and_stays_as_it_is(by: Mender, arrived: str) -> None:
    came = request(arrived, "/api/chat?x=1", b'{"model":"m"}', {"X-Twice": "1"})
    assert by.mend(came) == replace(came, method="POST", arrived_as="" if arrived == "POST" else arrived)
    assert by.mend(replace(came, target="/api/delete")).method == "DELETE"


def test_a_request_that_is_right_is_handed_back_itself() -> None:
    for right in (request("POST", "/api/chat", b"{}"), request("GET", "/api/tags"), request("HEAD", "/")):
        assert FIX.mend(right) == right


def test_in_fix_mode_a_method_is_restored_without_a_body_too() -> None:
    assert mended("POST", "/api/tags").method == "GET"
    assert mended("PUT", "/api/chat").method == "POST"
    # Of the real Ollama, a client of translate mode expects a 405.
    assert mended("POST", "/api/tags", by=TRANSLATE).method == "POST"
    assert mended("PUT", "/api/chat", by=TRANSLATE).method == "PUT"


@pytest.mark.parametrize("by", [FIX, TRANSLATE], ids=["fix", "translate"])
def test_a_body_that_still_arrives_is_a_body(by: Mender) -> None:
    came = replace(request("GET", BLOB), parts=still_to_come())
    after = by.mend(came)
    assert (after.method, after.parts, after.body) == ("POST", came.parts, b"")
    assert not by.answers_as_head(came)
    assert by.lost_body(replace(came, target="/api/chat")) is None


@pytest.mark.parametrize("by", [FIX, TRANSLATE], ids=["fix", "translate"])
@pytest.mark.parametrize("body", [b"", b"{}"])
def test_the_override_header_counts_where_the_map_has_no_entry(by: Mender, body: bytes) -> None:
    override = {"X-HTTP-Method-Override": "delete"}
    assert mended("GET", "/v1/files/1", body, override, by).method == "DELETE"
    assert mended("POST", "/other", body, override, by).method == "DELETE"
    assert mended("POST", "/api/chat", b"{}", override, by).method == "POST"


def test_nothing_is_restored_where_that_is_switched_off() -> None:
    left = mender(restore=False)
    override = {"X-HTTP-Method-Override": "DELETE"}
    for came in (
        *(request(method, "/api/chat", b"{}") for method in METHODS),
        request("GET", "/api/generate?model=m"),
        request("GET", "/v1/files/1", b"{}", override),
        request("GET", "/api/chat", headers=PREFLIGHT),
    ):
        assert left.mend(came) == came
        assert left.lost_body(came) is None
    assert not left.answers_as_head(request("GET", BLOB))
    # A doubled slash, and a name that Ollama does not know, would help nobody.
    assert left.mend(request("PUT", "//api/ls/", b"{}")) == request("PUT", "/api/tags", b"{}")


@pytest.mark.parametrize("by", [FIX, TRANSLATE], ids=["fix", "translate"])
@pytest.mark.parametrize(("path", "method"), [("/api/me", "POST"), ("/api/signout", "POST"), ("/api/user/keys/x", "DELETE")])
def test_a_get_of_a_call_that_has_no_body_gets_its_method_back(by: Mender, path: str, method: str) -> None:
    assert mended("GET", path, by=by).method == method
    assert mended("GET", path, headers={"Sec-Fetch-Site": "same-origin"}, by=by).method == method
    # The origins that may call are judged elsewhere.
    assert (
        mended("GET", path, headers={"Sec-Fetch-Site": "cross-site", "Origin": "https://app.example"}, by=by).method == method
    )
    # An image in a page of another site signs nobody out.
    assert mended("GET", path, headers={"Sec-Fetch-Site": "cross-site"}, by=by).method == "GET"
    assert mended("PUT", path, by=by).method == (method if by is FIX else "PUT")


# ── preflights


@pytest.mark.parametrize("path", ["/api/chat", "/v1/models", "/other", "/api/chat?model=m&prompt=p"])
@pytest.mark.parametrize("arrived", METHODS)
@pytest.mark.parametrize("body", [b"", b"{}"])
def test_a_mangled_preflight_becomes_options_again(path: str, arrived: str, body: bytes) -> None:
    after = mended(arrived, path, body, PREFLIGHT)
    assert (after.method, after.target, after.body) == ("OPTIONS", path, b"")
    assert FIX.lost_body(after) is None


@pytest.mark.parametrize("missing", PREFLIGHT)
def test_one_header_of_a_preflight_alone_makes_none(missing: str) -> None:
    headers = {name: value for name, value in PREFLIGHT.items() if name != missing}
    assert mended("GET", "/api/chat", b"{}", headers).method == "POST"


# ── bodies that are in the query


def test_the_parameters_of_a_query_become_the_body_that_was_lost() -> None:
    after = mended("GET", "/api/generate?model=tiny&prompt=Why%20is+it%3F", headers={"Accept": "*/*"})
    assert (after.method, after.target) == ("POST", "/api/generate?model=tiny&prompt=Why%20is+it%3F")
    assert json.loads(after.body) == {"model": "tiny", "prompt": "Why is it?"}
    assert after.fields == (("Accept", "*/*"), ("Content-Type", "application/json"))
    assert after.headers == {"accept": "*/*", "content-type": "application/json"}
    assert FIX.lost_body(after) is None


def test_the_content_type_of_the_body_that_was_lost_goes_with_it() -> None:
    after = mended("GET", "/api/chat?model=m", headers={"content-TYPE": "text/plain", "A": "1", "Content-Type": "x"})
    assert after.fields == (("A", "1"), ("Content-Type", "application/json"))


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("stream=false&keep_alive=0&raw=true", {"stream": False, "keep_alive": 0, "raw": True}),
        ("keep_alive=5m&keep_alive_=", {"keep_alive": "5m", "keep_alive_": ""}),
        ("options={%22seed%22:1,%22temperature%22:0.5}", {"options": {"seed": 1, "temperature": 0.5}}),
        ("messages=[{%22role%22:%22user%22,%22content%22:%22Gr%C3%BC%C3%9Fe%22}]",
         {"messages": [{"role": "user", "content": "Grüße"}]}),
        ("format=json&think=null", {"format": "json", "think": None}),
        ("input=one&input=2&input=", {"input": ["one", 2, ""]}),
        ("input=one", {"input": "one"}),
        # Text stays text, whatever it looks like.
        *((f"{name}=5", {name: "5"}) for name in ("model", "name", "prompt", "system", "template", "suffix", "from")),
        ("source=true&destination=null", {"source": "true", "destination": "null"}),
        ("prompt=a&prompt=5", {"prompt": ["a", "5"]}),
        ("prompt={%22a%22:1}", {"prompt": '{"a":1}'}),
        # Python's numbers that JSON does not have.
        ("options=NaN&think=-Infinity&n=1e999", {"options": "NaN", "think": "-Infinity", "n": "1e999"}),
        ("options={%22a%22:NaN}", {"options": '{"a":NaN}'}),
        ("options={broken", {"options": "{broken"}),
        (f"n={'9' * 5000}", {"n": "9" * 5000}),
        (f"deep={'[' * 100_000}", {"deep": "[" * 100_000}),
    ],
)  # fmt: skip
def test_what_looks_like_json_becomes_json_and_the_rest_text(query: str, body: object) -> None:
    assert filled(query) == body


@pytest.mark.parametrize(
    "path", [path for path, endpoint in ENDPOINTS.items() if endpoint.method == "POST" and endpoint.bodiless is None]
)
def test_every_endpoint_that_takes_a_body_takes_a_query(path: str) -> None:
    after = mended("GET", f"{path}?model=m")
    assert (after.method, json.loads(after.body)["model"]) == ("POST", "m")
    assert mended("GET", f"{path}?model=m", by=TRANSLATE).method == "POST"


def test_delete_takes_a_query_too() -> None:
    after = mended("GET", "/api/delete?model=m")
    assert (after.method, json.loads(after.body)) == ("DELETE", {"model": "m"})


@pytest.mark.parametrize(
    "came",
    [
        request("POST", "/api/chat?model=query", b'{"model":"body"}'),
        request("GET", "/api/tags?model=m"),
        request("GET", "/other?model=m"),
        request("GET", f"{BLOB}?model=m"),
        request("HEAD", "/api/generate?model=m"),
        request("OPTIONS", "/api/generate?model=m"),
        request("GET", "/api/generate?"),
        request("GET", "/api/generate?&&"),
        request("GET", "/api/generate"),
    ],
    ids=lambda came: f"{came.method} {came.target}",
)
def test_a_query_becomes_a_body_only_where_one_was_lost(came: Request) -> None:
    assert FIX.mend(came) == came


def test_a_query_of_too_many_parameters_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_many(*_: object, **__: object) -> object:
        raise ValueError("Max number of fields exceeded")

    monkeypatch.setattr("ollama_openai_proxy.fix.request_repair.parse_qs", too_many)
    came = request("GET", "/api/generate?model=m")
    assert FIX.mend(came) == came
    assert FIX.lost_body(came) == ENDPOINTS["/api/generate"]


# ── names that no Ollama has


@pytest.mark.parametrize(
    ("method", "target", "body", "arrives"),
    [
        ("POST", "/api/ls", b"", "GET /api/tags "),
        ("GET", "/api/ls?a=/b", b"", "GET /api/tags?a=/b "),
        ("POST", "/api/serve/", b"{}", "GET /api/version {}"),
        (
            "GET",
            "/api/stop",
            b'{"model":"m","prompt":"x","keep_alive":5}',
            'POST /api/generate {"model": "m", "keep_alive": 0}',
        ),
        ("PUT", "/api/unload", b'{"name":"m"}', 'POST /api/generate {"model": "m", "keep_alive": 0}'),
        ("POST", "/api/stop", b'{"model":"","name":"n"}', 'POST /api/generate {"model": "n", "keep_alive": 0}'),
        ("POST", "/api/stop", b"{}", 'POST /api/generate {"model": "", "keep_alive": 0}'),
        ("GET", "/api/stop?name=m", b"", 'POST /api/generate?name=m {"model": "m", "keep_alive": 0}'),
        # It cannot be mended, and the explanation is one of the path that Ollama knows.
        ("GET", "/api/stop", b"", "GET /api/generate "),
        ("HEAD", "/api/ls", b"", "HEAD /api/tags "),
    ],
)
def test_a_name_that_no_ollama_has_leads_to_one_it_has(method: str, target: str, body: bytes, arrives: str) -> None:
    after = mended(method, target, body)
    assert f"{after.method} {after.target} {after.body.decode()}" == arrives


@pytest.mark.parametrize("body", [b"{", b"[]", b"5", b'"m"', b"null", b"\xff", b"[" * 100_000])
def test_a_body_that_names_no_model_is_left_for_ollama_to_refuse(body: bytes) -> None:
    after = mended("POST", "/api/stop", body)
    assert (after.target, after.body) == ("/api/generate", body)


def test_a_body_too_large_to_do_no_more_than_name_a_model_stays_as_it_is() -> None:
    body = json.dumps({"model": "m", "padding": "x" * (1 << 20)}).encode()
    after = mended("POST", "/api/stop", body)
    assert (after.target, after.body) == ("/api/generate", body)


def test_where_ollama_is_not_real_such_names_stay() -> None:
    after = mended("GET", "/api/stop", b'{"name":"m"}', by=TRANSLATE)
    assert (after.method, after.target, after.body) == ("POST", "/api/stop", b'{"name":"m"}')


def test_a_users_entry_may_lead_elsewhere_and_bring_a_body_of_its_own() -> None:
    changes = '"/api/rest" = {method = "POST", path = "/api/generate", body = {keep_alive = 0, options = {seed = 1}}}'
    by = mender(read_method_map(changes + '\n"/old/" = {method = "GET", path = "/api/tags"}'))
    after = mended("GET", "/api/rest?a=1", b'{"model":"m"}', by=by)
    assert (after.method, after.target) == ("POST", "/api/generate?a=1")
    assert json.loads(after.body) == {"model": "m", "keep_alive": 0, "options": {"seed": 1}}
    assert mended("POST", "/old/a/b?c", b"", by=by) == request("GET", "/api/tags?c")


# ── what cannot be mended


@pytest.mark.parametrize("by", [FIX, TRANSLATE], ids=["fix", "translate"])
def test_a_get_whose_body_is_lost_is_known(by: Mender) -> None:
    for path, endpoint in ENDPOINTS.items():
        lost = endpoint if endpoint.method != "GET" and endpoint.bodiless is None else None
        came = request("GET", path + "x" * (path != "/" and path.endswith("/")))
        assert by.lost_body(came) == lost
        assert by.lost_body(replace(came, body=b"x")) is None
        assert by.lost_body(replace(came, method="HEAD")) is None


def test_what_was_renamed_is_lost_as_well() -> None:
    assert FIX.lost_body(mended("GET", "/api/stop")) == ENDPOINTS["/api/generate"]


def test_a_get_for_a_blob_without_a_body_is_answered_as_head() -> None:
    assert FIX.answers_as_head(request("GET", BLOB))
    for other in (
        request("GET", BLOB, b"x"),
        request("HEAD", BLOB),
        request("POST", BLOB),
        request("GET", "/api/chat"),
        request("GET", "/api/tags"),
        request("GET", "/other"),
    ):
        assert not FIX.answers_as_head(other)


# ── slashes


@pytest.mark.parametrize(
    ("target", "mends_to"),
    [
        *(("/", "/"), ("//", "/"), ("/api/tags", "/api/tags"), ("/api/tags/", "/api/tags"), ("//api///tags//", "/api/tags")),
        *(("/?a=//b/", "/?a=//b/"), ("/api/tags/?a=1", "/api/tags?a=1"), ("/api/tags?", "/api/tags?"), ("//?", "/?")),
        *(("/api/tags?a=b?c/", "/api/tags?a=b?c/"), ("*", "*"), ("/v1//models/", "/v1/models")),
    ],
)
def test_slashes_are_mended_in_the_path_only(target: str, mends_to: str) -> None:
    assert mend_slashes(target) == mends_to


@given(st.text("/a?.").map(lambda rest: "/" + rest))
def test_a_mended_target_needs_no_more_mending(target: str) -> None:
    after = mend_slashes(target)
    path, _, query = after.partition("?")
    assert path.startswith("/")
    assert "//" not in path
    assert path == "/" or not path.endswith("/")
    assert query == target.partition("?")[2]
    assert mend_slashes(after) == after


def test_a_mended_path_is_found_in_the_map() -> None:
    assert mended("GET", "//api//chat/", b"{}") == request("POST", "/api/chat", b"{}")
    assert mended("GET", "//api/generate/?model=m").method == "POST"


# ── all of it at once

PATHS = st.sampled_from([*ENDPOINTS, BLOB, "/v1/chat/completions", "/v1/", "/api/unheard", "/other", "//", "//api//stop/", "*"])
QUERIES = st.sampled_from(["", "?", "?model=m&prompt=5&n=1&n=2", "?options={%22seed%22:1}", "?name=//m/&x"])
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Origin": st.just("https://app.example"),
        "Access-Control-Request-Method": st.just("POST"),
        "X-HTTP-Method-Override": st.sampled_from(["PUT", "head", "nonsense", ""]),
        "Content-Type": st.just("text/plain"),
    },
)
BODIES = st.sampled_from([b"", b"{}", b'{"model":"m","keep_alive":5}', b'{"name":"m"}', b"\xff"])
MENDERS = st.builds(
    mender,
    st.just(MethodMap()) | st.just(MethodMap({"/api/chat": None, "/other": Endpoint("DELETE", "DELETE")})),
    restore=st.booleans(),
    pseudo_endpoints=st.booleans(),
    bodiless=st.booleans(),
)


@given(
    MENDERS,
    st.builds(request, st.sampled_from([*METHODS, "HEAD", "OPTIONS"]), st.builds(str.__add__, PATHS, QUERIES), BODIES, HEADERS),
    st.booleans(),
)
def test_a_mended_request_needs_no_more_mending(by: Mender, came: Request, unfinished: bool) -> None:
    if unfinished:
        came = replace(came, body=b"", parts=still_to_come())
    once = by.mend(came)
    assert by.mend(once) == once
    assert once.parts is came.parts


CHROMIUM = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
BROWSERS: dict[str, dict[str, str]] = {
    # Over plain HTTP, browsers send no Sec-Fetch-Site.
    "an image over plain http": {"User-Agent": CHROMIUM, "Accept": "image/avif,image/webp,*/*;q=0.8"},
    "a link": {"User-Agent": CHROMIUM, "Referer": "http://evil.example/"},
    "an image over https": {"User-Agent": CHROMIUM, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "image"},
    "a browser under another name": {"User-Agent": "x", "Sec-Fetch-Mode": "no-cors"},
    "the address bar": {"User-Agent": CHROMIUM, "Sec-Fetch-Site": "none"},
    "a page of this site": {"User-Agent": CHROMIUM, "Sec-Fetch-Site": "same-origin"},
    "an old browser": {"User-Agent": "Opera/9.80 (X11; Linux i686) Presto/2.12.388 Version/12.16"},
    "a page whose browser remembers a password": {"User-Agent": CHROMIUM, "Authorization": "Basic dTprZXktb2YtdGhlLXRlc3Rz"},
    "an empty key": {"User-Agent": CHROMIUM, "Authorization": "Bearer ", "X-Api-Key": ""},
    "a page that names its origin": {"Origin": "https://app.example"},
}
PROGRAMS: dict[str, dict[str, str]] = {
    "curl": {"User-Agent": "curl/8.14.1"},
    "nothing is said": {},
    "the SDK": {"User-Agent": "ollama-python/0.6.1 (x86_64 linux) Python/3.12"},
    "a browser with a key": {"User-Agent": CHROMIUM, "Authorization": "Bearer key-of-the-tests"},
    "another browser with a key": {"User-Agent": CHROMIUM, "X-Api-Key": "key-of-the-tests", "Sec-Fetch-Site": "cross-site"},
}


@pytest.mark.parametrize("headers", BROWSERS.values(), ids=BROWSERS)
@pytest.mark.parametrize("by", [FIX, TRANSLATE], ids=["fix", "translate"])
def test_the_query_of_a_browser_without_a_key_fills_no_body(by: Mender, headers: dict[str, str]) -> None:
    came = request("GET", "/api/delete?model=x", headers=headers)
    after = by.mend(came)
    assert (after.method, after.body) == ("GET", b"")
    assert by.refuses_query(after)
    assert by.lost_body(after) == ENDPOINTS["/api/delete"]


@pytest.mark.parametrize("headers", PROGRAMS.values(), ids=PROGRAMS)
@pytest.mark.parametrize("by", [FIX, TRANSLATE], ids=["fix", "translate"])
def test_the_query_of_a_program_or_of_whoever_brings_a_key_does(by: Mender, headers: dict[str, str]) -> None:
    after = by.mend(request("GET", "/api/delete?model=x", headers=headers))
    assert (after.method, json.loads(after.body)) == ("DELETE", {"model": "x"})


@pytest.mark.parametrize("headers", BROWSERS.values(), ids=BROWSERS)
def test_the_user_may_allow_it_to_browsers_but_not_to_pages_of_other_sites(headers: dict[str, str]) -> None:
    after = mender(query_bodies=True).mend(request("GET", "/api/delete?model=x", headers=headers))
    assert after.method == ("GET" if headers.get("Sec-Fetch-Site") == "cross-site" else "DELETE")


@pytest.mark.parametrize(("path", "method"), [("/api/signout", "POST"), ("/api/user/keys/x", "DELETE")])
def test_no_image_makes_a_call_that_has_no_body(path: str, method: str) -> None:
    image = BROWSERS["an image over plain http"]
    assert mended("GET", path, headers=image).method == "GET"
    assert mended("GET", path, headers=image | {"Authorization": "Bearer key-of-the-tests"}).method == method
    assert mended("GET", path, headers=PROGRAMS["curl"]).method == method
