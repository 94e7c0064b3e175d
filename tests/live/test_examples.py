"""The examples do what they say, run as users run them: with the proxy's address in OLLAMA_HOST."""

from __future__ import annotations

import base64
import itertools
import json
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.live.proxy import ROOT, ProxyProcess, free_port
from tests.live.test_javascript import script as packages  # noqa: F401  # a fixture: the folder with the packages of npm
from tests.patience import PATIENCE
from tests.standins import ScriptedBackend, Stream, embedding_of, finish, reasoning, text, tool_delta, usage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

EXAMPLES = ROOT / "examples"
MODEL = "gpt-test"
SENTENCES = ["The cat sleeps on the sofa.", "Rain is expected tomorrow.", "The train leaves at noon."]
QUESTION = "What will the weather be?"
OLDER = {"models.toml", "runpod", "session.mitm"}
"""Examples with tests of their own."""


@pytest.fixture(scope="module")
def _shared() -> Iterator[tuple[ScriptedBackend, ProxyProcess]]:
    with ScriptedBackend() as backend, ProxyProcess(OPENAI_API_BASE_URL=backend.base_url) as proxy:
        yield backend, proxy


@pytest.fixture
def javascript(packages: Path) -> Path:  # noqa: F811
    """A copy of the examples beside the installed client."""
    folder = packages.parent / "examples"
    shutil.copytree(EXAMPLES / "javascript", folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules"))
    return folder


def run(command: Sequence[str | Path], url: str, model: str | None = MODEL, **settings: str) -> str:
    ended = start(command, url, model, **settings)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stderr == ""
    return ended.stdout


def start(
    command: Sequence[str | Path], url: str, model: str | None = MODEL, **settings: str
) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(("OLLAMA_", "OPENAI_", "LANG"))}
    environment = {name: value for name, value in kept.items() if not name.lower().endswith("_proxy") and name != "MODEL"}
    environment |= {"OLLAMA_HOST": url, "PYTHONIOENCODING": "utf-8"} | settings
    if model is not None:
        environment["MODEL"] = model
    return subprocess.run(
        list(map(str, command)),
        env=environment,
        cwd=EXAMPLES,
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
    )


def python(name: str, *arguments: str | Path) -> list[str | Path]:
    return [sys.executable, EXAMPLES / name, *arguments]


def asked(backend: ScriptedBackend) -> list[Any]:
    """The bodies of all calls to a model, oldest first."""
    return [request.json for request in backend.requests if request.method == "POST"]


def calling(name: str, /, **arguments: str) -> Stream:
    """An answer that calls a tool."""
    return Stream([tool_delta(0, f"call_{name}", name, json.dumps(arguments)), finish("tool_calls"), usage(9, 4)])


def saying(*pieces: str) -> Stream:
    return Stream([*map(text, pieces), finish(), usage(9, 4)])


def check_warmth(said: str, backend: ScriptedBackend) -> None:
    """The tool was described, called, and its result was given back."""
    call, answer = said.splitlines()
    assert re.sub(r"[\"' ]", "", call) == "temperature({city:Rome})=24°C"
    assert answer == "It is warm."
    first, second = asked(backend)
    [tool] = first["tools"]
    assert tool["function"]["name"] == "temperature"
    assert tool["function"]["description"] == "Say how warm it is in a city now."
    assert tool["function"]["parameters"]["required"] == ["city"]
    assert [message["role"] for message in second["messages"]] == ["user", "assistant", "tool"]
    assert second["messages"][-1]["content"] == "24 °C"
    assert second["messages"][-1]["tool_call_id"] == second["messages"][1]["tool_calls"][0]["id"]


def check_nearness(said: str, backend: ScriptedBackend, *, sort: bool) -> None:
    """Every sentence is listed with the cosine of its angle to the question."""

    def cosine(first: list[float], second: list[float]) -> float:
        return math.sumprod(first, second) / math.hypot(*first) / math.hypot(*second)

    expected = [(round(cosine(embedding_of(QUESTION), embedding_of(each)), 3), each) for each in SENTENCES]
    if sort:
        expected.sort(reverse=True)
    found = [line.split(maxsplit=1) for line in said.splitlines()]
    assert [(float(number), sentence) for number, sentence in found] == expected
    assert {body["model"] for body in asked(backend)} == {MODEL}


# -- Python ------------------------------------------------------------------------------------------------------------


def test_chat(url: str, backend: ScriptedBackend) -> None:
    assert run(python("python/chat.py"), url) == "Hello world!\n(5 tokens read, 3 written, stop)\n"
    [body] = asked(backend)
    assert (body["model"], body["messages"]) == (MODEL, [{"role": "user", "content": "Why is the sky blue?"}])


def test_async_streaming(url: str, backend: ScriptedBackend) -> None:
    lines = run(python("python/async_streaming.py"), url).splitlines()
    for question in ("Why is the sky blue?", "Why is grass green?"):
        said = [line.removeprefix(f"{question} ") for line in lines if line.startswith(question)]
        assert said == ["'Hello'", "' world'", "'!'"]
    assert len(lines) == 6
    assert len(asked(backend)) == 2


def test_tools(url: str, backend: ScriptedBackend) -> None:
    backend.reply_with(calling("temperature", city="Rome"), saying("It is", " warm."))
    check_warmth(run(python("python/tools.py"), url), backend)


def test_tools_without_a_call(url: str, backend: ScriptedBackend) -> None:
    assert run(python("python/tools.py"), url) == "Hello world!\n"
    assert len(asked(backend)) == 1


def test_structured_output(url: str, backend: ScriptedBackend) -> None:
    backend.reply_with(saying('{"name": "Switzerland", "capital": "Bern",', ' "languages": ["German", "French"]}'))
    said = run(python("python/structured_output.py"), url)
    assert said == "Bern is the capital of Switzerland, where they speak German, French.\n"
    schema = asked(backend)[0]["response_format"]["json_schema"]["schema"]
    assert set(schema["required"]) == {"name", "capital", "languages"}


def test_images(url: str, backend: ScriptedBackend, tmp_path: Path) -> None:
    own = tmp_path / "own.png"
    own.write_bytes((EXAMPLES / "python/red.png").read_bytes() + b"more")
    for arguments, picture in [((), EXAMPLES / "python/red.png"), ((MODEL, own), own)]:
        assert run(python("python/images.py", *arguments), url) == "Hello world!\n"
        _, image = asked(backend)[-1]["messages"][0]["content"]
        assert image["image_url"]["url"] == f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}"


def test_embeddings(url: str, backend: ScriptedBackend) -> None:
    check_nearness(run(python("python/embeddings.py"), url), backend, sort=False)
    assert [body["input"] for body in asked(backend)] == [[QUESTION, *SENTENCES]]


def test_thinking(url: str, backend: ScriptedBackend) -> None:
    backend.reply_with(Stream([reasoning("let me "), reasoning("see"), text("Th"), text("ree"), finish()]))
    assert run(python("python/thinking.py"), url) == "thinking: let me see\nanswer: Three\n"


def test_thinking_of_a_model_that_does_not_think(url: str) -> None:
    assert run(python("python/thinking.py"), url) == "Hello world!\n"


# -- JavaScript --------------------------------------------------------------------------------------------------------


def test_javascript_chat(url: str, backend: ScriptedBackend, javascript: Path) -> None:
    assert run(["node", javascript / "chat.js"], url) == "Hello world!\n(5 tokens read, 3 written, stop)\n"
    assert asked(backend)[0]["messages"] == [{"role": "user", "content": "Why is the sky blue?"}]


def test_javascript_streaming(url: str, backend: ScriptedBackend, javascript: Path) -> None:
    backend.reply_with(saying("Because", " of", " air."))
    assert run(["node", javascript / "streaming.js"], url) == "Because of air.\n"


def test_javascript_tools(url: str, backend: ScriptedBackend, javascript: Path) -> None:
    backend.reply_with(calling("temperature", city="Rome"), saying("It is", " warm."))
    check_warmth(run(["node", javascript / "tools.js"], url), backend)


def test_the_javascript_examples_name_the_client_that_is_tested(javascript: Path) -> None:
    wanted = json.loads((javascript / "package.json").read_text())["dependencies"]["ollama"]
    installed = json.loads((javascript.parent / "node_modules/ollama/package.json").read_text())["version"]
    assert wanted == f"^{installed}"


# -- curl --------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_curl(url: str, backend: ScriptedBackend) -> None:
    scripts = [saying("A", "ir."), saying("Air."), calling("temperature", city="Rome"), saying('{"capital": "Bern"}')]
    backend.reply_with(*scripts)
    said = run(["sh", EXAMPLES / "curl" / "endpoints.sh"], url)
    titles = re.split(r"^# (.+)$", said, flags=re.MULTILINE)[1:]
    answers = {title: objects(said) for title, said in itertools.batched(titles, 2)}
    assert re.fullmatch(r"[\d.]+", answers["Which version?"][0]["version"])
    assert [model["name"] for model in answers["Which models?"][0]["models"]] == [MODEL, "text-embedding-test"]
    assert "tools" in answers["What can this model do?"][0]["capabilities"]
    frames = answers["A chat, streamed: one frame of JSON on each line"]
    assert [frame["message"]["content"] for frame in frames] == ["A", "ir.", ""]
    assert answers["A chat in one piece, with options"][0]["message"]["content"] == "Air."
    [call] = answers["A chat with a tool that the model may call"][0]["message"]["tool_calls"]
    assert (call["function"]["name"], call["function"]["arguments"]) == ("temperature", {"city": "Rome"})
    assert json.loads(answers["An answer that fits a JSON schema"][0]["message"]["content"]) == {"capital": "Bern"}
    assert answers["A prompt without a conversation"][0]["response"] == "Hello world!"
    assert [math.hypot(*vector) for vector in answers["Embeddings"][0]["embeddings"]] == pytest.approx([1, 1])
    assert MODEL in [model["name"] for model in answers["Which models are in use?"][0]["models"]]
    completion = answers["The same model through OpenAI's API"][0]
    assert completion["choices"][0]["message"]["content"] == "Hello world!"
    assert answers["Is the proxy well?"] == [{"status": "ok"}]
    assert len(answers) == 12
    assert asked(backend)[1]["temperature"] == 0


def objects(said: str) -> list[Any]:
    """The JSON objects of a text, one after the other."""
    found, decoder = [], json.JSONDecoder()
    while said := said.lstrip():
        each, end = decoder.raw_decode(said)
        found.append(each)
        said = said[end:]
    return found


# -- LangChain ---------------------------------------------------------------------------------------------------------


def test_langchain_chat(url: str, backend: ScriptedBackend) -> None:
    backend.reply_with(saying("A", "ir."), saying("Chloro", "phyll."))
    said = run(python("langchain/chat.py"), url)
    assert said == "Air.\n(9 tokens read, 4 written)\nChlorophyll.\n"
    first, second = asked(backend)
    assert [message["role"] for message in first["messages"]] == ["system", "user"]
    assert first["temperature"] == second["temperature"] == 0


def test_langchain_tools(url: str, backend: ScriptedBackend) -> None:
    backend.reply_with(calling("temperature", city="Rome"), saying("It is", " warm."))
    check_warmth(run(python("langchain/tools.py"), url), backend)


def test_langchain_embeddings(url: str, backend: ScriptedBackend) -> None:
    check_nearness(run(python("langchain/embeddings.py"), url), backend, sort=True)


# -- Agent -------------------------------------------------------------------------------------------------------------


def test_the_agent_calls_tools_until_it_can_answer(url: str, backend: ScriptedBackend, tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "list.txt").write_text("milk, bread")
    (tmp_path / "secret.txt").write_text("nobody's business")
    backend.reply_with(
        calling("list_files"),
        calling("read_file", name="../secret.txt"),
        calling("read_file", name="missing.txt"),
        calling("send_mail", to="all"),
        calling("read_file", name="list.txt"),
        saying("Milk and ", "bread."),
    )
    said = run(python("agent/agent.py", MODEL, folder, "What shall I buy?"), url)
    steps = said.splitlines()
    assert steps[0] == "1. list_files({}): 8 characters"
    assert steps[4:] == ["5. read_file({'name': 'list.txt'}): 11 characters", "6. answer: Milk and bread."]
    bodies = asked(backend)
    assert {tool["function"]["name"] for tool in bodies[0]["tools"]} == {"list_files", "read_file"}
    assert bodies[0]["messages"][-1] == {"role": "user", "content": "What shall I buy?"}
    results = [message["content"] for message in bodies[-1]["messages"] if message["role"] == "tool"]
    assert results[0] == "list.txt"
    assert results[1] == "error: ../secret.txt is not in the folder"
    assert results[2].startswith("error: ")
    assert results[3] == "error: there is no tool send_mail"
    assert results[4] == "milk, bread"
    assert not any("nobody" in result for result in results)


def test_the_agent_gives_up_on_a_model_that_never_answers(url: str, backend: ScriptedBackend, tmp_path: Path) -> None:
    backend.reply_with(*[calling("list_files")] * 10)
    ended = start(python("agent/agent.py", MODEL, tmp_path), url)
    assert (ended.returncode, ended.stderr) == (1, "no answer after 10 steps\n")
    assert len(asked(backend)) == 10


# -- All of them -------------------------------------------------------------------------------------------------------


def test_the_model_is_the_first_argument_or_demo(url: str, backend: ScriptedBackend) -> None:
    assert run(python("python/chat.py", "text-embedding-test"), url)
    ended = start(python("python/chat.py"), url, model=None)
    assert asked(backend)[0]["model"] == "text-embedding-test"
    assert "model 'demo' not found (status code: 404)" in ended.stderr


def test_the_clients_for_python_bring_the_key_of_the_environment(backend: ScriptedBackend) -> None:
    with ProxyProcess(OPENAI_API_BASE_URL=backend.base_url, PROXY_API_KEYS="a-long-key") as proxy:
        for name in ("python/chat.py", "langchain/chat.py"):
            assert run(python(name), proxy.url, OLLAMA_API_KEY="a-long-key").startswith("Hello world!\n")
            assert "(status code: 401)" in start(python(name), proxy.url).stderr


def test_without_a_proxy_the_client_says_so() -> None:
    ended = start(python("python/chat.py"), f"http://127.0.0.1:{free_port()}")
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith("ConnectionError: Failed to connect to Ollama")


def test_every_example_is_listed_and_run_here() -> None:
    files = {path.relative_to(EXAMPLES) for path in EXAMPLES.rglob("*.*") if path.suffix in (".py", ".js", ".sh")}
    mine = {path.as_posix() for path in files if path.parts[0] not in OLDER and "node_modules" not in path.parts}
    assert len(mine) == 15
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    tested = Path(__file__).read_text(encoding="utf-8")
    for name in sorted(mine):
        assert f"]({name})" in listed
        assert f'"{name}"' in tested or f'"{name.rpartition("/")[2]}"' in tested
    for name in OLDER:
        assert f"]({name}" in listed
