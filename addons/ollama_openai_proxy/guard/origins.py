"""Who may call from where: Ollama's checks of `Origin` and `Host`, and its CORS replies (docs/wire.md#host-and-origin).

They protect a server on the user's own machine from the web pages the user visits.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from functools import lru_cache
from typing import TYPE_CHECKING

from ..net.http_messages import Reply
from ..settings import is_loopback
from .addresses import Addresses

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..net.http_messages import Request

_LOCAL_HOSTS = ("localhost", "127.0.0.1", "0.0.0.0")  # noqa: S104  # names, not bindings
_APPS = ("app://*", "file://*", "tauri://*", "vscode-webview://*", "vscode-file://*")
_EDGE = re.compile(r"[a-z0-9]+-[0-9]+\.proxy\.runpod\.net", re.ASCII)
"""The names under which Runpod's edge serves a pod's ports. No page can make one of them resolve to another address."""
_LONGEST_HOST = 300
"""Characters of a name, which has 253 at most, with its port."""
_LOCAL_DOMAINS = (".localhost", ".local", ".internal")
_ALLOWED_HEADERS = (
    "Authorization,Content-Type,User-Agent,Accept,X-Requested-With,Openai-Beta,X-Stainless-Arch,X-Stainless-Async,"
    "X-Stainless-Custom-Poll-Interval,X-Stainless-Helper-Method,X-Stainless-Lang,X-Stainless-Os,"
    "X-Stainless-Package-Version,X-Stainless-Poll-Helper,X-Stainless-Retry-Count,X-Stainless-Runtime,"
    "X-Stainless-Runtime-Version,X-Stainless-Timeout"
)
_PREFLIGHT = {
    "Access-Control-Allow-Headers": _ALLOWED_HEADERS,
    "Access-Control-Allow-Methods": "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS",
    "Access-Control-Max-Age": "43200",
}
_VARY_OF_PREFLIGHT = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"


class Access:
    """Decides for each request.

    Args:
        origins: what `OLLAMA_ORIGINS` holds: further origins, separated by commas, in which `*` stands for anything.
        host: the address that the proxy listens on; only on a loopback address is `Host` checked.
        trusted: TRUSTED_PROXIES, whose `Host` is not checked.
    """

    def __init__(self, origins: str, host: str, trusted: str = "") -> None:
        further = [origin.strip().lower() for origin in origins.split(",") if origin.strip()]
        self._any_origin = "*" in further
        self._origins = _pattern([*further, *_default_origins()])
        self._check_host = is_loopback(host)
        self._proxies = Addresses(trusted)

    def refuse(self, request: Request, allow: str | None) -> Reply | None:
        """The reply to a request that goes no further: one that is forbidden, or a preflight; None lets it pass.

        Args:
            request: the request.
            allow: the methods of its path, where the path exists and the method is not among them.
        """
        header = {"Allow": allow} if allow else {}
        origin = request.headers.get("origin")
        if origin and not self._same_origin(origin, request):
            if not self._allows(origin):
                return Reply(403, header)
            if request.method == "OPTIONS":
                return Reply(204, header | self._allow_origin(origin) | _PREFLIGHT | self._vary(_VARY_OF_PREFLIGHT))
        if self._check_host and not self._knows_host(request):
            return Reply(403, header)
        return None

    def _knows_host(self, request: Request) -> bool:
        """DNS rebinding: whether the host that a request names cannot be a foreign name that resolves to this machine."""
        host = request.headers.get("host", "")
        return _is_local(host) or _is_edge(host) or self._proxies.trusts(request.peer)

    def headers(self, request: Request) -> dict[str, str]:
        """What every other reply to an allowed origin carries."""
        origin = request.headers.get("origin")
        if not origin or self._same_origin(origin, request):
            return {}
        return self._allow_origin(origin) | self._vary("Origin")

    def _same_origin(self, origin: str, request: Request) -> bool:
        host = request.headers.get("host", "")
        # On a loopback address the host itself is checked afterwards.
        return origin in (f"http://{host}", f"https://{host}")

    def _allows(self, origin: str) -> bool:
        return self._any_origin or bool(self._origins.fullmatch(origin))

    def _allow_origin(self, origin: str) -> dict[str, str]:
        return {"Access-Control-Allow-Origin": "*" if self._any_origin else origin}

    def _vary(self, names: str) -> dict[str, str]:
        """What a cache must know; where every origin is allowed, all get the same reply."""
        return {} if self._any_origin else {"Vary": names}


def _default_origins() -> list[str]:
    local = [f"{scheme}://{host}{port}" for host in _LOCAL_HOSTS for scheme in ("http", "https") for port in ("", ":*")]
    return [*local, *_APPS]


def _pattern(origins: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(re.escape(origin).replace(r"\*", ".*") for origin in origins))


def _is_local(host: str) -> bool:
    # What is longer is no name, and would stay in the cache.
    return len(host) <= _LONGEST_HOST and _is_local_name(_without_port(host).lower())


@lru_cache(maxsize=1024)
def _is_local_name(name: str) -> bool:
    if name in ("", "localhost", socket.gethostname().lower()) or name.endswith(_LOCAL_DOMAINS):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or address.is_private or address.is_unspecified


def _is_edge(host: str) -> bool:
    return bool(_EDGE.fullmatch(_without_port(host).lower()))


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if host.count(":") == 1 else host
