"""Translate mode in front of a real OpenAI-compatible server: llama.cpp, with the demo model that answers by heart."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Literal

import httpx
import pytest
from anthropic import Anthropic
from ollama import ChatResponse, Client, Message, ResponseError
from openai import OpenAI
from pydantic import BaseModel

from tests.live.bare_client import send
from tests.live.proxy import ROOT, ProxyProcess
from tests.pages import blocks
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("xllamacpp")

GREETING = "Hello! I am the demo model behind this proxy. How can I help?"
FALLBACK = "I am only a small demo model."
HELLO = [{"role": "user", "content": "Hello"}]

type Manner = Literal["whole", "streamed"]

both_manners = pytest.mark.parametrize("manner", ["whole", "streamed"])


def temperature(city: str) -> str:
    """Say how warm it is in a city now.

    Args:
        city: the city's name
    """
    return {"Rome": "24 °C", "Oslo": "7 °C"}[city]


@contextlib.contextmanager
def llama_cpp(*arguments: str) -> Iterator[str]:
    """Run the demo back end; gives its base URL."""
    command = [sys.executable, str(ROOT / "scripts/demo_backend.py"), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().removeprefix("READY ").strip()
        process.terminate()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with llama_cpp() as url:
        yield url


@pytest.fixture(scope="module")
def proxy(server: str) -> Iterator[ProxyProcess]:
    with ProxyProcess(OPENAI_API_BASE_URL=server) as running:
        yield running


@pytest.fixture(scope="module")
def client(proxy: ProxyProcess) -> Iterator[Client]:
    with contextlib.closing(Client(proxy.url)) as client:
        yield client


def chat(client: Client, manner: Manner, messages: list[Any], **parameters: Any) -> Message:
    """Chat, at temperature 0 unless the parameters say otherwise; the pieces of a streamed answer are joined."""
    parameters = {"options": {"temperature": 0}} | parameters
    if manner == "whole":
        return client.chat("demo", messages, **parameters).message
    parts: list[ChatResponse] = list(client.chat("demo", messages, stream=True, **parameters))
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]
    return Message(
        role="assistant",
        content="".join(part.message.content or "" for part in parts),
        thinking="".join(part.message.thinking or "" for part in parts) or None,
        tool_calls=[call for part in parts for call in part.message.tool_calls or []] or None,
    )


def asking(question: str) -> list[Any]:
    return [{"role": "user", "content": question}]


def calls_of(message: Message) -> list[tuple[str, dict[str, Any]]]:
    return [(call.function.name, dict(call.function.arguments)) for call in message.tool_calls or []]


# -- models ------------------------------------------------------------------------------------------------------------


def test_the_model_is_listed_with_what_the_server_says_of_it(client: Client) -> None:
    (model,) = client.list().models
    assert model.model == "demo"
    assert model.size is not None
    assert model.size > 100_000
    assert list(client.list().models) == [model]


# -- text --------------------------------------------------------------------------------------------------------------


@both_manners
@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Hello", GREETING),
        ("hi", GREETING),
        ("HELLO!", GREETING),
        ("good morning", GREETING),
        ("What is this proxy?", "This proxy lets programs that speak only Ollama's API use any OpenAI-compatible server."),
        ("which port do you use", "The proxy listens on port 11434, as Ollama does. Set PROXY_PORT to choose another one."),
        ("How can I watch the calls?", "Run mitmweb -s addons/ollama.py, and watch every call in your browser."),
        ("Why is the sky blue?", "The sky is blue because air scatters blue light more than red light."),
        ("Count to three", "1, 2, 3"),
        ("count from 1 to 5.", "1, 2, 3, 4, 5"),
        ("Count to 10", "1, 2, 3, 4, 5, 6, 7, 8, 9, 10"),
        ("Say banana", "banana"),
        ("Bye!", "Goodbye! Come back soon."),
    ],
)
def test_chat_answers_what_was_asked(client: Client, manner: Manner, question: str, answer: str) -> None:
    assert chat(client, manner, asking(question)).content == answer


@pytest.mark.parametrize("question", ["Translate this into Latin: the farmer loves the island", "日本の首都", "x" * 200])
def test_another_question_is_answered_with_what_the_model_can_do(client: Client, question: str) -> None:
    assert (chat(client, "whole", asking(question)).content or "").startswith(FALLBACK)


@pytest.mark.parametrize("seed", range(8))
def test_a_usual_temperature_makes_sense_too(client: Client, seed: int) -> None:
    assert chat(client, "whole", HELLO, options={"seed": seed, "temperature": 0.8}).content == GREETING


def test_a_system_message_and_earlier_turns_change_no_answer(client: Client) -> None:
    messages = [
        {"role": "system", "content": "You are a pirate who talks of nothing but treasure. " * 20},
        {"role": "user", "content": "My name is Rosalind."},
        {"role": "assistant", "content": "Nice to meet you, Rosalind!"},
        {"role": "user", "content": "Count to 4"},
        {"role": "assistant", "content": "1, 2, 3, 4"},
        {"role": "user", "content": "Why is the sky blue?"},
    ]
    sky = "The sky is blue because air scatters blue light more than red light."
    assert chat(client, "whole", messages).content == sky
    joke = "Why did the proxy cross the road? To get to the other API."
    assert chat(client, "streamed", [*messages[:-1], *asking("Tell me a joke")]).content == joke


def test_chat_streams_piece_by_piece_and_counts_what_was_read_and_written(client: Client) -> None:
    frames = list(client.chat("demo", HELLO, stream=True, options={"temperature": 0}))
    assert len(frames) > 8
    assert "".join(frame.message.content or "" for frame in frames) == GREETING
    assert frames[-1].eval_count == client.chat("demo", HELLO, options={"temperature": 0}).eval_count
    assert (frames[-1].prompt_eval_count or 0) > 5
    assert (frames[-1].done_reason, {frame.done_reason for frame in frames[:-1]}) == ("stop", {None})


def test_the_token_limit_ends_with_length(client: Client) -> None:
    response = client.chat("demo", asking("Count to 100"), options={"num_predict": 20, "temperature": 0})
    assert (response.message.content or "").startswith("1, 2, 3, 4, 5")
    assert (response.done_reason, response.eval_count) == ("length", 20)


def test_a_stop_sequence_ends_the_answer_before_it(client: Client) -> None:
    response = client.chat("demo", asking("Count to 10"), options={"stop": [", 6"], "temperature": 0})
    assert (response.message.content, response.done_reason) == ("1, 2, 3, 4, 5", "stop")


def test_a_prompt_too_long_for_the_context_is_refused_in_words(client: Client) -> None:
    with pytest.raises(Exception, match="context") as refused:
        client.chat("demo", asking("one two three four " * 2000))
    assert getattr(refused.value, "status_code", None) == 400


@pytest.mark.parametrize(
    ("prompt", "continuation"), [("The sky is", " blue."), ("1, 2, 3,", " 4, 5, 6."), ("Hello,", " world!")]
)
@both_manners
def test_a_raw_prompt_is_continued(client: Client, manner: Manner, prompt: str, continuation: str) -> None:
    options = {"temperature": 0}
    if manner == "whole":
        assert client.generate("demo", prompt, raw=True, options=options).response == continuation
    else:
        parts = client.generate("demo", prompt, raw=True, options=options, stream=True)
        assert "".join(part.response for part in parts) == continuation


def test_a_suffix_is_refused_in_ollamas_words_because_the_model_has_no_tokens_for_it(client: Client) -> None:
    with pytest.raises(ResponseError, match="does not support insert") as refused:
        client.generate("demo", "def add(a, b):", suffix="return c")
    assert refused.value.status_code == 400


@both_manners
def test_log_probabilities_spell_the_answer_and_are_almost_certain(client: Client, manner: Manner) -> None:
    asked: dict[str, Any] = {"logprobs": True, "top_logprobs": 2, "options": {"temperature": 0}}
    if manner == "whole":
        tokens = client.chat("demo", HELLO, **asked).logprobs or []
    else:
        tokens = [token for part in client.chat("demo", HELLO, stream=True, **asked) for token in part.logprobs or []]
    assert "".join(token.token for token in tokens).removesuffix("<|im_end|>") == GREETING
    assert all(token.logprob > -0.5 for token in tokens)
    assert {len(token.top_logprobs or []) for token in tokens} == {2}


def test_clients_that_go_away_leave_no_slot_taken(proxy: ProxyProcess, server: str, client: Client) -> None:
    body = {"model": "demo", "prompt": "On", "max_tokens": 2000, "ignore_eos": True, "stream": True}
    with httpx.Client(trust_env=False, timeout=PATIENCE) as plain:
        for _ in range(8):  # twice as many as there are slots
            with plain.stream("POST", f"{proxy.url}/v1/completions", json=body) as stream:
                assert next(stream.iter_lines()).startswith("data: ")
        while any(slot["is_processing"] for slot in plain.get(f"{server.removesuffix('/v1')}/slots").json()):
            pass
    assert chat(client, "whole", HELLO).content == GREETING


def test_generate_answers_a_prompt_as_chat_does(client: Client) -> None:
    assert client.generate("demo", "Hello", options={"temperature": 0}).response == GREETING


# -- the README --------------------------------------------------------------------------------------------------------


def test_the_readme_shows_what_the_demonstration_prints(proxy: ProxyProcess) -> None:
    shown = list(blocks(ROOT / "README.md"))
    (index,) = [index for index, block in enumerate(shown) if block.language == "python"]
    program, expected = shown[index], shown[index + 1]
    assert expected.language == "text"
    command = [sys.executable, "-c", program.text.replace(":11434", f":{proxy.port}")]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True).stdout
    assert printed == expected.text.strip()
    (call,) = [block for block in shown if "/api/chat" in block.text]
    command_line, frame, _ = call.text.split("\n", 2)
    body = shlex.split(command_line)[-1]
    with httpx.Client(trust_env=False) as plain:
        first = plain.post(f"{proxy.url}/api/chat", content=body, timeout=PATIENCE).text.partition("\n")[0]
    assert json.loads(first) | {"created_at": ""} == json.loads(frame) | {"created_at": ""}


def test_the_examples_print_what_their_page_shows(proxy: ProxyProcess) -> None:
    shown = [block for block in blocks(ROOT / "examples/README.md") if "python/tools.py\n" in block.text]
    (session,) = [block.text for block in shown if "24 °C" in block.text]
    environment = os.environ | {"OLLAMA_HOST": proxy.url}
    printed = ""
    for line in session.splitlines():
        if line.startswith("$ "):
            program = line.removeprefix("$ .venv/bin/python ")
            run = subprocess.run(
                [sys.executable, ROOT / program], capture_output=True, text=True, timeout=PATIENCE, check=True, env=environment
            )
            printed += f"{line}\n{run.stdout}"
    assert printed == session


# -- tools -------------------------------------------------------------------------------------------------------------


@both_manners
@pytest.mark.parametrize("think", [False, True])
def test_a_tool_is_called_and_its_result_used(client: Client, manner: Manner, think: bool) -> None:
    messages: list[Any] = asking("How warm is it in Rome?")
    call = chat(client, manner, messages, tools=[temperature], think=think)
    assert calls_of(call) == [("temperature", {"city": "Rome"})]
    assert not (call.content or "").strip()
    assert call.thinking == ("The user asks for the weather. I call the tool." if think else None)
    messages += [call, {"role": "tool", "tool_name": "temperature", "content": temperature("Rome")}]
    answer = chat(client, manner, messages, tools=[temperature], think=think)
    assert (answer.content, answer.tool_calls) == ("In Rome: 24 °C", None)


@both_manners
def test_two_cities_are_two_calls(client: Client, manner: Manner) -> None:
    question = asking("What is the temperature in Rome and Oslo?")
    call = chat(client, manner, question, tools=[temperature])
    assert calls_of(call) == [("temperature", {"city": "Rome"}), ("temperature", {"city": "Oslo"})]


@both_manners
def test_two_results_make_two_reports(client: Client, manner: Manner) -> None:
    cities = ["Rome", "Oslo"]
    calls = [{"function": {"name": "temperature", "arguments": {"city": city}}} for city in cities]
    results = [{"role": "tool", "tool_name": "temperature", "content": temperature(city)} for city in cities]
    question = asking("What is the temperature in Rome and Oslo?")
    answer = chat(client, manner, [*question, {"role": "assistant", "tool_calls": calls}, *results])
    assert re.fullmatch(r"In Rome: \d+ °C\nIn Oslo: \d+ °C", answer.content or "")


@pytest.mark.parametrize(
    ("question", "function", "required", "arguments"),
    [
        ("what's the weather like in Toronto?", "get_weather", {"city": {}}, {"city": "Toronto"}),
        ("Is it raining in Dublin?", "fetch_forecast", {"place": {}}, {"place": "Dublin"}),
        (
            "What is the weather in Oslo?",
            "get_current_weather",
            {"location": {}, "format": {"enum": ["fahrenheit", "celsius"]}},
            {"location": "Oslo", "format": "fahrenheit"},
        ),
        ("Search for blue shoes", "search", {"query": {}}, {"query": "blue shoes"}),
        ("Open the kitchen", "open_door", {"room": {}}, {"room": "the kitchen"}),
    ],
)
def test_tools_of_other_names_and_parameters_are_called(
    client: Client, question: str, function: str, required: dict[str, Any], arguments: dict[str, str]
) -> None:
    properties = {name: {"type": "string", "description": f"the {name} of it"} | schema for name, schema in required.items()}
    parameters = {"type": "object", "properties": properties, "required": list(required)}
    other = {"name": "send_mail", "parameters": {"type": "object", "properties": {"to": {"type": "string"}}}}
    tools = [
        {
            "type": "function",
            "function": {"name": function, "description": "It does what you think.", "parameters": parameters},
        },
        {"type": "function", "function": other},
    ]
    assert calls_of(chat(client, "whole", asking(question), tools=tools)) == [(function, arguments)]


@both_manners
def test_a_name_is_remembered(client: Client, manner: Manner) -> None:
    messages = [*asking("My name is Anna."), {"role": "assistant", "content": "Nice to meet you, Anna!"}]
    assert chat(client, manner, [*messages, *asking("What is my name?")]).content == "Your name is Anna."


@both_manners
def test_a_tool_is_not_called_for_a_greeting(client: Client, manner: Manner) -> None:
    answer = chat(client, manner, HELLO, tools=[temperature])
    assert (answer.content, answer.tool_calls) == (GREETING, None)


# -- thinking ----------------------------------------------------------------------------------------------------------


@both_manners
@pytest.mark.parametrize(("think", "thought"), [(True, "The user greets me. I greet back."), (False, None), (None, None)])
def test_thinking_is_apart_from_the_answer(client: Client, manner: Manner, think: bool | None, thought: str | None) -> None:
    answer = chat(client, manner, HELLO, think=think)
    assert (answer.thinking, answer.content) == (thought, GREETING)


# -- formats -----------------------------------------------------------------------------------------------------------


class Country(BaseModel):
    """The schema of the documentation's example."""

    name: str
    capital: str
    languages: list[str]


@both_manners
@pytest.mark.parametrize("think", [False, True])
def test_an_answer_fits_the_schema(client: Client, manner: Manner, think: bool) -> None:
    question = asking("Tell me about Switzerland, as JSON.")
    answer = chat(client, manner, question, format=Country.model_json_schema(), think=think)
    country = Country.model_validate_json(answer.content or "")
    assert (country.name, country.capital, country.languages) == ("Switzerland", "Bern", ["German", "French", "Italian"])
    assert bool(answer.thinking) == think


@pytest.mark.parametrize("seed", range(6))
def test_any_schema_is_filled_and_ends(client: Client, seed: int) -> None:
    thing = {
        "type": "object",
        "properties": {
            "title": {"type": "string"},
            "zulip": {"type": "integer"},
            "parts": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["title", "zulip", "parts"],
    }
    schema = {"type": "object", "properties": {"things": {"type": "array", "items": thing}, "ok": {"type": "boolean"}}}
    schema["required"] = ["things", "ok"]
    response = client.chat("demo", asking("Describe what you see."), format=schema, options={"seed": seed, "temperature": 0.8})
    assert response.done_reason == "stop"
    assert set(json.loads(response.message.content or "")) == {"things", "ok"}


@both_manners
def test_the_format_json_gives_an_object(client: Client, manner: Manner) -> None:
    answer = chat(client, manner, asking("Anna is 30 years old and lives in Rome. Answer in JSON."), format="json")
    assert json.loads(answer.content or "").get("name") == "Anna"


# -- the other APIs ----------------------------------------------------------------------------------------------------


def test_the_official_sdk_of_openai_gets_the_same_answer(proxy: ProxyProcess) -> None:
    with OpenAI(base_url=f"{proxy.url}/v1", api_key="none") as openai:
        completion = openai.chat.completions.create(
            model="demo", messages=[{"role": "user", "content": "Hello"}], temperature=0
        )
    assert completion.choices[0].message.content == GREETING


def test_the_official_sdk_of_anthropic_gets_the_same_answer(proxy: ProxyProcess) -> None:
    with Anthropic(base_url=proxy.url, api_key="none") as anthropic:
        message = anthropic.messages.create(model="demo", max_tokens=100, messages=[{"role": "user", "content": "Hello"}])
    assert [block.text for block in message.content if block.type == "text"] == [GREETING]


# -- embeddings --------------------------------------------------------------------------------------------------------


def test_a_conversation_above_the_context_is_shortened_unless_the_client_forbids_it(client: Client) -> None:
    talk = [{"role": ("user", "assistant")[n % 2], "content": f"message {n}: " + "way people water " * 30} for n in range(59)]
    messages = [{"role": "system", "content": "the system prompt"}, *talk]
    for _ in range(2):
        answer = client.chat("demo", messages, options={"num_predict": 8})
        # The server's own count: more than the system message and the last message have, and no more than fits.
        assert 500 < (answer.prompt_eval_count or 0) <= 2048
    got = send(str(client._client.base_url), "POST", "/api/chat", {"model": "demo", "messages": messages, "truncate": False})
    assert got.status == 400
    assert b"context size" in got.body


def test_embeddings_come_normalised_and_raw() -> None:
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(llama_cpp("--embeddings"))
        proxy = stack.enter_context(ProxyProcess(OPENAI_API_BASE_URL=url))
        client = stack.enter_context(contextlib.closing(Client(proxy.url)))
        vectors = client.embed("demo-embed", ["one", "two"]).embeddings
        assert [sum(x * x for x in vector) for vector in vectors] == pytest.approx([1, 1], abs=1e-4)
        assert len(client.embeddings("demo-embed", "one").embedding) == len(vectors[0])
