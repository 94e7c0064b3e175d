"""The demo back end as those who start it see it: a process, its one line, and the API behind it."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.patience import PATIENCE

pytest.importorskip("xllamacpp")

PROGRAM = Path(__file__).resolve().parents[2] / "scripts" / "demo_backend.py"
START_SECONDS = 30.0
"""Far more than a start takes (a fraction of a second), for machines that are busy with something else."""


@contextmanager
def demo_backend(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the program; gives the process and the base URL it prints (``http://HOST:PORT/v1``)."""
    command = [sys.executable, str(PROGRAM), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        hurry = threading.Timer(START_SECONDS, process.kill)
        hurry.start()
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            line = process.stdout.readline()
            hurry.cancel()
            word, _, url = line.strip().partition(" ")
            assert word == "READY", f"printed {line!r}, and on stderr {process.stderr.read()!r}"
            yield process, url
        finally:
            hurry.cancel()
            process.kill()


def api(base_url: str, key: str | None = None) -> httpx.Client:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx.Client(base_url=base_url, headers=headers, timeout=PATIENCE, trust_env=False)


def wait_until_refused(base_url: str, seconds: float) -> None:
    address = httpx.URL(base_url)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            socket.create_connection((address.host, address.port or 80), timeout=1).close()
        except OSError:
            return
        time.sleep(0.02)
    pytest.fail(f"{base_url} still listens after {seconds} seconds")


@pytest.fixture(scope="module")
def chat() -> Iterator[httpx.Client]:
    with demo_backend() as (_, url), api(url) as client:
        yield client


def test_the_model_is_listed_by_its_alias(chat: httpx.Client) -> None:
    assert [model["id"] for model in chat.get("/models").json()["data"]] == ["demo"]


def test_a_streamed_answer_has_words_and_ends_with_the_usage(chat: httpx.Client) -> None:
    request = {
        "model": "demo",
        "messages": [{"role": "user", "content": "Why is the sky blue?"}],
        "max_tokens": 40,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    with chat.stream("POST", "/chat/completions", json=request) as response:
        assert response.status_code == 200
        data = [line.removeprefix("data: ") for line in response.iter_lines() if line]
    assert data[-1] == "[DONE]"
    chunks = [json.loads(event) for event in data[:-1]]
    text = "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
    assert text == "The sky is blue because air scatters blue light more than red light."
    assert 1 <= chunks[-1]["usage"]["completion_tokens"] <= 40


def test_any_text_can_be_the_prompt(chat: httpx.Client) -> None:
    messages = [{"role": "system", "content": "é\x01\t漢字"}, {"role": "user", "content": "🙂 <|x|> </s>"}]
    response = chat.post("/chat/completions", json={"model": "demo", "messages": messages, "max_tokens": 5})
    assert response.status_code == 200


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_an_answer_held_to_a_schema_is_complete_json(chat: httpx.Client, temperature: float) -> None:
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "age": {"type": "integer"},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["name", "age", "tags"],
        "additionalProperties": False,
    }
    request = {
        "model": "demo",
        "messages": [{"role": "user", "content": "Bob is 42 years old."}],
        "temperature": temperature,
        "seed": 1,
        "response_format": {"type": "json_schema", "json_schema": {"name": "person", "schema": schema}},
    }
    choice = chat.post("/chat/completions", json=request).json()["choices"][0]
    person = json.loads(choice["message"]["content"])
    assert choice["finish_reason"] == "stop"
    assert [type(person[key]) for key in ("name", "age", "tags")] == [str, int, list]
    assert person["name"] == "Bob"


def test_each_slot_has_the_context_that_was_asked_for() -> None:
    with demo_backend("--context", "512", "--parallel", "2", "--alias", "other") as (_, url), api(url) as client:
        (model,) = client.get("/models").json()["data"]
        assert (model["id"], model["meta"]["n_ctx"]) == ("other", 512)


def test_embeddings_are_one_unit_vector_per_input() -> None:
    with demo_backend("--embeddings") as (_, url), api(url) as client:
        answer = client.post("/embeddings", json={"model": "demo-embed", "input": ["one", "another text", "one"]}).json()
    first, second, third = (item["embedding"] for item in answer["data"])
    assert first == pytest.approx(third, abs=1e-4)
    assert first != pytest.approx(second, abs=1e-2)
    assert sum(number * number for number in second) == pytest.approx(1, abs=1e-3)


def test_only_the_right_key_opens_it() -> None:
    request = {"model": "demo", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
    with demo_backend("--api-key", "right") as (_, url):
        statuses = []
        for key in (None, "wrong", "right"):
            with api(url, key) as client:
                statuses.append(client.post("/chat/completions", json=request).status_code)
    assert statuses == [401, 401, 200]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_the_middle_of_an_answer(number: signal.Signals) -> None:
    with demo_backend("--context", "2048") as (process, url), api(url) as client:
        request = {"prompt": "On", "max_tokens": 2000, "ignore_eos": True, "stream": True}
        with client.stream("POST", "/completions", json=request) as response:
            # HTTPX closes the connection of an iterator that nobody holds any more.
            lines = response.iter_lines()
            next(lines)
            process.send_signal(number)
            assert process.wait(PATIENCE) == 0
        assert process.stdout is not None
        assert process.stderr is not None
        assert (process.stdout.read(), process.stderr.read()) == ("", "")


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a process keeps its parent's number when that is gone")
def test_it_ends_when_the_process_that_started_it_is_killed() -> None:
    starter = "import subprocess, sys; subprocess.run(sys.argv[1:])"
    command = [sys.executable, "-c", starter, sys.executable, str(PROGRAM)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        word, _, url = process.stdout.readline().strip().partition(" ")
        process.kill()
    assert word == "READY"
    wait_until_refused(url, seconds=PATIENCE)


def test_a_port_in_use_is_told_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, str(PROGRAM), "--port", str(port)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=START_SECONDS, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.count("\n") == 1
    assert str(port) in ended.stderr


def test_a_missing_model_is_told_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, str(PROGRAM), "--model", str(tmp_path / "none.gguf")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=START_SECONDS, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.count("\n") == 1
    assert "none.gguf" in ended.stderr


def test_the_model_file_is_small_and_says_what_it_is() -> None:
    gguf = pytest.importorskip("gguf")
    path = PROGRAM.parent / "demo_model" / "demo.gguf"
    fields = gguf.GGUFReader(path).fields
    assert path.stat().st_size < 1_200_000
    assert fields["general.architecture"].contents() == "qwen2"
    assert fields["qwen2.context_length"].contents() == 2048
    template = (path.parent / "template.jinja").read_text("utf-8")
    assert fields["tokenizer.chat_template"].contents() == template
