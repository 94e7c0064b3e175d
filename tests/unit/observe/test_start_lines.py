"""What the log says once the proxy listens."""

from __future__ import annotations

import pytest
from ollama_openai_proxy.observe.start_lines import api_line, page_line
from ollama_openai_proxy.settings import load_settings


@pytest.mark.parametrize(
    ("host", "url"), [("127.0.0.1", "http://127.0.0.1:1"), ("::1", "http://[::1]:1"), ("0.0.0.0", "http://0.0.0.0:1")]
)
def test_the_api_is_named_with_the_server_behind_it(host: str, url: str) -> None:
    settings = load_settings({"proxy_mode": "fix", "ollama_upstream_url": "http://far:11434"})
    assert api_line(settings, host, 1) == f"Ollama API on {url} (fix mode, in front of http://far:11434); Ctrl-C stops it"


@pytest.mark.parametrize(
    ("url", "opened"),
    [
        ("http://127.0.0.1:8081/?token=t", "http://127.0.0.1:8081/?token=t"),
        ("http://0.0.0.0:8081/?token=t", "http://127.0.0.1:8081/?token=t"),
        ("http://[::]:8081/?token=t", "http://[::1]:8081/?token=t"),
        ("http://:8081/?token=t", "http://127.0.0.1:8081/?token=t"),
        ("http://[::1]:8081/?token=t", "http://[::1]:8081/?token=t"),
    ],
)
def test_a_page_that_listens_everywhere_is_opened_here(url: str, opened: str) -> None:
    assert page_line(url, has_token=True) == f"Watch the calls on {opened} (open this whole address, token included)"


def test_a_page_with_a_password_says_whose() -> None:
    line = page_line("http://127.0.0.1:8081/", has_token=False)
    assert line == "Watch the calls on http://127.0.0.1:8081/ (it asks for the password that web_password sets)"
