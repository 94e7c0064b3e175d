"""A request knows its path."""

import pytest
from ollama_openai_proxy.net.http_messages import Reply, Request


@pytest.mark.parametrize(
    ("target", "path"),
    [("/", "/"), ("/api/tags?x=1?y", "/api/tags"), ("/api/%74ags", "/api/tags"), ("/a%2Fb?c", "/a/b"), ("/a%3Fb", "/a?b")],
)
def test_the_path_is_decoded_and_has_no_query(target: str, path: str) -> None:
    assert Request("GET", target).path == path


def test_a_request_and_a_reply_need_neither_headers_nor_body() -> None:
    assert (Request("GET", "/").headers, Request("GET", "/").body) == ({}, b"")
    assert (Reply(200).headers, Reply(200).body) == ({}, b"")
