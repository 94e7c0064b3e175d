"""The items of a conversation become messages in the order that chat completions demand."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.schemas.openai_responses import Item
from ollama_openai_proxy.translate.conversation_normalizer import UNRECORDED_REASONING, chat_messages
from ollama_openai_proxy.translate.opaque_state import encode_state
from ollama_openai_proxy.translate.openai_responses.compaction import seal_summary, summary_message
from ollama_openai_proxy.translate.openai_responses.input_items import turns
from ollama_openai_proxy.translate.server_profiles import PROFILES, ProfileName
from ollama_openai_proxy.translate.tool_names import ToolNames

IMAGE = {"type": "input_image", "image_url": "data:x"}
CHAT_IMAGE = {"type": "image_url", "image_url": {"url": "data:x"}}


def messages(*items: dict[str, Any], profile: ProfileName = "generic") -> list[dict[str, Any]]:
    made = turns([Item.model_validate(item) for item in items])
    return chat_messages(made, PROFILES[profile], ToolNames(), by_id_only=True)


def said(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


def call(call_id: str, name: str = "f", arguments: str = "{}") -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}


def output(call_id: str, text: Any = "done", kind: str = "function_call_output") -> dict[str, Any]:
    return {"type": kind, "call_id": call_id, "output": text}


def reasoning(*texts: str) -> dict[str, Any]:
    return {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": text} for text in texts]}


def calling(*calls: tuple[str, str, str], content: str = "") -> dict[str, Any]:
    made = [{"id": i, "type": "function", "function": {"name": n, "arguments": a}} for i, n, a in calls]
    return {"role": "assistant", "content": content, "tool_calls": made}


def answered(call_id: str, content: str = "done") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


# ── messages


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (said("user", "a"), said("user", "a")),
        ({"type": "message", **said("user", [{"type": "input_text", "text": "a"}])}, said("user", "a")),
        (
            said("assistant", [{"type": "output_text", "text": "a"}, {"type": "output_text", "text": "b"}]),
            said("assistant", "ab"),
        ),
        (said("assistant", [{"type": "refusal", "refusal": "no"}]), said("assistant", "no")),
        (said("system", "a"), said("system", "a")),
        (said("developer", [{"type": "input_text", "text": x} for x in "ab"]), said("system", "a\nb")),
        (said("critic", "a"), said("user", "a")),
        ({"content": "a"}, said("user", "a")),
        ({"type": "agent_message", **said("assistant", "a")}, said("assistant", "a")),
        (
            {
                "type": "agent_message",
                "author": "/root/a",
                "recipient": "/root",
                "content": [{"type": "input_text", "text": "a"}, {"type": "encrypted_content", "encrypted_content": "x"}],
            },
            said("user", "a"),
        ),
        (said("user", [IMAGE, {"type": "encrypted_content", "encrypted_content": "x"}]), said("user", [CHAT_IMAGE])),
        (said("assistant", [{"type": "output_text", "text": "a"}, {"type": "encrypted_content"}]), said("assistant", "a")),
        (said("user", [IMAGE]), said("user", [CHAT_IMAGE])),
    ],
)
def test_a_message_keeps_its_role_and_content(item: dict[str, Any], message: dict[str, Any]) -> None:
    assert messages(item) == [message]


@pytest.mark.parametrize("role", ["assistant", "system"])
def test_an_image_of_another_role_becomes_the_users(role: str) -> None:
    text = {"type": "input_text", "text": "a"}
    assert messages(said(role, [text, IMAGE]), said("user", "b"), call("1")) == [
        said(role, "a"),
        said("user", [CHAT_IMAGE, {"type": "text", "text": "b"}]),
        calling(("1", "f", "{}")),
        answered("1", ""),
    ]


def test_an_empty_message_of_the_model_is_left_out() -> None:
    assert messages(said("user", "a"), said("assistant", ""), said("user", "b")) == [said("user", "a\n\nb")]


@pytest.mark.parametrize(
    "item",
    [
        {"type": "web_search_call", "id": "ws", "status": "completed", "action": {"type": "search", "query": "q"}},
        {"type": "image_generation_call", "id": "ig", "result": "AA=="},
        {"type": "mcp_list_tools", "id": "l", "server_label": "s", "tools": [{"name": "t", "input_schema": {}}]},
        {"type": "tool_search_call", "execution": "server", "call_id": None, "arguments": {"q": 1}},
        {"type": "tool_search_output", "execution": "server", "call_id": None, "tools": []},
        {"type": "compaction_trigger"},
        {"type": "additional_tools", "role": "developer", "tools": []},
        {"type": "ghost_snapshot"},
    ],
    ids=lambda item: item["type"],
)
def test_records_of_what_a_server_did_are_left_out(item: dict[str, Any]) -> None:
    assert messages(item) == []


@pytest.mark.parametrize("kind", ["item_reference", "compaction", "context_compaction", "compaction_summary"])
def test_what_only_another_server_can_read_is_refused(kind: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        messages(said("user", "a"), {"type": kind, "id": "x", "encrypted_content": "gAAA"})
    assert caught.value.message.startswith('"input[1]" ')
    assert "server" in caught.value.message


def test_a_summary_that_was_made_here_is_a_message_of_the_user() -> None:
    item = {"type": "compaction", "encrypted_content": seal_summary("all of it")}
    assert messages(reasoning("old"), item, said("assistant", "on")) == [
        said("user", summary_message("all of it")),
        said("assistant", "on"),
    ]


@pytest.mark.parametrize(
    ("tools", "found"),
    [
        ([], "No tools were found."),
        ([{"type": "function", "name": "a"}], "These tools can be called now: a"),
        (
            [{"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "b"}]}, {"name": "a"}],
            "These tools can be called now: n__b, a",
        ),
    ],
)
def test_a_search_for_tools_is_a_call_with_its_result(tools: list[dict[str, Any]], found: str) -> None:
    search = {"type": "tool_search_call", "execution": "client", "call_id": "ts", "arguments": {"query": "x"}}
    result = {"type": "tool_search_output", "execution": "client", "call_id": "ts", "tools": tools}
    assert messages(search, result) == [calling(("ts", "tool_search", '{"query":"x"}')), answered("ts", found)]


def test_a_part_that_cannot_be_had_is_named_with_its_place() -> None:
    for items in (
        [said("user", "a"), said("user", [{"type": "hologram"}])],
        [call("1"), output("1", [{"type": "hologram"}])],
    ):
        with pytest.raises(InvalidRequest, match=r'"input\[1\]\.(content|output)\[0\]" is of a type'):
            messages(*items)


# ── calls


def test_calls_that_stand_together_are_one_message_and_each_is_answered() -> None:
    assert messages(call("1"), call("2", "g", '{"a": 1}'), output("2", "two"), output("1", "one"), said("user", "go on")) == [
        calling(("1", "f", "{}"), ("2", "g", '{"a": 1}')),
        answered("1", "one"),
        answered("2", "two"),
        said("user", "go on"),
    ]


def test_a_call_joins_the_text_before_it() -> None:
    assert messages(said("assistant", "I look."), call("1"), output("1"))[0] == calling(("1", "f", "{}"), content="I look.")


def test_a_call_after_an_output_is_a_turn_of_its_own() -> None:
    assert messages(call("1"), output("1"), call("2"), output("2")) == [
        calling(("1", "f", "{}")),
        answered("1"),
        calling(("2", "f", "{}")),
        answered("2"),
    ]


def test_a_call_is_answered_also_where_its_output_comes_late_or_never() -> None:
    assert messages(call("1"), call("2"), said("user", "wait"), output("1")) == [
        calling(("1", "f", "{}"), ("2", "f", "{}")),
        answered("1"),
        answered("2", ""),
        said("user", "wait"),
    ]


def test_the_output_of_a_call_that_nobody_made_is_the_users_text() -> None:
    assert messages(output("9", "news"), output("9", "more")) == [said("user", "news\n\nmore")]


def test_equal_ids_are_told_apart() -> None:
    same = [call("1"), call("1"), output("1", "a"), output("1", "b")]
    assert messages(*same) == [calling(("1", "f", "{}"), ("1_1", "f", "{}")), answered("1", "a"), answered("1_1", "b")]
    again = [call("1"), output("1", "a"), call("1"), output("1", "b")]
    assert messages(*again) == [
        calling(("1", "f", "{}")),
        answered("1", "a"),
        calling(("1_1", "f", "{}")),
        answered("1_1", "b"),
    ]


def test_a_call_without_an_id_gets_one_of_its_place() -> None:
    assert messages(said("user", "a"), {"type": "function_call", "name": "f"})[1:] == [
        calling(("call_00000000", "f", "{}")),
        answered("call_00000000", ""),
    ]


def test_images_in_outputs_follow_all_the_answers() -> None:
    pictured = [{"type": "input_text", "text": "see"}, IMAGE]
    assert messages(call("1"), call("2"), output("1", pictured), output("2")) == [
        calling(("1", "f", "{}"), ("2", "f", "{}")),
        answered("1", "see"),
        answered("2"),
        said("user", [CHAT_IMAGE]),
    ]


@pytest.mark.parametrize(
    ("item", "made", "kind"),
    [
        ({"type": "function_call", "name": "f", "namespace": "n"}, ("n__f", "{}"), "function_call_output"),
        ({"type": "function_call", "name": "f", "arguments": " "}, ("f", "{}"), "function_call_output"),
        ({"type": "custom_tool_call", "name": "p", "input": 'ä"'}, ("p", '{"input": "ä\\""}'), "custom_tool_call_output"),
        ({"type": "local_shell_call", "action": {"a": 1}}, ("local_shell", '{"a": 1}'), "local_shell_call_output"),
        ({"type": "shell_call", "action": {"a": 1}}, ("shell", '{"a": 1}'), "shell_call_output"),
        ({"type": "apply_patch_call", "operation": {"a": 1}}, ("apply_patch", '{"a": 1}'), "apply_patch_call_output"),
    ],
)
def test_calls_of_other_tools_are_calls_of_functions(item: dict[str, Any], made: tuple[str, str], kind: str) -> None:
    assert messages({**item, "call_id": "1"}, output("1", kind=kind)) == [calling(("1", *made)), answered("1")]


def test_a_local_shells_output_names_its_call_by_id() -> None:
    shell = {"type": "local_shell_call", "id": "lsh", "call_id": "1", "action": {"a": 1}}
    assert messages(shell, {"type": "local_shell_call_output", "id": "1", "output": "done"})[1] == answered("1")


def test_a_call_that_ran_on_a_server_has_its_output_in_it() -> None:
    ran = {"type": "mcp_call", "id": "mcp_1", "name": "t", "arguments": '{"a": 1}', "output": "done", "server_label": "s"}
    assert messages(ran) == [calling(("mcp_1", "t", '{"a": 1}')), answered("mcp_1")]
    assert messages({**ran, "id": ""}) == [calling(("mcp_0", "t", '{"a": 1}')), answered("mcp_0")]


# ── reasoning


def test_the_reasoning_behind_calls_goes_back_except_to_servers_that_refuse_it() -> None:
    items = [reasoning("hm", "ha"), said("assistant", "a"), reasoning("so"), call("1"), output("1")]
    assert "reasoning_content" not in messages(*items, profile="openai")[0]
    for profile in ("generic", "deepseek"):
        assert messages(*items, profile=profile)[0]["reasoning_content"] == "hm\n\nha\n\nso"


def test_reasoning_belongs_to_the_calls_after_it() -> None:
    content = {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "so"}]}
    sent = messages(call("1"), output("1"), content, call("2"), output("2"), profile="deepseek")
    assert [message.get("reasoning_content") for message in sent] == [UNRECORDED_REASONING, None, "so", None]


def test_reasoning_that_led_to_no_call_is_dropped() -> None:
    items = [reasoning("hm"), said("user", "a"), reasoning("ha"), said("assistant", "b")]
    assert messages(*items, profile="deepseek") == [said("user", "a"), said("assistant", "b")]


def test_the_state_in_a_reasoning_item_goes_back_with_its_message() -> None:
    details = [{"type": "reasoning.encrypted", "data": "x"}]
    item = reasoning("hm") | {"encrypted_content": encode_state({"reasoning_details": details})}
    assert messages(item, call("1"), output("1"))[0]["reasoning_details"] == details
    assert messages(reasoning("hm") | {"encrypted_content": "hm"}, call("1"))[0].get("reasoning_details") is None


# ── the whole


ITEMS = st.one_of(
    st.builds(said, st.sampled_from(["user", "assistant", "system"]), st.sampled_from(["", "a"])),
    st.builds(call, st.sampled_from("12")),
    st.builds(output, st.sampled_from("12")),
    st.builds(reasoning, st.sampled_from(["", "hm"])),
)


@given(st.lists(ITEMS, max_size=12))
def test_every_call_is_answered_right_after_its_message(items: list[dict[str, Any]]) -> None:
    waiting: list[str] = []
    for message in messages(*items):
        if message["role"] == "tool":
            assert message["tool_call_id"] == waiting.pop(0)
        else:
            assert not waiting
            waiting = [made["id"] for made in message.get("tool_calls", ())]
            assert len(set(waiting)) == len(waiting)
            assert message["content"] or message["role"] != "assistant" or waiting
    assert not waiting


def test_system_messages_are_joined_wherever_they_stand() -> None:
    sent = messages(said("system", "a"), said("developer", "b"), said("user", "c"), said("system", "d"))
    assert sent == [said("system", "a\n\nb\n\nd"), said("user", "c")]
