"""What is tried with servers of language models: lists, chat, options, formats, thinking, completion of text."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
from ollama import ResponseError
from openai import BadRequestError

from scripts.real_servers.programs import MODEL
from scripts.real_servers.scenarios import refusal, scenario
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from scripts.real_servers.stage import Stage

EXACT: dict[str, Any] = {"temperature": 0, "num_predict": 100}
ALL_OPTIONS: dict[str, Any] = {
    "num_ctx": 512, "num_keep": 4, "seed": 7, "num_predict": 12, "top_k": 20, "top_p": 0.9, "min_p": 0.05, "typical_p": 0.9,
    "repeat_last_n": 32, "temperature": 0.7, "repeat_penalty": 1.1, "presence_penalty": 0.5, "frequency_penalty": 0.5,
    "mirostat": 0, "mirostat_tau": 5.0, "mirostat_eta": 0.1, "penalize_newline": True, "stop": ["\n\n\n"], "num_thread": 1,
}  # fmt: skip
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
LONG = "way people water house green word " * 400
"""More than any of the servers has been given room for."""


def user(text: str) -> list[Any]:
    """A conversation of one message."""
    return [{"role": "user", "content": text}]


HELLO = user("Hello")


@scenario("The list of models, in all three APIs")
def _list(stage: Stage) -> None:
    sdks = stage.sdks
    assert [it.model for it in sdks.ollama.list().models] == [MODEL]
    assert [it.id for it in sdks.openai.models.list()] == [MODEL]
    assert [it.id for it in sdks.anthropic.models.list()] == [MODEL]
    assert sdks.openai.models.retrieve(MODEL).id == MODEL


@scenario("`show` tells what a model can do")
def _show(stage: Stage) -> None:
    shown = stage.sdks.ollama.show(MODEL)
    assert "completion" in (shown.capabilities or []), shown.capabilities
    assert "embedding" not in (shown.capabilities or []), shown.capabilities


@scenario("`show` tells the length of the context")
def _show_length(stage: Stage) -> None:
    info = stage.sdks.ollama.show(MODEL).modelinfo or {}
    lengths = [value for name, value in info.items() if name.endswith(".context_length")]
    assert lengths and all(value > 0 for value in lengths), f"no context length in {sorted(info)}"  # noqa: PT018


@scenario("A chat, whole and streamed, with counts")
def _chat(stage: Stage) -> None:
    client = stage.sdks.ollama
    whole = client.chat(MODEL, HELLO, options=EXACT)
    text = whole.message.content or ""
    assert text == text.strip() != ""
    assert whole.done_reason == "stop", whole.done_reason
    assert whole.prompt_eval_count, "no count of the prompt"
    assert whole.eval_count, "no count of the answer"
    frames = list(client.chat(MODEL, HELLO, options=EXACT, stream=True))
    assert "".join(frame.message.content or "" for frame in frames) == text
    assert [frame.done for frame in frames] == [False] * (len(frames) - 1) + [True]
    assert (frames[-1].prompt_eval_count, frames[-1].eval_count) == (whole.prompt_eval_count, whole.eval_count)
    assert len(frames) > 3, "the answer is not streamed"


@scenario("`generate` with a template")
def _generate(stage: Stage) -> None:
    client = stage.sdks.ollama
    text = client.chat(MODEL, HELLO, options=EXACT).message.content
    answer = client.generate(MODEL, "Hello", options=EXACT)
    assert answer.response == text
    assert "".join(frame.response for frame in client.generate(MODEL, "Hello", options=EXACT, stream=True)) == text
    assert client.generate(MODEL, "").done_reason == "load"


@scenario("The same answer through OpenAI's and Anthropic's APIs")
def _other_apis(stage: Stage) -> None:
    sdks = stage.sdks
    text = sdks.ollama.chat(MODEL, HELLO, options=EXACT).message.content
    common: dict[str, Any] = {"model": MODEL, "temperature": 0}
    chat: dict[str, Any] = common | {"messages": HELLO, "max_tokens": 100}
    completion = sdks.openai.chat.completions.create(**chat)
    assert completion.choices[0].message.content == text
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage and completion.usage.completion_tokens, "no usage"  # noqa: PT018
    chunks = list(sdks.openai.chat.completions.create(**chat, stream=True, stream_options={"include_usage": True}))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == text
    assert chunks[-1].usage, "no usage at the end of the stream"
    response = sdks.openai.responses.create(**common, input="Hello", max_output_tokens=100)
    assert response.output_text == text
    with sdks.openai.responses.stream(**common, input="Hello", max_output_tokens=100) as stream:
        assert stream.get_final_response().output_text == text
    # Anthropic's SDK has no argument for it any more, and the API takes it.
    spoken: dict[str, Any] = {"model": MODEL, "messages": HELLO, "max_tokens": 100, "extra_body": {"temperature": 0}}
    message = sdks.anthropic.messages.create(**spoken)
    assert [block.text for block in message.content if block.type == "text"] == [text]
    assert message.stop_reason == "end_turn"
    assert message.usage.input_tokens, "no usage in Anthropic's API"
    with sdks.anthropic.messages.stream(**spoken) as events:
        assert events.get_final_text() == text


@scenario("The limit of tokens ends an answer as `length`")
def _limit(stage: Stage) -> None:
    sdks = stage.sdks
    answer = sdks.ollama.chat(MODEL, HELLO, options={"num_predict": 3, "temperature": 0})
    assert answer.done_reason == "length", answer.done_reason
    assert 0 < (answer.eval_count or 0) <= 3, answer.eval_count
    last = list(sdks.ollama.chat(MODEL, HELLO, options={"num_predict": 3, "temperature": 0}, stream=True))[-1]
    assert last.done_reason == "length", last.done_reason
    message = sdks.anthropic.messages.create(model=MODEL, messages=HELLO, max_tokens=3)
    assert message.stop_reason == "max_tokens", message.stop_reason
    response = sdks.openai.responses.create(model=MODEL, input="Hello", max_output_tokens=3)
    assert response.status == "incomplete", response.status


@scenario("A limit above what the model has")
def _high_limit(stage: Stage) -> None:
    sdks = stage.sdks
    for limit in (-1, 100_000):
        assert sdks.ollama.chat(MODEL, HELLO, options={"num_predict": limit, "temperature": 0}).message.content
    assert sdks.anthropic.messages.create(model=MODEL, messages=HELLO, max_tokens=32_000).content


@scenario("Every option of Ollama is taken")
def _options(stage: Stage) -> None:
    client = stage.sdks.ollama
    client.chat(MODEL, HELLO, options=ALL_OPTIONS)
    client.generate(MODEL, "Hello", options=ALL_OPTIONS)
    client.generate(MODEL, "Hello", raw=True, options=ALL_OPTIONS)
    for edge in ({"temperature": 5.0}, {"top_p": 0.0}, {"top_k": 0}, {"seed": -1}, {"stop": [str(n) for n in range(6)]}):
        client.chat(MODEL, HELLO, options=edge | {"num_predict": 4})


@scenario("A seed repeats an answer")
def _seed(stage: Stage) -> None:
    options = {"seed": 11, "temperature": 2.0, "num_predict": 20}
    answers = {stage.sdks.ollama.chat(MODEL, user("Tell me a story"), options=options).message.content for _ in range(3)}
    assert len(answers) == 1, f"{len(answers)} different answers with one seed"


@scenario("A stop text ends an answer and is not in it")
def _stop(stage: Stage) -> None:
    client = stage.sdks.ollama
    text = client.chat(MODEL, HELLO, options=EXACT).message.content or ""
    stop = text.split()[2]
    expected = text[: text.index(stop)]
    options = EXACT | {"stop": [stop]}
    whole = client.chat(MODEL, HELLO, options=options)
    assert (whole.message.content, whole.done_reason) == (expected, "stop")
    assert "".join(it.message.content or "" for it in client.chat(MODEL, HELLO, options=options, stream=True)) == expected


@scenario("The format `json`")
def _json(stage: Stage) -> None:
    for streamed in (False, True):
        question = user("Write JSON about a person with a name and an age")
        frames = stage.sdks.ollama.chat(MODEL, question, format="json", options=EXACT, stream=streamed)
        parts = list(frames) if streamed else [frames]
        assert isinstance(json.loads("".join(part.message.content or "" for part in parts)), dict)


@scenario("The format of a JSON schema")
def _schema(stage: Stage) -> None:
    sdks = stage.sdks
    question = user("Write JSON about a person with a name and an age")
    texts = [sdks.ollama.chat(MODEL, question, format=SCHEMA, options=EXACT).message.content or ""]
    texts.append(sdks.ollama.generate(MODEL, question[0]["content"], format=SCHEMA, options=EXACT).response)
    form: Any = {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA, "strict": True}}
    completion = sdks.openai.chat.completions.create(
        model=MODEL, messages=question, response_format=form, temperature=0, max_tokens=100
    )  # fmt: skip
    texts.append(completion.choices[0].message.content or "")
    for text in texts:
        made = json.loads(text)
        assert sorted(made) == ["age", "name"] and isinstance(made["age"], int), text  # noqa: PT018


@scenario("Thinking, on and off")
def _thinking(stage: Stage) -> None:
    sdks = stage.sdks
    text = sdks.ollama.chat(MODEL, HELLO, options=EXACT, think=False).message
    assert not text.thinking
    assert text.content and "<" not in text.content, text.content  # noqa: PT018
    for streamed in (False, True):
        answer = sdks.ollama.chat(MODEL, HELLO, options=EXACT, think=True, stream=streamed)
        parts = list(answer) if streamed else [answer]
        thought = "".join(part.message.thinking or "" for part in parts)
        said = "".join(part.message.content or "" for part in parts)
        assert thought and thought == thought.strip(), f"thinking {thought!r}, content {said!r}"  # noqa: PT018
        assert said and said == said.strip() and "<" not in said, said  # noqa: PT018
    create: Any = sdks.anthropic.messages.create
    thinking = {"type": "enabled", "budget_tokens": 1024}
    message = create(model=MODEL, messages=HELLO, max_tokens=2000, thinking=thinking, extra_body={"temperature": 0})
    assert [block.type for block in message.content] == ["thinking", "text"]


@scenario("`raw`: a prompt without a template, past 16 tokens")
def _raw(stage: Stage) -> None:
    prompt = "<|im_start|>user\nCount to 10<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    answer = stage.sdks.ollama.generate(MODEL, prompt, raw=True, options={"temperature": 0})
    assert (answer.eval_count or 0) > 16, f"{answer.eval_count} tokens: {answer.response!r}"
    frames = list(stage.sdks.ollama.generate(MODEL, prompt, raw=True, options={"temperature": 0}, stream=True))
    assert "".join(frame.response for frame in frames) == answer.response
    completion = stage.sdks.openai.completions.create(model=MODEL, prompt=prompt, temperature=0, max_tokens=5)
    assert completion.choices[0].finish_reason == "length", completion.choices[0].finish_reason


@scenario("A suffix: filled in, or refused as Ollama refuses it")
def _suffix(stage: Stage) -> None:
    client = stage.sdks.ollama
    refused = refusal(lambda: client.generate(MODEL, "def add(a, b):\n", suffix="\n    return c", options={"num_predict": 8}))
    if refused is not None:
        assert isinstance(refused, ResponseError), refused
        assert refused.status_code == 400, refused
        assert "insert" in refused.error, refused
        assert "insert" not in (client.show(MODEL).capabilities or [])


@scenario("Log probabilities")
def _logprobs(stage: Stage) -> None:
    options = {"temperature": 0, "num_predict": 4}
    for streamed in (False, True):
        answer = stage.sdks.ollama.chat(MODEL, HELLO, logprobs=True, top_logprobs=2, options=options, stream=streamed)
        parts = list(answer) if streamed else [answer]
        found = [it for part in parts for it in part.logprobs or []]
        assert len(found) in (3, 4), f"{len(found)} log probabilities"
        assert all(it.token is not None and it.logprob is not None and it.logprob <= 0 for it in found)
        assert all(len(it.top_logprobs or []) == 2 for it in found), found[0]


@scenario("Odd conversations: two system messages, two of one role, an empty one, the assistant's at the end")
def _odd(stage: Stage) -> None:
    system = {"role": "system", "content": "Be brief."}
    hello, hi = HELLO[0], {"role": "assistant", "content": "Hi."}
    conversations = [
        [system, system, hello],
        [hello, hi, system, hello],
        [hello, hello],
        [hello, {"role": "assistant", "content": ""}, hello],
        [hi, hello],
        [system],
        [hello, {"role": "assistant", "content": "Hel"}],
    ]
    for messages in conversations:
        assert stage.sdks.ollama.chat(MODEL, messages, options={"num_predict": 5}).done
    common: dict[str, Any] = {"model": MODEL, "max_tokens": 5}
    for messages in conversations[:-2]:
        assert stage.sdks.openai.chat.completions.create(messages=messages, **common).choices
    assert stage.sdks.anthropic.messages.create(system="Be brief.", messages=[hello, hello], **common).type == "message"


@scenario("A conversation that is too long is shortened, or refused with `truncate: false`")
def _too_long(stage: Stage) -> None:
    sdks = stage.sdks
    talk = [{"role": ("user", "assistant")[n % 2], "content": LONG[:600]} for n in range(40)] + HELLO
    for _ in range(2):
        answer = sdks.ollama.chat(MODEL, talk, options={"num_predict": 5})
        assert answer.done
        assert answer.prompt_eval_count, "no count of the prompt"
    body = {"model": MODEL, "messages": talk, "truncate": False, "stream": False}
    refused = httpx.post(f"{stage.proxy.url}/api/chat", json=body, timeout=PATIENCE, trust_env=False)
    assert refused.status_code == 400, f"truncate: false: {refused.status_code} {refused.text[:200]}"
    error = refusal(lambda: sdks.openai.chat.completions.create(model=MODEL, messages=user(LONG), max_tokens=5))
    assert isinstance(error, BadRequestError), f"OpenAI's API with a conversation that is too long: {error!r}"
    assert "context" in str(error).lower() or "token" in str(error).lower(), error


@scenario("An unknown model is a 404, in all three APIs")
def _unknown(stage: Stage) -> None:
    calls = {
        "/api/chat": {"model": "nobody", "messages": HELLO},
        "/api/generate": {"model": "nobody", "prompt": "Hello"},
        "/api/show": {"model": "nobody"},
        "/v1/chat/completions": {"model": "nobody", "messages": HELLO},
        "/v1/responses": {"model": "nobody", "input": "Hello"},
        "/v1/messages": {"model": "nobody", "messages": HELLO, "max_tokens": 5},
    }
    for path, body in calls.items():
        answer = httpx.post(stage.proxy.url + path, json=body, timeout=PATIENCE, trust_env=False)
        assert answer.status_code == 404, f"{path}: {answer.status_code} {answer.text[:200]}"
        assert "nobody" in answer.text, f"{path}: {answer.text[:200]}"


@scenario("Four answers at once, and lists beside them")
def _at_once(stage: Stage) -> None:
    client = stage.sdks.ollama
    expected = client.chat(MODEL, HELLO, options=EXACT).message.content

    def chat(number: int) -> str | None:
        if number % 3 == 2:
            return expected if client.list().models else "no models"
        return str(client.chat(MODEL, HELLO, options=EXACT).message.content)

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(chat, range(24))) == {expected}
