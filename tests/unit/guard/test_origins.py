"""Web pages and foreign hosts reach the proxy only as far as they would reach Ollama."""

import socket

import pytest
from ollama_openai_proxy.guard.origins import Access, _is_local_name
from ollama_openai_proxy.net.http_messages import Reply, Request

HOST = "127.0.0.1:11434"
HEADERS = (
    "Authorization,Content-Type,User-Agent,Accept,X-Requested-With,Openai-Beta,X-Stainless-Arch,X-Stainless-Async,"
    "X-Stainless-Custom-Poll-Interval,X-Stainless-Helper-Method,X-Stainless-Lang,X-Stainless-Os,X-Stainless-Package-Version,"
    "X-Stainless-Poll-Helper,X-Stainless-Retry-Count,X-Stainless-Runtime,X-Stainless-Runtime-Version,X-Stainless-Timeout"
)
LOCAL = Access("", "127.0.0.1")
FORBIDDEN = Reply(403)


def request(origin: str | None = None, method: str = "GET", host: str = HOST) -> Request:
    return Request(method, "/api/tags", {"host": host} | ({} if origin is None else {"origin": origin}))


def allowed(access: Access, origin: str) -> bool:
    refused = access.refuse(request(origin), None)
    assert refused in (None, FORBIDDEN)
    return refused is None


# ── origins


@pytest.mark.parametrize(
    "origin",
    [
        *[f"{scheme}://{host}{port}" for scheme in ("http", "https") for host in ("localhost", "127.0.0.1", "0.0.0.0")
          for port in ("", ":3000")],
        *("app://obsidian.md", "file://", "file:///index.html", "tauri://localhost", "vscode-webview://abc", "vscode-file://x"),
    ],
)  # fmt: skip
def test_pages_and_apps_of_this_machine_may_call(origin: str) -> None:
    assert allowed(LOCAL, origin)


@pytest.mark.parametrize(
    "origin",
    [
        *("https://evil.example", "null", "chrome-extension://abc", "moz-extension://abc", "ftp://localhost", "localhost"),
        *(
            "http://localhost.evil.example",
            "http://localhost@evil.example",
            "http://evil.example/http://localhost",
            "http://[::1]",
        ),
        *("http://evillocalhost", "https://127.0.0.1.evil.example:80", "http://192.168.1.5:3000", "xapp://y"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "OPTIONS"])
def test_foreign_pages_may_not_whatever_they_do(origin: str, method: str) -> None:
    assert LOCAL.refuse(request(origin, method), None) == FORBIDDEN


@pytest.mark.parametrize(
    ("origins", "origin", "may"),
    [
        ("https://app.example", "https://app.example", True),
        ("https://app.example", "https://other.example", False),
        ("https://app.example", "https://app.example:8443", False),
        ("https://app.example", "http://localhost:3000", True),
        ("https://App.Example", "https://app.example", True),
        (" https://a.example , ,https://b.example,", "https://b.example", True),
        ("https://*.example", "https://a.b.example", True),
        ("https://*.example", "https://example", False),
        ("https://*.example", "http://a.example", False),
        ("https://app.example:*", "https://app.example:8443", True),
        ("chrome-extension://*", "chrome-extension://abc", True),
        ("https://a.example", "https://axexample", False),
        ("null", "null", True),
        ("*", "https://evil.example", True),
        ("*", "null", True),
        ("https://app.example,*", "https://evil.example", True),
    ],
)
def test_the_user_may_allow_more_origins(origins: str, origin: str, may: bool) -> None:
    assert allowed(Access(origins, "127.0.0.1"), origin) is may


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", ["evil.example", "pod.example:443", HOST, "[::1]:11434"])
def test_a_page_of_the_proxy_itself_is_not_foreign(scheme: str, host: str) -> None:
    access = Access("", "0.0.0.0")
    page = request(f"{scheme}://{host}", host=host)
    assert access.refuse(page, None) is None
    assert access.headers(page) == {}
    assert access.refuse(request(f"{scheme}://{host}", "OPTIONS", host), "POST") is None


@pytest.mark.parametrize("origin", [None, ""])
def test_whoever_names_no_origin_is_no_page(origin: str | None) -> None:
    assert LOCAL.refuse(request(origin), None) is None
    assert LOCAL.headers(request(origin)) == {}
    assert LOCAL.refuse(request(origin, "OPTIONS"), "POST") is None


def test_replies_name_the_origin_they_are_for() -> None:
    assert LOCAL.headers(request("http://localhost:3000")) == {
        "Access-Control-Allow-Origin": "http://localhost:3000",
        "Vary": "Origin",
    }


def test_where_all_origins_are_allowed_replies_name_none() -> None:
    access = Access("*", "127.0.0.1")
    assert access.headers(request("https://evil.example")) == {"Access-Control-Allow-Origin": "*"}
    preflight = access.refuse(request("https://evil.example", "OPTIONS"), None)
    assert preflight is not None
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"
    assert "Vary" not in preflight.headers


# ── preflight


@pytest.mark.parametrize("allow", ["POST", "HEAD, GET", None])
def test_a_preflight_is_told_all_that_is_allowed(allow: str | None) -> None:
    assert LOCAL.refuse(request("http://localhost:3000", "OPTIONS"), allow) == Reply(
        204,
        {
            "Access-Control-Allow-Headers": HEADERS,
            "Access-Control-Allow-Methods": "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS",
            "Access-Control-Allow-Origin": "http://localhost:3000",
            "Access-Control-Max-Age": "43200",
            "Vary": "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
        }
        | ({"Allow": allow} if allow else {}),
    )


def test_a_foreign_preflight_is_refused_with_the_methods_of_its_path() -> None:
    assert LOCAL.refuse(request("https://evil.example", "OPTIONS"), "POST") == Reply(403, {"Allow": "POST"})


# ── hosts


NAME = socket.gethostname()


@pytest.mark.parametrize(
    ("host", "local"),
    [
        *[(host, True) for host in ("", "localhost", "LOCALHOST", "localhost:11434", "127.0.0.1", HOST, "127.8.9.1")],
        *[(host, True) for host in ("a.localhost", "nas.local:80", "ollama.internal", "Host.Docker.Internal:11434")],
        *[(host, True) for host in ("10.1.2.3", "192.168.1.5:11434", "172.16.0.1", "0.0.0.0", "0.0.0.0:1")],
        *[(host, True) for host in ("[::1]", "[::1]:11434", "::1", "[::]:1", "[fd00::1]:11434")],
        *[(host, True) for host in (NAME, NAME.upper(), f"{NAME}:11434")],
        *[(host, False) for host in ("example.com", "example.com:80", "8.8.8.8", "8.8.8.8:80", "[2001:4860:4860::8888]:1")],
        *[(host, False) for host in ("localhost.example.com", "local", "evil-localhost", "127.0.0.1.example.com", "1.2.3")],
    ],
)
def test_on_a_loopback_address_only_local_hosts_are_served(host: str, local: bool) -> None:
    assert LOCAL.refuse(request(host=host), None) == (None if local else FORBIDDEN)


@pytest.mark.parametrize(
    ("listens_on", "checks"),
    [
        *[(address, True) for address in ("127.0.0.1", "127.0.0.2", "::1", "localhost")],
        *[(address, False) for address in ("0.0.0.0", "::", "", "192.168.1.5", "proxy.example")],
    ],
)
def test_only_on_a_loopback_address_is_the_host_checked(listens_on: str, checks: bool) -> None:
    refused = Access("", listens_on).refuse(request(host="example.com"), None)
    assert refused == (FORBIDDEN if checks else None)


def test_a_request_without_a_host_is_served() -> None:
    assert LOCAL.refuse(Request("GET", "/"), None) is None


@pytest.mark.parametrize("origins", ["", "*"])
def test_an_allowed_origin_does_not_excuse_a_foreign_host(origins: str) -> None:
    access = Access(origins, "127.0.0.1")
    assert access.refuse(request("http://localhost:3000", host="example.com"), "GET") == Reply(403, {"Allow": "GET"})
    assert access.refuse(request("http://localhost:3000", "OPTIONS", host="example.com"), None) != FORBIDDEN


# ── behind another proxy, which puts a Host of its own

POD = "abc123xyz-11435.proxy.runpod.net"


@pytest.mark.parametrize("host", [POD, POD.upper(), f"{POD}:443"])
@pytest.mark.parametrize("listens_on", ["127.0.0.1", "::1", "0.0.0.0"])
def test_the_name_of_a_pod_at_its_edge_is_known(host: str, listens_on: str) -> None:
    access = Access("", listens_on)
    assert access.refuse(request(host=host), None) is None
    page = request(f"https://{host}", host=host)
    assert access.refuse(page, None) is None
    assert access.headers(page) == {}


@pytest.mark.parametrize(
    "host",
    [
        *("proxy.runpod.net", "evil.proxy.runpod.net", "evilproxy.runpod.net", f"{POD}.evil.example", f"evil.example/{POD}"),
        *(f"a.{POD}", f"x@{POD}", "runpod.net", f"{POD}\n"),
    ],
)
def test_names_like_it_are_not(host: str) -> None:
    assert LOCAL.refuse(request(host=host), None) == FORBIDDEN


def test_the_host_that_a_trusted_proxy_puts_is_not_checked() -> None:
    access = Access("", "127.0.0.1", "127.0.0.1,10.0.0.0/8")
    for peer, known in (("127.0.0.1", True), ("10.1.2.3", True), ("192.0.2.1", False), ("", False)):
        came = Request("GET", "/api/tags", {"host": "pod.example"}, peer=peer)
        assert access.refuse(came, None) == (None if known else FORBIDDEN), peer


@pytest.mark.parametrize("header", ["x-forwarded-host", "x-forwarded-for", "forwarded", "cf-ray", "cf-connecting-ip"])
def test_a_header_that_a_page_can_set_makes_no_host_known(header: str) -> None:
    came = Request("GET", "/api/tags", {"host": "evil.example", header: POD})
    assert LOCAL.refuse(came, None) == FORBIDDEN


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_on_a_loopback_address_a_page_of_a_foreign_host_is_foreign_also_if_it_names_that_host(scheme: str, method: str) -> None:
    page = request(f"{scheme}://evil.example", method, "evil.example")
    assert LOCAL.refuse(page, None) == FORBIDDEN
    # Elsewhere a page that the pod itself serves is no foreign one.
    everywhere = Access("", "0.0.0.0")
    assert everywhere.refuse(page, None) is None
    assert everywhere.headers(page) == {}


@pytest.mark.parametrize("listens_on", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("host", ["localhost:11435", "192.168.1.5:11435", "nas.local", "[::1]:11435"])
def test_a_page_of_a_local_host_that_names_that_host_is_the_proxys_own(listens_on: str, host: str) -> None:
    page = request(f"http://{host}", host=host)
    access = Access("", listens_on)
    assert access.refuse(page, None) is None
    assert access.headers(page) == {}


def test_behind_an_edge_origins_are_checked_all_the_same() -> None:
    access = Access("https://app.example", "127.0.0.1")
    assert access.refuse(request("https://evil.example", host=POD), None) == FORBIDDEN
    assert access.refuse(request("https://evil.example", "OPTIONS", POD), None) == FORBIDDEN
    assert access.refuse(request("https://app.example", host=POD), None) is None
    assert access.headers(request("https://app.example", host=POD))["Access-Control-Allow-Origin"] == "https://app.example"
    preflight = access.refuse(request("https://app.example", "OPTIONS", POD), None)
    assert preflight is not None
    assert (preflight.status, preflight.headers["Access-Control-Allow-Origin"]) == (204, "https://app.example")


def test_a_host_that_is_too_long_for_a_name_is_foreign_and_not_remembered() -> None:
    for number in range(5):
        before = _is_local_name.cache_info().currsize
        long = f"{number}" + "x" * 300 + ".localhost"
        assert LOCAL.refuse(request(host=long), None) == FORBIDDEN
        assert _is_local_name.cache_info().currsize == before
