"""Anthropic's requests become the arguments of a chat completion."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.schemas.anthropic import MessagesRequest, parse_messages_request
from ollama_openai_proxy.schemas.ollama.json_encoding import encode_json
from ollama_openai_proxy.translate.anthropic.request import (
    IMAGE_TOKENS,
    chat_parameters,
    count_tokens,
    tool_names,
    turns,
    wanted_thinking,
)
from ollama_openai_proxy.translate.ollama_descriptions import read_model
from ollama_openai_proxy.translate.opaque_state import encode_state
from ollama_openai_proxy.translate.server_profiles import PROFILES, ProfileName

from tests.standins._openai_params import complaint

MODEL = replace(read_model({"id": "alias"}, 0), target="m")
STREAMED = {"stream": True, "stream_options": {"include_usage": True}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
PNG = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
PNG_PART = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
PDF = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
PDF_PART = {"type": "file", "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}}
FILE = {"type": "file", "file_id": "f"}


def asking(*messages: dict[str, Any], **fields: Any) -> MessagesRequest:
    body = {"model": "alias", "max_tokens": 9, "messages": messages or [user("Hi")]}
    return parse_messages_request(encode_json(body | fields))


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content[0] if len(content) == 1 and isinstance(content[0], str) else content}


def assistant(*content: Any) -> dict[str, Any]:
    return user(*content) | {"role": "assistant"}


def system(*content: Any) -> dict[str, Any]:
    return user(*content) | {"role": "system"}


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def use(call_id: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": "f", "input": arguments}


def result(call_id: str, content: Any = None, **fields: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call_id, "content": content, **fields}


def called(*call_ids: str, content: str = "", arguments: str = "{}") -> dict[str, Any]:
    """A message of the back end's with calls."""
    calls = [{"id": i, "type": "function", "function": {"name": "f", "arguments": arguments}} for i in call_ids]
    return {"role": "assistant", "content": content, "tool_calls": calls}


def answered(call_id: str, content: str = "") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def sent(asked: MessagesRequest, profile: ProfileName = "generic", **model: Any) -> dict[str, Any]:
    """What goes to the back end, checked against the types of OpenAI's SDK where the profile has nothing of its own."""
    parameters = chat_parameters(asked, replace(MODEL, **model), PROFILES[profile])
    if profile in ("generic", "openai"):
        assert complaint("chat/completions", json.dumps(parameters).encode(), stream=True) is None
    return parameters


def further(profile: ProfileName = "generic", **fields: Any) -> dict[str, Any]:
    """What a request sends beside its model, its messages, its limit and that it is streamed."""
    parameters = sent(asking(**fields), profile)
    always = {"model", "messages", PROFILES[profile].token_limit, *STREAMED}
    return {name: value for name, value in parameters.items() if name not in always}


def conversation(*messages: dict[str, Any]) -> Any:
    return sent(asking(*messages))["messages"]


# ── the call


def test_the_least_request_is_a_streamed_call_of_the_back_ends_own_model() -> None:
    messages = [{"role": "user", "content": "Hi"}]
    assert sent(asking()) == {"model": "m", "messages": messages, "max_tokens": 9, **STREAMED}


def test_a_back_end_that_does_not_take_stream_options_gets_none() -> None:
    parameters = chat_parameters(asking(), MODEL, replace(PROFILES["generic"], stream_options=False))
    assert parameters["stream"] is True
    assert "stream_options" not in parameters


@pytest.mark.parametrize(
    ("profile", "fields", "expected"),
    [
        ("generic", {"temperature": 0, "top_p": 0.5}, {"temperature": 0, "top_p": 0.5}),
        ("generic", {"top_k": 5}, {}),
        ("vllm", {"top_k": 5}, {"top_k": 5}),
        ("generic", {"stop_sequences": []}, {}),
        ("generic", {"stop_sequences": ["</block>"]}, {"stop": ["</block>"]}),
        ("openai", {"stop_sequences": ["1", "2", "3", "4", "5"]}, {"stop": ["1", "2", "3", "4"]}),
        ("generic", {"metadata": {"user_id": "u"}, "service_tier": "auto"}, {}),
    ],
)
def test_options_are_sent_where_the_back_end_has_them(profile: ProfileName, fields: Any, expected: Any) -> None:
    assert further(profile, **fields) == expected


def test_the_limit_has_the_back_ends_name() -> None:
    assert sent(asking(), "openai")["max_completion_tokens"] == 9


def test_the_models_own_options_hold_where_the_request_sets_none() -> None:
    options = {"temperature": 0.1, "seed": 3, "num_predict": 5, "stop": ["x"]}
    parameters = sent(asking(temperature=0.9), options=options)
    assert (parameters["temperature"], parameters["seed"]) == (0.9, 3)
    assert (parameters["max_tokens"], parameters["stop"]) == (9, ["x"])


# ── the system prompt


@pytest.mark.parametrize(
    ("prompt", "messages", "expected"),
    [
        (None, [user("Hi")], "of the model"),
        ("", [user("Hi")], "of the model"),
        ("S", [user("Hi")], "S"),
        ([text("S"), text("T")], [user("Hi")], "S\nT"),
        (None, [system("S"), system(text("T")), user("Hi")], "S\nT"),
        ("S", [system("T"), user("Hi")], "S\nT"),
        ([text("x-anthropic-billing-header: cch=1;"), text("S")], [user("Hi")], "S"),
        ("x-anthropic-billing-header: cch=1;\nS", [user("Hi")], "S"),
    ],
)
def test_there_is_one_system_message_at_the_front(prompt: Any, messages: list[Any], expected: str) -> None:
    found = sent(asking(*messages, system=prompt), system="of the model")["messages"]
    assert found == [{"role": "system", "content": expected}, {"role": "user", "content": "Hi"}]


def test_a_later_system_message_is_a_reminder_to_the_user() -> None:
    found = conversation(user("Hi"), system("S"), assistant("Ho"), user("He"))
    assert [message["role"] for message in found] == ["user", "assistant", "user"]
    assert found[0]["content"] == "Hi\n\n<system-reminder>\nS\n</system-reminder>"


# ── messages


@pytest.mark.parametrize(
    ("blocks", "content"),
    [
        ([text("a"), text("b")], "a\nb"),
        ([text("")], ""),
        ([], ""),
        ([text("a"), {"type": "image", "source": PNG}, text("b")], [text("a"), PNG_PART, text("b")]),
        ([{"type": "image", "source": {"type": "url", "url": "u"}}], [{"type": "image_url", "image_url": {"url": "u"}}]),
        ([{"type": "document", "source": PDF}], [PDF_PART]),
        (
            [{"type": "document", "source": PDF, "title": "a.pdf", "context": "c"}],
            [text("c"), {"type": "file", "file": PDF_PART["file"] | {"filename": "a.pdf"}}],  # type: ignore[operator]
        ),
        ([{"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a"}}], "a"),
        ([{"type": "document", "source": {"type": "text", "data": "a"}, "title": "t", "context": "c"}], "t\nc\na"),
        ([{"type": "document", "source": {"type": "url", "url": "u"}, "title": "t"}], "t\nu"),
        ([{"type": "document", "source": {"type": "content", "content": "a"}}], "a"),
        (
            [{"type": "document", "source": {"type": "content", "content": [{"type": "image", "source": PNG}]}, "title": "t"}],
            [text("t"), PNG_PART],
        ),
        ([{"type": "search_result", "source": "s", "title": "t", "content": [text("a"), text("b")]}], "t\ns\na\nb"),
        ([{"type": "tool_reference", "tool_name": "f", "cache_control": {}}], '{"type": "tool_reference", "tool_name": "f"}'),
        ([{"type": "redacted_thinking", "data": "x"}, {"type": "thinking", "thinking": "x"}, use("t")], ""),
    ],
)
def test_what_a_user_sends_is_text_or_parts_in_the_same_order(blocks: list[Any], content: Any) -> None:
    assert conversation(user(*blocks)) == [{"role": "user", "content": content}]


@pytest.mark.parametrize("kind", ["image", "document"])
def test_a_file_that_lies_with_anthropic_is_refused(kind: str) -> None:
    asked = asking(user({"type": kind, "source": FILE}))
    for read in (count_tokens, turns):
        with pytest.raises(InvalidRequest, match="Files API"):
            read(asked)


@pytest.mark.parametrize(
    ("blocks", "content"),
    [
        ([text("a"), text("b")], "ab"),
        ([{"type": "thinking", "thinking": "x", "signature": "s"}, {"type": "redacted_thinking", "data": "x"}, text("a")], "a"),
        (
            [
                text("a"),
                {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
                {
                    "type": "web_search_tool_result",
                    "tool_use_id": "s",
                    "content": [{"type": "web_search_result", "url": "u", "title": "t", "encrypted_content": "x"}],
                },
                text("b"),
            ],
            'a\n{"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}}\n'
            '\n{"type": "web_search_tool_result", "tool_use_id": "s",'
            ' "content": [{"type": "web_search_result", "url": "u", "title": "t"}]}\nb',
        ),
    ],
)
def test_what_a_model_has_answered_is_one_text(blocks: list[Any], content: str) -> None:
    """Also as the last message, which the model then continues."""
    assert conversation(user("Hi"), assistant(*blocks))[1:] == [{"role": "assistant", "content": content}]


def test_a_message_of_the_model_that_says_nothing_is_left_out() -> None:
    empty = assistant({"type": "thinking", "thinking": "x", "signature": "s"}, {"type": "redacted_thinking", "data": "x"})
    assert conversation(user("a"), empty, assistant(""), user("b")) == [{"role": "user", "content": "a\n\nb"}]


def test_messages_of_one_role_in_a_row_are_one() -> None:
    found = conversation(user("a"), user(text("b")), assistant("c"), assistant("d"))
    assert found == [{"role": "user", "content": "a\n\nb"}, {"role": "assistant", "content": "c\n\nd"}]


# ── tools' results


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        pytest.param(
            [assistant(text("a"), use("A", x="é")), user(result("A", "r"))],
            [called("A", content="a", arguments='{"x": "é"}'), answered("A", "r")],
            id="a call and its result",
        ),
        pytest.param(
            [assistant(use("A"), use("B")), user(result("B", "b"), result("A", [text("a"), text("c")]), text("next"))],
            [called("A", "B"), answered("A", "a\nc"), answered("B", "b"), {"role": "user", "content": "next"}],
            id="in the order of the calls, the user's text behind them",
        ),
        pytest.param(
            [assistant(use("A")), assistant(use("B")), user(result("A", "a")), user(result("B", "b"))],
            [called("A", "B"), answered("A", "a"), answered("B", "b")],
            id="calls and results in messages of their own",
        ),
        pytest.param(
            [assistant(use("A")), user(result("A", "r")), system("S")],
            [called("A"), answered("A", "r"), {"role": "user", "content": "<system-reminder>\nS\n</system-reminder>"}],
            id="a reminder behind a result",
        ),
        pytest.param(
            [assistant(use("A"), use("B")), user(result("B"), text("a"))],
            [called("A", "B"), answered("A"), answered("B"), {"role": "user", "content": "a"}],
            id="no result, and an empty one",
        ),
        pytest.param([assistant(use("A"))], [called("A"), answered("A")], id="the call comes last"),
        pytest.param(
            [assistant("a"), user(result("A", "lost"), text("b"))],
            [{"role": "assistant", "content": "a"}, {"role": "user", "content": "lost\n\nb"}],
            id="a result without a call",
        ),
        pytest.param(
            [assistant(use("A")), user(result("A", "a"), result("A", "b"), result("B", "c"))],
            [called("A"), answered("A", "a"), {"role": "user", "content": "b\n\nc"}],
            id="more results than calls",
        ),
        pytest.param(
            [assistant(use("A"), use("A")), user(result("A", "a"), result("A", "a"))],
            [called("A", "A_1"), answered("A", "a"), answered("A_1", "a")],
            id="two calls with one id",
        ),
        pytest.param(
            [assistant(use("A")), user(result("A", "no such file", is_error=True))],
            [called("A"), answered("A", "The tool failed:\nno such file")],
            id="a failure",
        ),
        pytest.param(
            [assistant(use("A"), use("B")), user(result("A", [text("a"), {"type": "image", "source": PNG}]), result("B", "b"))],
            [called("A", "B"), answered("A", "a"), answered("B", "b"), {"role": "user", "content": [PNG_PART]}],
            id="a picture, behind all results",
        ),
        pytest.param(
            [assistant(use("A")), user(result("A", [{"type": "document", "source": PDF}]), text("what is it?"))],
            [called("A"), answered("A"), {"role": "user", "content": [PDF_PART, text("what is it?")]}],
            id="a document, before the user's text",
        ),
    ],
)
def test_each_call_is_answered_at_once(messages: list[Any], expected: list[Any]) -> None:
    assert conversation(user("Hi"), *messages)[1:] == expected


@pytest.mark.parametrize(("profile", "reasoning"), [("deepseek", "ab"), ("vllm", "ab"), ("openai", None)])
def test_the_reasoning_behind_a_call_goes_back_except_to_servers_that_refuse_it(
    profile: ProfileName, reasoning: str | None
) -> None:
    thinking = [{"type": "thinking", "thinking": piece, "signature": ""} for piece in "ab"]
    asked = asking(user("Hi"), assistant(*thinking, use("A")), user(result("A")), assistant(*thinking, text("c")))
    _, call, _, answer = sent(asked, profile)["messages"]
    assert call.get("reasoning_content") == reasoning
    assert answer == {"role": "assistant", "content": "c"}


def test_ids_are_shortened_where_they_must_be() -> None:
    _, call, answer = sent(asking(user("Hi"), assistant(use("toolu_0123456789")), user(result("toolu_0123456789"))), "mistral")[
        "messages"
    ]
    assert call["tool_calls"][0]["id"] == answer["tool_call_id"]
    assert len(answer["tool_call_id"]) == 9


# ── tools

TOOL = {"name": "f", "description": "d", "input_schema": SCHEMA, "cache_control": {"type": "ephemeral"}, "strict": True}
TOOLS = [{"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA}}]
WEB_SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 8}


@pytest.mark.parametrize(
    ("tools", "expected"),
    [
        ([TOOL], TOOLS),
        ([TOOL | {"type": "custom"}, WEB_SEARCH, {"type": "bash_20250124", "name": "bash"}], TOOLS),
        (
            [{"name": "g"}],
            [{"type": "function", "function": {"name": "g", "parameters": {"type": "object", "properties": {}}}}],
        ),
    ],
)
def test_the_clients_own_tools_are_sent(tools: list[Any], expected: list[Any]) -> None:
    assert further(tools=tools) == {"tools": expected}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, {}),
        ({"type": "any"}, {"tool_choice": "required"}),
        ({"type": "none"}, {"tool_choice": "none"}),
        ({"type": "tool", "name": "f"}, {"tool_choice": {"type": "function", "function": {"name": "f"}}}),
        ({"type": "tool", "name": "web_search"}, {}),
        ({"type": "any", "disable_parallel_tool_use": True}, {"tool_choice": "required", "parallel_tool_calls": False}),
        ({"type": "auto", "disable_parallel_tool_use": True}, {"parallel_tool_calls": False}),
    ],
)
def test_a_choice_of_tools_is_put_in_openais_words(choice: dict[str, Any], expected: dict[str, Any]) -> None:
    assert further(tools=[TOOL, WEB_SEARCH], tool_choice=choice) == {"tools": TOOLS, **expected}


def test_there_is_no_choice_where_no_tool_is_left() -> None:
    choice = {"type": "tool", "name": "web_search", "disable_parallel_tool_use": True}
    assert further(tools=[WEB_SEARCH], tool_choice=choice) == {}


# ── thinking


@pytest.mark.parametrize(
    ("fields", "think"),
    [
        ({}, None),
        ({"thinking": {"type": "disabled"}}, False),
        ({"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}}, False),
        ({"thinking": {"type": "adaptive"}}, True),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}}, "medium"),
        ({"thinking": {"type": "enabled"}}, True),
        *(({"thinking": {"type": "enabled", "budget_tokens": n}}, "low") for n in (1024, 4000, 4096)),
        *(({"thinking": {"type": "enabled", "budget_tokens": n}}, "medium") for n in (4097, 10000, 16384)),
        *(({"thinking": {"type": "enabled", "budget_tokens": n}}, "high") for n in (16385, 31999)),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}, "output_config": {"effort": "max"}}, "low"),
        *(({"output_config": {"effort": level}}, level) for level in ("low", "medium", "high", "max")),
        *(({"output_config": {"effort": level}}, nearest) for level, nearest in (("minimal", "low"), ("xhigh", "high"))),
        ({"output_config": {"effort": "unheard of"}}, None),
    ],
)
def test_what_is_said_of_thinking_stands_for_a_think(fields: dict[str, Any], think: Any) -> None:
    assert wanted_thinking(asking(**fields)) == think


@pytest.mark.parametrize(
    ("profile", "thinking", "expected"),
    [
        ("openai", {"type": "disabled"}, {"reasoning_effort": "none"}),
        ("openai", {"type": "enabled", "budget_tokens": 1024}, {"reasoning_effort": "low"}),
        ("generic", {"type": "disabled"}, {"reasoning_effort": "none"}),
        ("llamacpp", {"type": "disabled"}, {"chat_template_kwargs": {"enable_thinking": False}}),
    ],
)
def test_thinking_is_said_in_the_back_ends_way(profile: ProfileName, thinking: Any, expected: dict[str, Any]) -> None:
    assert further(profile, thinking=thinking) == expected


# ── the form of the answer

FORM = {"type": "json_schema", "schema": SCHEMA}
RESPONSE_FORMAT = {"type": "json_schema", "json_schema": {"name": "schema", "schema": SCHEMA}}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"output_config": {"format": FORM}}, {"response_format": RESPONSE_FORMAT}),
        ({"output_format": FORM}, {"response_format": RESPONSE_FORMAT}),
        ({"output_config": {"format": {"type": "unheard of"}}}, {}),
    ],
)
def test_a_schema_for_the_answer_is_sent_as_openai_has_it(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    assert further(**fields) == expected


def test_a_back_end_that_takes_no_schema_is_told_it_in_the_system_prompt() -> None:
    parameters = sent(asking(system="S", output_format=FORM), "deepseek")
    assert parameters["response_format"] == {"type": "json_object"}
    prompt = f"S\n\nAnswer with a JSON object that fits this JSON schema: {json.dumps(SCHEMA)}"
    assert parameters["messages"] == [{"role": "system", "content": prompt}, {"role": "user", "content": "Hi"}]


# ── counting


@pytest.mark.parametrize(
    ("asked", "tokens"),
    [
        (asking(user("")), 1),
        (asking(user("12345")), 2),
        (asking(user("1234"), system="1234"), 2),
        (asking(user("1234"), assistant(use("A", n=1)), user(result("A", "12345678"))), 6),
        (asking(user("1234"), tools=[WEB_SEARCH]), 1),
        (asking(user("1234"), tools=[TOOL]), 1 + -(-len(json.dumps(TOOLS)) // 4)),
        (asking(user(text("1234"), {"type": "image", "source": PNG})), 1 + IMAGE_TOKENS),
        (asking(user({"type": "document", "source": PDF | {"data": "A" * 120_000}})), 3 * IMAGE_TOKENS),
    ],
)
def test_tokens_are_counted_by_the_characters(asked: MessagesRequest, tokens: int) -> None:
    assert count_tokens(asked) == tokens


# ── anything at all

IDS = st.sampled_from("ABC")
TEXTS = st.text(max_size=3).map(text)
IMAGES = st.just({"type": "image", "source": PNG})
BLOCKS = st.lists(
    TEXTS | IMAGES | IDS.map(use) | st.builds(result, IDS, st.lists(TEXTS | IMAGES, max_size=2), is_error=st.booleans()),
    max_size=5,
)
MESSAGES = st.builds(lambda role, blocks: role(*blocks), st.sampled_from([user, assistant, system]), BLOCKS)


@given(st.lists(MESSAGES, min_size=1, max_size=6))
def test_any_conversation_is_one_that_openai_takes(messages: list[Any]) -> None:
    found = conversation(*messages)
    assert all(message["role"] != "system" for message in found[1:])
    due: list[str] = []
    previous = ""
    for message in found:
        role = message["role"]
        if role == "tool":
            assert message["tool_call_id"] == due.pop(0)
        else:
            assert not due
            assert role != previous
            due = [call["id"] for call in message.get("tool_calls", ())]
        previous = role
    assert not due


def test_a_name_that_servers_refuse_is_mapped_in_tools_choice_and_history() -> None:
    asked = asking(
        user("Hi"),
        assistant(use("A") | {"name": "files.read"}),
        user(result("A")),
        tools=[{"name": "files.read", "input_schema": {}}],
        tool_choice={"type": "tool", "name": "files.read"},
    )
    parameters = sent(asked)
    assert parameters["tools"][0]["function"]["name"] == "files_read"
    assert parameters["tool_choice"] == {"type": "function", "function": {"name": "files_read"}}
    assert parameters["messages"][1]["tool_calls"][0]["function"]["name"] == "files_read"
    assert tool_names(asked).original("files_read") == "files.read"


def test_the_state_in_a_signature_goes_back_with_its_message() -> None:
    details = [{"type": "reasoning.encrypted", "data": "x"}]
    thinking = {"type": "thinking", "thinking": "hm", "signature": encode_state({"reasoning_details": details})}
    _, called, _ = sent(asking(user("Hi"), assistant(thinking, use("A")), user(result("A"))), "openrouter")["messages"]
    assert called["reasoning_details"] == details
