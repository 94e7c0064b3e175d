"""The only room that imports mitmproxy: the addon, its hooks, the in-process upstream, and what mitmweb shows."""
