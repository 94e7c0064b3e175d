"""Follows the redirects of a server within the server's own site.

HTTP clients turn POST into GET after a redirect of status 301 or 302, so that a call to a base URL that redirects arrives
without its body. Here a request keeps its method and its body within one site: the same host, and the same port or the step
from http to https on the usual ports. To another site no request goes, since it would carry the key.
"""

from __future__ import annotations

from typing import ClassVar
from urllib.parse import urljoin, urlsplit

MOST_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LONGEST_SHOWN = 200


class RedirectError(Exception):
    """A redirect cannot be followed; the message is one sentence that names the server and the URL it redirects to.

    Attributes:
        url: the base URL that the redirect leads to.
        told: what clients on other machines are told, to whom no address is shown; goes on after "the back end".
    """

    told: ClassVar[str]

    def __init__(self, sentence: str, url: str) -> None:
        super().__init__(sentence)
        self.url = url


class RedirectsElsewhere(RedirectError):
    """A server redirects to another site."""

    told = "redirects to another server: the log tells which"

    def __init__(self, base_url: str, url: str) -> None:
        super().__init__(
            f"the back end at {base_url} redirects to {url}, which is another server: set the base URL to {url} if it is yours",
            url,
        )


class TooManyRedirects(RedirectError):
    """A server redirects a request again and again."""

    told = f"redirects in circles: {MOST_REDIRECTS} times for one request"

    def __init__(self, base_url: str, url: str) -> None:
        super().__init__(
            f"the back end at {base_url} redirects in circles, {MOST_REDIRECTS} times for one request, at last to {url}: "
            "set the base URL to one that answers by itself",
            url,
        )


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
    # Some clients follow other statuses, too.
    if not 300 <= status <= 399 or status == 304 or not location:
        return None
    target = within_site(url, location)
    if target is None:
        raise RedirectsElsewhere(base_url, _base_elsewhere(base_url, url, location))
    return target if status in _REDIRECTS else None


def within_site(url: str, location: str) -> str | None:
    """Return the URL that a `Location` header names, if that is on the site of `url`; None for any other site."""
    # Clients do not agree on what these characters mean.
    if "\\" in location or not location.isascii() or not location.isprintable():
        return None
    try:
        target = urljoin(url, location)
        return target if _is_one_site(url, target) else None
    except ValueError:
        return None


def _base_elsewhere(base_url: str, url: str, location: str) -> str:
    try:
        return redirected_base(base_url, url, urljoin(url, location))
    except ValueError:
        return "".join(character if character.isprintable() else "?" for character in location[:_LONGEST_SHOWN])


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
    if new.username is not None or new.password is not None:
        return False
    if new.scheme not in _DEFAULT_PORTS or old.hostname != new.hostname:
        return False
    ports = (old.port or _DEFAULT_PORTS[old.scheme], new.port or _DEFAULT_PORTS[new.scheme])
    if old.scheme == new.scheme:
        return ports[0] == ports[1]
    return (old.scheme, new.scheme) == ("http", "https") and (ports == (80, 443) or ports[0] == ports[1])
