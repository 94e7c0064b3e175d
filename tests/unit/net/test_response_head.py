"""The headers of a reply fit the HTTP version and the wishes of whoever gets it."""

from __future__ import annotations

import pytest
from ollama_openai_proxy.net.http_messages import Reply
from ollama_openai_proxy.net.response_head import comes_in_chunks, keeps_connection, reply_fields

from tests.bodies import PushedBody


def parts() -> PushedBody:
    return PushedBody()


def framing(reply: Reply, version: str = "HTTP/1.1", connection: str = "") -> dict[str, str]:
    fields = [(name, value) for name, value in reply_fields(reply, version, connection) if name != "Date"]
    assert len(dict(fields)) == len(fields)
    return dict(fields)


def test_a_whole_body_has_a_length_where_it_may() -> None:
    assert framing(Reply(200, body=b"hello")) == {"Content-Length": "5"}
    assert framing(Reply(200)) == {"Content-Length": "0"}
    assert framing(Reply(204)) == framing(Reply(304)) == {}
    assert framing(Reply(200, length=7)) == {"Content-Length": "7"}


def test_parts_come_in_chunks_where_that_is_known() -> None:
    assert framing(Reply(200, body=parts())) == {"Transfer-Encoding": "chunked"}
    assert framing(Reply(200, body=parts(), length=1)) == {"Content-Length": "1"}
    assert framing(Reply(200, body=parts()), "HTTP/1.0") == framing(Reply(200, body=parts()), "HTTP/2.0") == {}
    assert comes_in_chunks(Reply(200, body=parts()), "HTTP/1.1")
    assert not comes_in_chunks(Reply(200, body=b"x"), "HTTP/1.1")


def test_there_is_a_date_unless_there_is_one() -> None:
    assert [name for name, _ in reply_fields(Reply(200, {"date": "x"}), "HTTP/1.1", "")] == ["date", "Content-Length"]
    assert dict(reply_fields(Reply(200), "HTTP/1.1", ""))["Date"].endswith(" GMT")


@pytest.mark.parametrize(
    ("version", "connection", "body", "said", "keeps"),
    [
        ("HTTP/1.1", "", b"x", None, True),
        ("HTTP/1.1", "keep-alive", b"x", None, True),
        ("HTTP/1.1", "Close", b"x", "close", False),
        ("HTTP/1.1", "TE, close", b"x", "close", False),
        ("HTTP/1.0", "", b"x", None, False),
        ("HTTP/1.0", "close", b"x", None, False),
        ("HTTP/1.0", "Keep-Alive, TE", b"x", "keep-alive", True),
        ("HTTP/1.0", "keep-alive", None, None, False),
    ],
)
def test_a_connection_is_kept_as_its_client_wishes(
    version: str, connection: str, body: bytes | None, said: str | None, keeps: bool
) -> None:
    fields = reply_fields(Reply(200, body=parts() if body is None else body), version, connection)
    assert dict(fields).get("Connection") == said
    assert keeps_connection(fields, version) == keeps


def test_a_reply_may_end_the_connection() -> None:
    reply = Reply(200, {"connection": "close"})
    for version, wish in (("HTTP/1.1", "close"), ("HTTP/1.0", "keep-alive")):
        fields = reply_fields(reply, version, wish)
        assert [name for name, _ in fields if name.lower() == "connection"] == ["connection"]
        assert not keeps_connection(fields, version)
