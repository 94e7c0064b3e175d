"""Follows the redirects of a server within the server's own site.

HTTP clients turn POST into GET after a redirect of status 301 or 302, so that a call to a base URL that redirects arrives
without its body. Here a request keeps its method and its body within one site: the same host, and the same port or the step
from http to https on the usual ports. To another site no request goes, since it would carry the key.
"""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

MOST_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LONGEST_SHOWN = 200


class RedirectsElsewhere(Exception):
    """A server redirects to another site; the message is one sentence that names the URL there.

    Attributes:
        url: the base URL that the redirect leads to.
    """

    def __init__(self, base_url: str, url: str) -> None:
        super().__init__(
            f"the back end at {base_url} redirects to {url}, which is another server: set the base URL to {url} if it is yours"
        )
        self.url = url


def redirected_url(url: str, status: int, location: str, *, base_url: str) -> str | None:
    """Return the URL to which a request is to be made again; None for an answer that is no redirect.

    Args:
        url: that was asked.
        status: of the answer.
        location: the answer's `Location` header; "" for none.
        base_url: the server's, for the error.

    Raises:
        RedirectsElsewhere: the redirect leads to another site, or from https to http.
    """
    if status not in _REDIRECTS or not location:
        return None
    try:
        target = urljoin(url, location)
        same = _is_one_site(url, target)
    except ValueError:
        return None
    if not same:
        raise RedirectsElsewhere(base_url, redirected_base(base_url, url, target))
    return target


def redirected_base(base_url: str, url: str, target: str) -> str:
    """Return the base URL that is to be set for a server that redirects `url`, below its base URL, to `target`."""
    parts = urlsplit(target)
    below = urlsplit(url).path.removeprefix(urlsplit(base_url).path).rstrip("/")
    path = parts.path.rstrip("/")
    path = path.removesuffix(below) if below else path
    # A user and a password are no part of a base URL, and neither is a query.
    shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}"
    return "".join(character if character.isprintable() else "?" for character in shown[:_LONGEST_SHOWN])


def method_after(status: int, method: str) -> str:
    """Return the method for a request that is made again: 303 says that another resource holds the answer."""
    return "GET" if status == 303 and method != "HEAD" else method


def _is_one_site(url: str, target: str) -> bool:
    old, new = urlsplit(url), urlsplit(target)
    if new.scheme not in _DEFAULT_PORTS or old.hostname != new.hostname:
        return False
    ports = (old.port or _DEFAULT_PORTS[old.scheme], new.port or _DEFAULT_PORTS[new.scheme])
    if old.scheme == new.scheme:
        return ports[0] == ports[1]
    return (old.scheme, new.scheme) == ("http", "https") and (ports == (80, 443) or ports[0] == ports[1])
