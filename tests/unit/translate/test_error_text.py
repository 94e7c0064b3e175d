"""Errors of back ends become one plain sentence."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.translate.error_text import error_text, is_markup, page_title


@pytest.mark.parametrize(
    ("body", "text"),
    [
        pytest.param({"error": {"message": "bad key", "type": "x", "code": 1}}, "bad key", id="OpenAI"),
        pytest.param({"error": "bad"}, "bad", id="Ollama"),
        pytest.param({"message": "bad"}, "bad", id="message"),
        pytest.param({"detail": "Not Found"}, "Not Found", id="FastAPI"),
        pytest.param({"detail": [{"loc": ["body"], "msg": "a"}, {"msg": "b"}]}, "a; b", id="FastAPI, several"),
        pytest.param({"detail": [{"loc": ["body", "top_k"], "msg": "no"}]}, "body.top_k: no", id="FastAPI, with a place"),
        pytest.param({"error": {"message": "it failed", "metadata": {"raw": '{"error": "x"}'}}}, "it failed: x", id="gateway"),
        pytest.param({"error": {"message": "it failed", "metadata": {"raw": ""}}}, "it failed", id="gateway, no reason"),
        pytest.param({"errors": ["a", "b"]}, "a; b", id="errors"),
        pytest.param([{"error": {"message": "bad"}}], "bad", id="in a list"),
        pytest.param({"error": {"message": '{"error": {"message": "inner"}}'}}, "inner", id="JSON within JSON"),
        pytest.param('{"error": "bad"}', "bad", id="JSON as text"),
        pytest.param('[{"msg": "bad"}]', "bad", id="a JSON list as text"),
        pytest.param(" plain \n", "plain", id="plain text"),
        pytest.param("{broken", "{broken", id="what looks like JSON"),
        pytest.param("[" * 100_000, "[" * 2000, id="what nests without end"),
        pytest.param("<html>no</html>", "", id="HTML"),
        pytest.param({"error": None, "message": "bad"}, "bad", id="null first"),
        pytest.param({"error": {"code": 1}}, "", id="no text"),
        pytest.param({"Message": "bad"}, "bad", id="AWS"),
        pytest.param({"code": 1302, "msg": "bad"}, "bad", id="GLM"),
        pytest.param({"base_resp": {"status_code": 1008, "status_msg": "bad"}}, "bad", id="MiniMax"),
        pytest.param({"error_code": 336, "error_msg": "bad"}, "bad", id="Baidu"),
        pytest.param({"fault": {"faultstring": "bad", "detail": {"errorcode": "x"}}}, "bad", id="Apigee"),
        pytest.param({"success": False, "errors": [{"code": 7003, "message": "bad"}]}, "bad", id="Cloudflare"),
        pytest.param({"title": "Bad Request", "status": 400}, "Bad Request", id="RFC 9457"),
        pytest.param({"error": "invalid_request", "message": "it is bad"}, "it is bad", id="a sentence beside a word"),
        pytest.param({"error": "invalid_grant", "error_description": "it is bad"}, "it is bad", id="OAuth"),
        pytest.param({"error": "invalid_request", "message": "bad"}, "invalid_request", id="a word beside a word"),
        pytest.param({"error": "invalid_request", "message": 5}, "invalid_request", id="a number beside a word"),
        pytest.param({"error": {"message": "<400> InternalError: bad"}}, "<400> InternalError: bad", id="DashScope"),
        pytest.param("<3 bad", "<3 bad", id="no tag"),
        pytest.param("<nil> pointer", "<nil> pointer", id="a word in the brackets of a tag"),
        pytest.param("<x>bad</x>", "", id="a tag that is closed"),
        pytest.param({"error": {"message": "bad", "param": "x is too large"}}, "bad: x is too large", id="Xiaomi"),
        pytest.param({"error": {"message": "bad", "param": "x"}}, "bad", id="the name of a parameter"),
        pytest.param(
            {"error": {"message": "bad", "param": [{"path": ["x", 0], "message": "is odd"}]}}, "bad: x.0: is odd", id="zod"
        ),
        pytest.param({"error": {"message": "it failed", "cause": '{"msg": "x"}'}}, "it failed: x", id="a cause"),
        pytest.param({"error": {"message": "it failed", "details": "{broken"}}, "it failed", id="a detail that is no JSON"),
        pytest.param({"error": {"message": "x it failed", "details": '{"msg": "x"}'}}, "x it failed", id="said already"),
        pytest.param({"ResponseMetadata": {"Error": {"Code": "X", "Message": "bad"}}}, "bad", id="Volcengine"),
        pytest.param({"Response": {"Error": {"Code": "X", "Message": "bad"}}}, "bad", id="Tencent"),
        pytest.param({"errors": [{"key": "x", "description": "bad"}]}, "bad", id="Writer"),
        pytest.param("<br/>bad", "", id="a tag"),
        pytest.param("<?xml version='1.0'?><Error><Message> bad </Message></Error>", "bad", id="XML"),
        *[pytest.param(json.loads(body), "", id=body) for body in ("null", "5", "true", '""', "{}", "[]", '{"error":{}}')],
        pytest.param('{"x":1}', "", id="JSON as text, without a message"),
        pytest.param("x" * 3000, "x" * 2000, id="long text"),
        pytest.param(["x" * 1500, "y" * 1500], "x" * 1500 + "; " + "y" * 498, id="long list"),
    ],
)
def test_the_message_is_found(body: Any, text: str) -> None:
    assert error_text(body) == text


_BODIES = st.recursive(
    st.none() | st.integers() | st.text() | st.just('{"error":"x"}'),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["error", "message", "detail", "x"]), inner),
)


@given(_BODIES)
def test_any_body_gives_a_text_that_is_not_too_long(body: Any) -> None:
    assert len(error_text(body)) <= 2000


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("<html><head><title> 502\n Bad Gateway </title></head></html>", "502 Bad Gateway"),
        ("<!DOCTYPE html><body><h1 class=x>Sign in</h1>", "Sign in"),
        ("<html></html>", ""),
    ],
)
def test_a_page_has_a_title(text: str, title: str) -> None:
    assert is_markup(text)
    assert page_title(text) == title
