"""The lines of the log that tell how to reach the proxy once it listens, and how to stop it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..settings import http_url

if TYPE_CHECKING:
    from ..settings import Settings


def api_line(settings: Settings, host: str, port: int) -> str:
    """Say where the API is, what answers behind it, and how the proxy is stopped.

    Args:
        settings: of the proxy.
        host: the address that a socket listens on.
        port: the port of that socket.
    """
    return f"Ollama API on {http_url(host, port)} ({settings.proxy_mode} mode, in front of {settings.servers}); Ctrl-C stops it"


def page_line(url: str, *, has_token: bool) -> str:
    """Say where mitmweb's page is, and what opens it.

    Args:
        url: of the page, as mitmweb names it; a page that listens everywhere is opened at this machine's loopback address.
        has_token: whether the URL holds the token that lets a browser in; otherwise the page asks for a password.
    """
    for everywhere, here in (("0.0.0.0", "127.0.0.1"), ("[::]", "[::1]"), ("", "127.0.0.1")):  # noqa: S104  # no binding
        url = url.replace(f"http://{everywhere}:", f"http://{here}:", 1)
    how = "open this whole address, token included" if has_token else "it asks for the password that web_password sets"
    return f"Watch the calls on {url} ({how})"
