"""What servers really send, one row for each kind, and what must come of it.

The rows are tested, and docs/compatibility.md lists them. Each body is a small one of the project's own; `seen` names the
servers, or public reports.
"""

# texts of servers, each in one line

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.unit.translate.reader.bodies import called, chunk, fragment, said, sse, whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.unit.translate.reader.bodies import Brief

PARIS = {"city": "Paris"}
ROME = {"city": "Rome"}
TOOLS = {
    "get_weather": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}},
    "get_time": {"type": "object", "properties": {}},
}
PARIS_CALL = ("call", "get_weather", PARIS)
ROME_CALL = ("call", "get_weather", ROME)
TIME_CALL: Brief = ("call", "get_time", {})
CALLS = ("finish", "tool_calls")
STOP = ("finish", "stop")
LENGTH = ("finish", "length")


@dataclass(frozen=True, slots=True)
class Row:
    """One kind.

    Attributes:
        group: the heading under which the documentation lists the row.
        sends: what servers send.
        seen: with which servers or where it was reported.
        gets: what clients get.
        body: an example.
        brief: what comes of the example.
        framed: whether HTTP's framing marks the end of the body.
        options: further arguments of the reader.
    """

    group: str
    sends: str
    seen: str
    gets: str
    body: bytes
    brief: tuple[Brief, ...]
    framed: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)


def _js(value: Any) -> bytes:
    return json.dumps(value).encode()


def _call(name: str, arguments: Any, **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "arguments": arguments}, **more}


ARGUMENTS = "Arguments of tool calls"
IDENTITY = "Which call a fragment belongs to"
WRITTEN = "Tool calls written as text"
ENDS = "How an answer ends"
ERRORS = "Errors that look like answers"
CONTENT = "Content and thinking"
FRAMING = "Types and framing"

_ONE_CALL = "one call with its arguments"
_TWO_CALLS = "two calls"

ROWS: tuple[Row, ...] = (
    # -- arguments
    Row(
        ARGUMENTS,
        "pieces of the arguments, one in each chunk",
        "OpenAI and most servers",
        "the pieces at once, where the client's API streams them",
        called(fragment(0, "get_weather", "", "a"), fragment(0, arguments='{"ci'), fragment(0, arguments='ty": "Paris"}')),
        (PARIS_CALL, CALLS),
    ),
    Row(
        ARGUMENTS,
        '`{}`, `""` or `null` first, then the arguments',
        "openai-agents-js#712, autogen#7549",
        "the arguments alone",
        called(fragment(0, "get_weather", "{}", "a"), fragment(0, arguments='{"city":'), fragment(0, arguments=' "Paris"}')),
        (PARIS_CALL, CALLS),
    ),
    Row(
        ARGUMENTS,
        "the whole arguments once more behind their pieces",
        "cogito#66; LM Studio, Groq",
        _ONE_CALL,
        called(
            fragment(0, "get_weather", '{"city":', "a"),
            fragment(0, arguments=' "Paris"}'),
            fragment(0, "get_weather", '{"city":"Paris"}', "a"),
        ),
        (PARIS_CALL, CALLS),
    ),
    Row(
        ARGUMENTS,
        "all so far, and more, in each chunk",
        "gateways that join chunks",
        _ONE_CALL,
        called(
            fragment(0, "get_weather", '{"city', "a"),
            fragment(0, arguments='{"city": "Pa'),
            fragment(0, arguments='{"city": "Paris"}'),
        ),
        (PARIS_CALL, CALLS),
    ),
    Row(
        ARGUMENTS,
        "raw line breaks and tabs within a string",
        "kimi-cli#1378, omlx#1672, prism#937",
        "the same characters, escaped",
        called(fragment(0, "get_weather", '{"city": "Pa\n\tris"}', "a")),
        (("call", "get_weather", {"city": "Pa\n\tris"}), CALLS),
    ),
    Row(
        ARGUMENTS,
        "backslashes that escape nothing",
        "models that write paths and expressions",
        "the backslash",
        called(fragment(0, "get_weather", r'{"city": "C:\users\d \'"}', "a")),
        (("call", "get_weather", {"city": r"C:\users\d '"}), CALLS),
    ),
    Row(
        ARGUMENTS,
        "a string that holds the object",
        "vllm#54964, quarkus-langchain4j#2642",
        "the object",
        called(fragment(0, "get_weather", '"{\\"city\\": ', "a"), fragment(0, arguments='\\"Paris\\"}"')),
        (PARIS_CALL, CALLS),
    ),
    Row(
        ARGUMENTS,
        "an object instead of a string",
        "oh-my-pi#1779",
        "the object",
        called(fragment(0, "get_weather", PARIS, "a")),
        (PARIS_CALL, CALLS),
    ),
    Row(
        ARGUMENTS,
        "nothing, `null`, or an empty list",
        "many, for tools without parameters",
        "an empty object",
        called(fragment(0, "get_time", "", "a"), fragment(1, "get_time", "null", "b"), fragment(2, "get_time", "[]", "c")),
        (TIME_CALL, TIME_CALL, TIME_CALL, CALLS),
    ),
    Row(
        ARGUMENTS,
        "Python's notation",
        "small models behind llama-cpp-python and vLLM",
        "the object",
        called(fragment(0, "get_weather", "{'city': 'Paris', 'days': None,}", "a")),
        (("call", "get_weather", PARIS | {"days": None}), CALLS),
    ),
    Row(
        ARGUMENTS,
        "a comma behind the last value",
        "small models",
        "the object",
        called(fragment(0, "get_weather", '{"city": "Paris"', "a"), fragment(0, arguments=", "), fragment(0, arguments="}")),
        (PARIS_CALL, CALLS),
    ),
    Row(
        ARGUMENTS,
        "the object in a fence, or alone in a list",
        "small models",
        "the object",
        called(
            fragment(0, "get_weather", '```json\n{"city": "Paris"}\n```', "a"),
            fragment(1, "get_weather", '[{"city": "Rome"}]', "b"),
        ),
        (PARIS_CALL, ROME_CALL, CALLS),
    ),
    Row(
        ARGUMENTS,
        "brackets left open though the server says that the answer is complete",
        "vLLM's streaming parsers",
        "the object, closed",
        called(fragment(0, "get_weather", '{"city": "Paris"', "a")),
        (PARIS_CALL, CALLS),
    ),
    Row(
        ARGUMENTS,
        "arguments cut by the limit of tokens",
        "CLIProxyAPI#5836",
        "the text before; no call on `/api/*`; an answer that ended at the limit",
        called({"content": "I will look."}, fragment(0, "get_weather", '{"city": "Par', "a"), finish="length"),
        (("text", "I will look."), ("call", "get_weather", None), LENGTH),
    ),
    Row(
        ARGUMENTS,
        "arguments that are no JSON beside those of another call",
        "small models",
        "the other call",
        called(fragment(0, "get_weather", "Paris, I think", "a"), fragment(1, "get_weather", '{"city": "Rome"}', "b")),
        (ROME_CALL, CALLS),
    ),
    Row(
        ARGUMENTS,
        "marks of a model's format, a prefix or a number at a tool's name",
        "vllm#32587; Kimi, gpt-oss",
        "the name",
        called(
            fragment(0, "get_weather<|channel|>commentary", '{"city": "Paris"}', "a"),
            fragment(1, "functions.get_time:1", "{}", "b"),
        ),
        (PARIS_CALL, TIME_CALL, CALLS),
    ),
    Row(
        ARGUMENTS,
        "a name spread over chunks, or repeated in each",
        "vllm#32587; Mistral's and Together's gateways",
        "the name once",
        called(
            fragment(0, "get_", "", "a"),
            fragment(0, "weather", ""),
            fragment(0, "get_weather", '{"city"'),
            fragment(0, "get_weather", ': "Paris"}'),
        ),
        (PARIS_CALL, CALLS),
    ),
    Row(
        ARGUMENTS,
        "the arguments under `parameters` or `input`",
        "gateways to Anthropic's API and others",
        _ONE_CALL,
        called({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "get_weather", "input": PARIS}}]}),
        (PARIS_CALL, CALLS),
    ),
    Row(
        ARGUMENTS,
        "a call without `function` around name and arguments, or `function_call`",
        "Cloudflare; servers older than tools",
        _ONE_CALL,
        called({"tool_calls": [{"name": "get_weather", "arguments": PARIS}]}),
        (PARIS_CALL, CALLS),
    ),
    # -- identity
    Row(
        IDENTITY,
        "fragments of two calls in turn",
        "OpenAI",
        "one call behind the other",
        called(
            fragment(0, "get_weather", "", "a"),
            fragment(1, "get_weather", "", "b"),
            fragment(1, arguments='{"city": "Ro'),
            fragment(0, arguments='{"city": "Paris"}'),
            fragment(1, arguments='me"}'),
        ),
        (PARIS_CALL, ROME_CALL, CALLS),
    ),
    Row(
        IDENTITY,
        "index 0 for each call",
        "lmdeploy#3412",
        _TWO_CALLS,
        called(
            fragment(0, "get_weather", "", "a"),
            fragment(0, arguments='{"city": "Paris"}', call_id=""),
            fragment(0, "get_weather", "", "b"),
            fragment(0, arguments='{"city": "Rome"}', call_id=""),
        ),
        (PARIS_CALL, ROME_CALL, CALLS),
    ),
    Row(
        IDENTITY,
        "no index, no id",
        "vllm#18412, vllm#31438",
        "two calls, with ids of the proxy's own",
        called(
            fragment(None, "get_weather", '{"city"'),
            fragment(None, arguments=': "Paris"}'),
            fragment(None, "get_weather", '{"city": "Rome"}'),
        ),
        (PARIS_CALL, ROME_CALL, CALLS),
    ),
    Row(
        IDENTITY,
        "indexes from 1",
        "litellm#11407",
        _ONE_CALL,
        called(fragment(1, "get_weather", "", "a"), fragment(1, arguments='{"city": "Paris"}')),
        (PARIS_CALL, CALLS),
    ),
    Row(
        IDENTITY,
        "a new id with each fragment of one call",
        "pool#9, vllm#23522",
        _ONE_CALL,
        called(
            fragment(0, "get_weather", "", "a"),
            fragment(0, arguments='{"city":', call_id="b"),
            fragment(0, arguments=' "Paris"}', call_id="c"),
        ),
        (PARIS_CALL, CALLS),
    ),
    Row(
        IDENTITY,
        "one id for parallel calls",
        "nanobot#3943",
        "two calls, with different ids",
        called(fragment(0, "get_weather", '{"city": "Paris"}', "a"), fragment(1, "get_weather", '{"city": "Rome"}', "a")),
        (PARIS_CALL, ROME_CALL, CALLS),
    ),
    Row(
        IDENTITY,
        "one id and one index for calls of different names",
        "hass_local_openai_llm#92",
        "two calls, with different ids",
        called(fragment(0, "get_weather", '{"city": "Paris"}', "a"), fragment(0, "get_time", "{}", "a")),
        (PARIS_CALL, TIME_CALL, CALLS),
    ),
    Row(
        IDENTITY,
        "fragments of two calls in turn, told apart by their ids alone",
        "gateways without indexes",
        _TWO_CALLS,
        called(
            fragment(None, "get_weather", '{"city":', "a"),
            fragment(None, "get_weather", '{"city":', "b"),
            fragment(None, arguments=' "Paris"}', call_id="a"),
            fragment(None, arguments=' "Rome"}', call_id="b"),
        ),
        (PARIS_CALL, ROME_CALL, CALLS),
    ),
    Row(
        IDENTITY,
        "all calls in one message, without indexes",
        "servers that do not stream",
        _TWO_CALLS,
        whole(None, "tool_calls", tool_calls=[_call("get_weather", '{"city": "Paris"}'), _call("get_weather", PARIS)]),
        (PARIS_CALL, PARIS_CALL, CALLS),
    ),
    # -- calls as text
    Row(
        WRITTEN,
        "`<tool_call>` with an object",
        "Hermes, Qwen; llama-cpp-python, vLLM without a parser",
        _ONE_CALL,
        sse(
            *said("I look.\n<tool_", 'call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>'),
            chunk({}, "stop"),
        ),
        (("text", "I look.\n"), PARIS_CALL, CALLS),
    ),
    Row(
        WRITTEN,
        "`<function=NAME>` with parameters in tags",
        "Qwen Coder, Seed-OSS",
        _ONE_CALL,
        sse(
            *said(
                "<tool_call>\n<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n<parameter=days>\n3\n</parameter>\n",
                "</function>\n</tool_call>",
            ),
            chunk({}, "stop"),
        ),
        (("call", "get_weather", PARIS | {"days": 3}), CALLS),
    ),
    Row(
        WRITTEN,
        "`<invoke name=…>` with parameters in tags",
        "MiniMax, DeepSeek's DSML",
        _ONE_CALL,
        sse(
            *said(
                '<minimax:tool_call>\n<invoke name="get_weather">\n<parameter name="city">Paris</parameter>\n</invoke>\n',
                "</minimax:tool_call>",
            ),
            chunk({}, "stop"),
        ),
        (PARIS_CALL, CALLS),
    ),
    Row(
        WRITTEN,
        "a name with keys and values in tags",
        "GLM",
        _ONE_CALL,
        sse(
            *said("<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Paris</arg_value>\n</tool_call>"),
            chunk({}, "stop"),
        ),
        (PARIS_CALL, CALLS),
    ),
    Row(
        WRITTEN,
        "`[TOOL_CALLS]` before a list, or before names with arguments",
        "Mistral",
        _TWO_CALLS,
        sse(*said('[TOOL_CALLS]get_weather[ARGS]{"city": "Paris"}[TOOL_CALLS]get_time[ARGS]{}'), chunk({}, "stop")),
        (PARIS_CALL, TIME_CALL, CALLS),
    ),
    Row(
        WRITTEN,
        "an object with the name of an offered tool, alone, in a fence, or behind `<|python_tag|>`",
        "Llama",
        _ONE_CALL,
        sse(*said('{"name": "get_wea', 'ther", "parameters": {"city": "Paris"}}'), chunk({}, "stop")),
        (PARIS_CALL, CALLS),
    ),
    Row(
        WRITTEN,
        "a list of calls in Python's notation",
        "Llama 4, LFM2",
        _TWO_CALLS,
        sse(*said('[get_weather(city="Pa', 'ris"), get_time()]'), chunk({}, "stop")),
        (PARIS_CALL, TIME_CALL, CALLS),
    ),
    Row(
        WRITTEN,
        "names and arguments between tokens of the model's own",
        "DeepSeek, Kimi, gpt-oss, Command A, Phi-4",
        _ONE_CALL,
        sse(
            *said(
                "<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>",
                '{"city": "Paris"}<|tool_call_end|><|tool_calls_section_end|>',
            ),
            chunk({}, "stop"),
        ),
        (PARIS_CALL, CALLS),
    ),
    Row(
        WRITTEN,
        "a call written as text that the limit of tokens cuts",
        "any of these",
        "the text before, and an answer that ended at the limit",
        sse(*said('I look. <tool_call>{"name": "get_weather", "argu'), chunk({}, "length")),
        (("text", "I look. "), LENGTH),
    ),
    Row(
        WRITTEN,
        "calls in the text, and the same calls again as calls",
        "vLLM's and SGLang's streaming parsers",
        "each call once",
        sse(
            *said('<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}</tool_call>'),
            *said('<tool_call>{"name": "get_weather", "arguments": {"city": "Rome"}}</tool_call>'),
            chunk(fragment(0, "get_weather", '{"city": "Paris"}', "a")),
            chunk(fragment(1, "get_weather", '{"city": "Rome"}', "b")),
            chunk({}, "tool_calls"),
        ),
        (PARIS_CALL, ROME_CALL, CALLS),
    ),
    Row(
        WRITTEN,
        "what looks like a call, but of no tool that was offered",
        "models that explain or write JSON",
        "the text",
        sse(*said('{"name": "Ada", "age": 36} <tool_call>{"name": "other"}</tool_call>'), chunk({}, "stop")),
        (("text", '{"name": "Ada", "age": 36} <tool_call>{"name": "other"}</tool_call>'), STOP),
    ),
    # -- ends
    Row(
        ENDS,
        "`stop`, `eos`, `eos_token`, `end_turn`, `stop_sequence`, `tool_use`, `function_call` and others",
        "OpenAI-compatible servers of all kinds",
        "a complete answer",
        sse(*said("Hi"), chunk({}, "eos_token")),
        (("text", "Hi"), STOP),
    ),
    Row(
        ENDS,
        "`length`, `max_tokens`, `MAX_TOKENS`, `model_length`, `model_context_window_exceeded` and others",
        "Mistral, Gemini, Anthropic's",
        "an answer that ended at the limit",
        sse(*said("Hi"), chunk({}, "MAX_TOKENS")),
        (("text", "Hi"), LENGTH),
    ),
    Row(
        ENDS,
        "`error`, `network_error`, `abort`, `insufficient_system_resource` and others",
        "genkit#6259, bifrost#5425; GLM, DeepSeek",
        "an error in the client's API",
        sse(*said("Hi"), chunk({}, "network_error")),
        (("text", "Hi"), ("failure", 502, "the back end failed while it answered (network_error)")),
    ),
    Row(
        ENDS,
        "`content_filter`, `safety`, `recitation` and others",
        "Azure, Gemini",
        "what the client's API has for it; where it has nothing, an error",
        sse(*said("Hi"), chunk({}, "SAFETY")),
        (("text", "Hi"), ("finish", "content_filter")),
    ),
    Row(
        ENDS,
        "an unknown word that contains a known one, as `engine_overloaded`",
        "any",
        "what the known one means",
        sse(*said("Hi"), chunk({}, "engine_overloaded")),
        (("text", "Hi"), ("failure", 502, "the back end failed while it answered (engine_overloaded)")),
    ),
    Row(
        ENDS,
        "a word that nobody knows",
        "any",
        "a complete answer if anything was said, otherwise an error",
        sse(chunk({}, "flummoxed")),
        (("failure", 502, 'the back end ended the answer with the reason "flummoxed"'),),
    ),
    Row(
        ENDS,
        "`stop` behind tool calls, or a second chunk with a reason",
        "Gemini, Ollama; hass_local_openai_llm#92",
        "calls",
        called(fragment(0, "get_time", "{}", "a"), finish="stop"),
        (TIME_CALL, CALLS),
    ),
    Row(
        ENDS,
        "no `[DONE]`, no reason, and a connection that HTTP does not frame",
        "servers that crash",
        "an error",
        sse(*said("Hi"), done=False),
        (("text", "Hi"), ("failure", 502, "the back end broke off its answer")),
        framed=False,
    ),
    Row(
        ENDS,
        "a stop text that the server leaves in the answer",
        "transformers",
        "the text before",
        sse(*said("one two", " STOP"), chunk({}, "stop")),
        (("text", "one two"), STOP),
        options={"stop_texts": [" STOP"]},
    ),
    # -- errors
    Row(
        ERRORS,
        "status 200 with `error`",
        "gateways",
        "an error with the text, code, type and parameter",
        _js({"error": {"message": "no such model", "code": 404}}),
        (("failure", 404, "no such model"),),
    ),
    Row(
        ERRORS,
        "status 200 with `base_resp`",
        "MiniMax",
        "an error with the text",
        _js({"id": "x", "choices": None, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}),
        (("failure", 402, "insufficient balance"),),
    ),
    Row(
        ERRORS,
        "status 200 with `code` and `msg` or `message`, or `detail`",
        "GLM, DashScope, FastAPI",
        "an error with the text",
        _js({"code": 1302, "msg": "Rate limit reached", "success": False}),
        (("failure", 429, "Rate limit reached"),),
    ),
    Row(
        ERRORS,
        '`{"object": "error", "message": …}`',
        "vLLM before 0.10, SGLang",
        "an error with the text",
        _js({"object": "error", "message": "it broke", "code": 400}),
        (("failure", 400, "it broke"),),
    ),
    Row(
        ERRORS,
        "an error as an event, or as a bare line, behind text",
        "OpenRouter, llama.cpp, llama-cpp-python",
        "the text, then the error",
        sse(*said("Half an ans"), b'{"error": {"message": "out of memory", "code": 503}}\n\n', done=False),
        (("text", "Half an ans"), ("failure", 503, "out of memory")),
    ),
    Row(
        ERRORS,
        "an error within a choice",
        "genkit#6259; OpenRouter",
        "the text, then the error",
        sse(
            *said("Half an ans"),
            {
                "choices": [
                    {"index": 0, "delta": {}, "finish_reason": "error", "error": {"code": 502, "message": "disconnected"}}
                ]
            },
        ),
        (("text", "Half an ans"), ("failure", 502, "disconnected")),
    ),
    Row(
        ERRORS,
        "a page of HTML",
        "proxies, cherry-studio#11287, GLM-5#91",
        "an error with the page's title",
        b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head></html>",
        (("failure", 502, "the back end sent a web page: 502 Bad Gateway"),),
    ),
    Row(
        ERRORS,
        "an error as words, or a page, at the end of a stream that has no other end",
        "gateways",
        "the text, then the error",
        sse(*said("Half an ans"), b"<html><title>502 Bad Gateway</title></html>", done=False),
        (
            ("text", "Half an ans"),
            ("failure", 502, "the back end broke off its answer: <html><title>502 Bad Gateway</title></html>"),
        ),
    ),
    Row(
        ERRORS,
        "`data: [ERROR]` with words",
        "gateways",
        "the text, then the error",
        sse(*said("Half an ans"), b"data: [ERROR] out of memory\n\n", done=False),
        (("text", "Half an ans"), ("failure", 500, "[ERROR] out of memory")),
    ),
    Row(
        ERRORS,
        "plain text",
        "load balancers",
        "an error with the text",
        b"upstream connect error\n",
        (("failure", 502, "the back end sent an answer that cannot be understood: upstream connect error"),),
    ),
    Row(
        ERRORS,
        "a text that begins with `<400>`",
        "DashScope",
        "an error with the text",
        _js({"error": {"message": "<400> InternalError.Algo: bad", "type": "InvalidParameter"}}),
        (("failure", 400, "<400> InternalError.Algo: bad"),),
    ),
    Row(
        ERRORS,
        "a prompt that is too long for the model, in any words",
        "vLLM, OpenAI, llama.cpp, Gemini, Mistral and others",
        "`prompt is too long: N tokens > M maximum` before the server's words",
        _js({"error": {"message": "Requested tokens (40000) exceed context window of 32768"}}),
        (
            (
                "failure",
                400,
                "prompt is too long: 40000 tokens > 32768 maximum. Requested tokens (40000) exceed context window of 32768",
            ),
        ),
    ),
    Row(
        ERRORS,
        "an event that tells of the progress, before the answer",
        "gateways with a queue",
        "the answer",
        sse({"status": "queued", "message": "2 before you"}, *said("Hi"), chunk({}, "stop")),
        (("text", "Hi"), STOP),
    ),
    # -- content
    Row(
        CONTENT,
        "thinking as `reasoning_content`, `reasoning`, `reasoning_text`, `thinking` or `reasoning_details`",
        "DeepSeek, vLLM, OpenRouter, Copilot",
        "thinking",
        sse(chunk({"reasoning_text": "Let me see."}), *said("4"), chunk({}, "stop")),
        (("thinking", "Let me see."), ("text", "4"), STOP),
    ),
    Row(
        CONTENT,
        "content as a list of parts, with thinking among them",
        "Mistral (vercel/ai#8072)",
        "thinking and text",
        sse(
            chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Let me see."}]}]}),
            chunk({"content": [{"type": "text", "text": "4"}]}),
            chunk({}, "stop"),
        ),
        (("thinking", "Let me see."), ("text", "4"), STOP),
    ),
    Row(
        CONTENT,
        "the chunks of `/infill`, which have no choices",
        "llama.cpp",
        "the text between prompt and suffix",
        sse(
            {"index": 0, "content": "return", "stop": False},
            {"index": 0, "content": " 1", "stop": True, "stop_type": "limit", "timings": {"prompt_n": 4, "predicted_n": 2}},
            done=False,
        ),
        (("text", "return 1"), LENGTH),
        options={"split_thinking": False},
    ),
    Row(
        CONTENT,
        "thinking between `<think>` tags, or the tags of other models",
        "servers without a parser",
        "thinking and text",
        sse(*said("<thi", "nk>\nLet me", " see.\n</think", ">\n\n4"), chunk({}, "stop")),
        (("thinking", "Let me see."), ("text", "4"), STOP),
    ),
    Row(
        CONTENT,
        "`</think>` without `<think>`",
        "vllm#31045: the template has opened it",
        "thinking and text, where the client waits for the whole answer or the model is known for it",
        sse(*said("Let me", " see.\n</think>\n\n4"), chunk({}, "stop")),
        (("thinking", "Let me see."), ("text", "4"), STOP),
        options={"thinking_opened": None},
    ),
    Row(
        CONTENT,
        "white space around thinking, and between thinking and a call",
        "vLLM, transformers, OGX",
        "none of it",
        sse(
            chunk({"reasoning": "\nLet me see."}),
            chunk({"reasoning": "\n"}),
            *said("\n\n"),
            chunk(fragment(0, "get_time", "{}", "a")),
            chunk({}, "tool_calls"),
        ),
        (("thinking", "Let me see."), TIME_CALL, CALLS),
    ),
    Row(
        CONTENT,
        "empty roles, null counts, `choices` of null",
        "MiniMax-M2.5#2, bifrost#5425",
        "the answer",
        sse(
            {"id": "", "choices": None, "usage": None},
            chunk({"role": "", "content": "", "reasoning_content": ""}, usage={"total_tokens": 0}),
            chunk({"role": "", "content": "hello"}, ""),
            chunk(None, "stop", usage={"prompt_tokens": None, "completion_tokens": None}),
        ),
        (("text", "hello"), STOP),
    ),
    Row(
        CONTENT,
        "an answer without any choice",
        "litellm#40252",
        "an empty answer that is complete",
        _js({"id": "x", "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 0}}),
        (STOP,),
    ),
    Row(
        CONTENT,
        "a value of a wrong type anywhere in a chunk",
        "any",
        "the rest of the answer",
        sse(
            chunk({"content": {"odd": 1}, "tool_calls": "none", "reasoning": 5}, logprobs=3),
            {"choices": [5, {"index": 0, "delta": "Hi", "finish_reason": 7, "logprobs": [1]}], "usage": "many"},
            chunk({}, "stop"),
        ),
        (("text", "Hi"), STOP),
    ),
    # -- framing
    Row(
        FRAMING,
        "a whole JSON answer where a stream was asked for, whatever its content type",
        "9router#3492, big-AGI#681",
        "the answer",
        whole("hello"),
        (("text", "hello"), STOP),
    ),
    Row(
        FRAMING,
        "lines of JSON without `data:`",
        "servers that stream as Ollama does",
        "the answer",
        b"".join(_js(each) + b"\n" for each in (*said("Hel", "lo"), chunk({}, "stop"))),
        (("text", "Hello"), STOP),
    ),
    Row(
        FRAMING,
        "`data: data:` before each chunk",
        "gateways behind gateways",
        "the answer",
        b"data: data: " + _js(said("Hi")[0]) + b"\n\ndata: data: " + _js(chunk({}, "stop")) + b"\n\ndata: data: [DONE]\n\n",
        (("text", "Hi"), STOP),
    ),
    Row(
        FRAMING,
        "comments, ids, CRLF, no space behind `data:`, a byte order mark, no end of the last line",
        "OpenRouter and others",
        "the answer",
        b"\xef\xbb\xbf: PROCESSING\r\n\r\nid: 1\r\ndata:" + _js(said("Hi")[0]) + b"\r\n\r\ndata:" + _js(chunk({}, "stop")),
        (("text", "Hi"), STOP),
    ),
    Row(
        FRAMING,
        "an event that is cut in the midst",
        "servers that crash",
        "an error behind what was said",
        sse(*said("Hi"), b'data: {"choices": [{"ind\n\n'),
        (("text", "Hi"), ("failure", 502, "the back end sent an answer that cannot be understood")),
    ),
)
"""All options beside those of a row: the tools of `TOOLS` are offered."""
