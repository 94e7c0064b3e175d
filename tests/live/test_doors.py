"""The ways to start the proxy: that each serves the same, and that each says what is wrong when it cannot."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import pytest
from ollama_openai_proxy.settings import DEFAULT_PORTS

from tests.live.proxy import DOORS, ROOT, Door, ProxyProcess, free_port
from tests.patience import PATIENCE, wait_until
from tests.standins import Error, ScriptedBackend, StrictOllama, error_body

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HELLO = [{"role": "user", "content": "Hello"}]
VARIABLES = (
    "PROXY_MODE",
    "OPENAI_API_BASE_URL",
    "OPENAI_API_KEY",
    "OLLAMA_UPSTREAM_URL",
    "PROXY_HOST",
    "PROXY_PORT",
    "FIX_METHODS",
    "OLLAMA_VERSION",
    "LOG_LEVEL",
)
MITM_DEFAULT_PORT = 8080
NOWHERE = "http://127.0.0.1:9/v1"


@contextmanager
def started(*proxies: ProxyProcess) -> Iterator[None]:
    """All of them running; side by side, because most of a start is the loading of modules.

    Each is ended with SIGTERM, and must take that for a regular end.
    """
    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        for attempt in [pool.submit(stack.enter_context, proxy) for proxy in proxies]:
            attempt.result()
        yield
        assert [(proxy.stop(signal.SIGTERM), "Traceback" in proxy.log) for proxy in proxies] == [(0, False)] * len(proxies)


def get(url: str, path: str = "/api/version") -> httpx.Response:
    return httpx.get(f"{url}{path}", trust_env=False, timeout=PATIENCE)


@pytest.fixture(scope="module")
def backend() -> Iterator[ScriptedBackend]:
    with ScriptedBackend() as server:
        yield server


# -- What is served ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def doors(backend: ScriptedBackend) -> Iterator[dict[Door, ProxyProcess]]:
    web = ["--set", f"web_port={free_port()}"]
    running = {
        door: ProxyProcess(
            door=door, arguments=web if door == "mitmweb" else [], fresh=True, OPENAI_API_BASE_URL=backend.base_url
        )
        for door in DOORS
    }
    with started(*running.values()):
        yield running


def answers(proxy: ProxyProcess, model: str) -> list[object]:
    """The answers to a list and to both kinds of chat, without their times."""
    with httpx.Client(base_url=proxy.url, trust_env=False, timeout=PATIENCE) as client:
        responses = [
            client.get("/api/tags"),
            client.post("/api/chat", json={"model": model, "messages": HELLO}),
            client.post("/api/chat", json={"model": model, "messages": HELLO, "stream": False}),
        ]
    return [
        (response.status_code, response.headers["Content-Type"], [timeless(line) for line in response.text.splitlines()])
        for response in responses
    ]


def timeless(line: str) -> dict[str, Any]:
    frame: dict[str, Any] = httpx.Response(200, text=line).json()
    return {key: value for key, value in frame.items() if key != "created_at" and not key.endswith("_duration")}


@pytest.mark.parametrize("door", DOORS)
def test_every_door_serves_the_same_answers(doors: dict[Door, ProxyProcess], door: Door) -> None:
    tags, streamed, whole = answers(doors[door], "gpt-test")
    assert [tags, streamed, whole] == answers(doors["console"], "gpt-test")
    assert isinstance(tags, tuple)
    assert [model["name"] for model in tags[2][0]["models"]] == ["gpt-test", "text-embedding-test"]
    assert isinstance(streamed, tuple)
    assert isinstance(whole, tuple)
    assert "".join(frame["message"]["content"] for frame in streamed[2]) == "Hello world!"
    assert len(streamed[2]) > 1
    assert whole[2][0]["message"]["content"] == "Hello world!"


@pytest.mark.parametrize("door", ["mitmdump", "mitmweb"])
def test_under_mitmproxy_the_port_of_the_settings_is_the_only_one(doors: dict[Door, ProxyProcess], door: Door) -> None:
    listening = [line for line in doors[door].log.splitlines() if "proxy" in line and "listening at" in line]
    assert [line.rpartition(" at ")[2] for line in listening] == [f"127.0.0.1:{doors[door].port}."]
    assert "reverse proxy" in listening[0]


def test_both_kinds_of_door_stand_in_front_of_a_real_ollama() -> None:
    with StrictOllama() as upstream:
        settings: dict[str, Any] = {"PROXY_MODE": "fix", "OLLAMA_UPSTREAM_URL": upstream.url}
        proxies = [ProxyProcess(**settings), ProxyProcess(door="mitmdump", **settings)]
        with started(*proxies):
            for proxy in proxies:
                upstream.requests.clear()
                assert answers(proxy, "tiny") == answers_of_ollama(upstream)
                shown = httpx.request("GET", f"{proxy.url}/api/show", json={"model": "tiny"}, trust_env=False)
                assert (shown.status_code, upstream.requests[-1].method) == (200, "POST")


def answers_of_ollama(upstream: StrictOllama) -> list[object]:
    direct = ProxyProcess(url=upstream.url)  # never started: only the address counts
    return answers(direct, "tiny")


# -- mitmproxy's own options -------------------------------------------------------------------------------------------


def test_a_program_on_mitmproxys_default_port_does_not_matter(backend: ScriptedBackend) -> None:
    with ExitStack() as held:
        for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            with suppress(OSError):  # then some other program holds it, which is as good
                holder = held.enter_context(socket.socket(family))
                if family == socket.AF_INET6:
                    holder.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                holder.bind((host, MITM_DEFAULT_PORT))
                holder.listen()
        with ProxyProcess(door="mitmdump", OPENAI_API_BASE_URL=backend.base_url) as proxy:
            assert get(proxy.url).status_code == 200
        assert str(MITM_DEFAULT_PORT) not in proxy.log


def test_mitmproxys_own_options_win_over_the_settings(backend: ScriptedBackend) -> None:
    unused, port, both, third, fourth = (free_port() for _ in range(5))
    settings: dict[str, Any] = {"PROXY_PORT": str(unused), "OPENAI_API_BASE_URL": backend.base_url}
    command_line: dict[str, list[str]] = {
        f"http://127.0.0.1:{port}": ["-p", str(port)],
        f"http://127.0.0.2:{both}": ["--listen-host", "127.0.0.2", "--listen-port", str(both)],
        f"http://127.0.0.1:{third}": ["--mode", f"reverse:http://127.0.0.1:9@127.0.0.1:{third}"],
    }
    proxies = [ProxyProcess(door="mitmdump", arguments=words, url=url, **settings) for url, words in command_line.items()]
    options = ["--set", f"proxy_port={fourth}", "--set", f"openai_api_base_url={backend.base_url}"]
    wrong: dict[str, Any] = {"PROXY_PORT": str(unused), "OPENAI_API_BASE_URL": NOWHERE}
    proxies.append(ProxyProcess(door="mitmdump", arguments=options, url=f"http://127.0.0.1:{fourth}", **wrong))
    with started(*proxies):
        for proxy in proxies:
            assert len(get(proxy.url, "/api/tags").json()["models"]) == 2
            assert str(unused) not in proxy.log
        with pytest.raises(httpx.ConnectError):
            get(f"http://127.0.0.1:{both}")


ANY_PORT: list[tuple[Door, list[str]]] = [
    ("console", ["--port", "0"]),
    ("mitmdump", ["--listen-port", "0"]),
    ("mitmdump", ["--set", "proxy_port=0"]),
]


def test_port_0_is_any_free_port_and_the_log_names_the_port(backend: ScriptedBackend) -> None:
    proxies = [
        ProxyProcess(door=door, arguments=words, OPENAI_API_BASE_URL=backend.base_url, PROXY_PORT="")
        for door, words in ANY_PORT
    ]
    with started(*proxies):
        for proxy in proxies:
            assert proxy.port not in DEFAULT_PORTS.values()
            assert len(get(proxy.url, "/api/tags").json()["models"]) == 2


def test_no_connection_to_the_upstream_is_opened_before_there_is_a_request() -> None:
    with socket.create_server(("127.0.0.1", 0)) as upstream:
        upstream.settimeout(10)
        url = f"http://127.0.0.1:{upstream.getsockname()[1]}"
        silent = ProxyProcess(door="mitmdump", wait=False, PROXY_MODE="fix", OLLAMA_UPSTREAM_URL=url)
        with silent as proxy, connected(proxy), connected(proxy) as asking:
            asking.sendall(b"GET /api/version HTTP/1.1\r\nHost: localhost\r\n\r\n")
            accepted, _ = upstream.accept()
            with accepted:
                accepted.settimeout(10)
                assert accepted.recv(100).startswith(b"GET /api/version")
                upstream.setblocking(False)
                with pytest.raises(BlockingIOError):
                    upstream.accept()


def connected(proxy: ProxyProcess) -> socket.socket:
    """A connection to the proxy, as soon as it listens."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return socket.create_connection(("127.0.0.1", proxy.port), timeout=PATIENCE)
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def test_a_bare_checkout_runs_without_the_package_being_installed(backend: ScriptedBackend, tmp_path: Path) -> None:
    copy = shutil.copytree(ROOT / "addons", tmp_path / "addons", ignore=shutil.ignore_patterns("__pycache__"))
    settings = copy / "ollama_openai_proxy" / "settings.py"
    text = settings.read_text(encoding="utf-8")
    default = '(\n        "0.40.12",\n'
    assert text.count(default) == 1
    settings.write_text(text.replace(default, default.replace("0.40.12", "7.8.9")), encoding="utf-8")
    # mitmdump, but without the entry by which the tests' own environment finds the package.
    program = (
        "import importlib.util, sys\n"
        f"sys.path = [entry for entry in sys.path if entry != {str(ROOT / 'addons')!r}]\n"
        "sys.exit('the package is installed') if importlib.util.find_spec('ollama_openai_proxy') else None\n"
        "from mitmproxy.tools.main import mitmdump\n"
        "mitmdump(sys.argv[1:])\n"
    )
    command = [sys.executable, "-c", program, "-s", str(copy / "ollama.py")]
    with ProxyProcess(command=command, cwd=tmp_path, OPENAI_API_BASE_URL=backend.base_url) as proxy:
        assert get(proxy.url).json() == {"version": "7.8.9"}
        assert len(get(proxy.url, "/api/tags").json()["models"]) == 2


# -- Wrong starts ------------------------------------------------------------------------------------------------------


class WrongStart(NamedTuple):
    settings: dict[str, str]
    named: str
    """The setting that the sentence must name."""
    console_only: bool = False


BUSY_PORT = "a port in use"
"""Stands for the number of one."""
OWN_PORT = str(free_port())
WRONG_STARTS: dict[str, WrongStart] = {
    "a port that is no number": WrongStart({"PROXY_PORT": "abc"}, "PROXY_PORT"),
    "a port that is no port": WrongStart({"PROXY_PORT": "99999"}, "PROXY_PORT"),
    "an unknown mode": WrongStart({"PROXY_MODE": "nonsense"}, "PROXY_MODE"),
    "a URL that is none": WrongStart({"OPENAI_API_BASE_URL": "nonsense"}, "OPENAI_API_BASE_URL"),
    "no key for OpenAI": WrongStart({"OPENAI_API_BASE_URL": ""}, "OPENAI_API_KEY"),
    "a port in use": WrongStart({"PROXY_PORT": BUSY_PORT}, "PROXY_PORT"),
    "another machine's address": WrongStart({"PROXY_HOST": "192.0.2.1"}, "PROXY_HOST"),
    **{
        f"itself as the back end: {host}, listening on {own}": WrongStart(
            {"OPENAI_API_BASE_URL": f"http://{host}:{OWN_PORT}/v1", "PROXY_PORT": OWN_PORT, "PROXY_HOST": own},
            "OPENAI_API_BASE_URL",
            console_only=(host, own) != ("localhost", "127.0.0.1"),
        )
        for host in ("localhost", "127.0.0.1", "0.0.0.0")
        for own in ("127.0.0.1", "0.0.0.0")
    },
    **{
        f"itself as the upstream: {host}": WrongStart(
            {"PROXY_MODE": "fix", "OLLAMA_UPSTREAM_URL": f"http://{host}:{OWN_PORT}", "PROXY_PORT": OWN_PORT},
            "OLLAMA_UPSTREAM_URL",
            console_only=host != "127.0.0.1",
        )
        for host in ("localhost", "127.0.0.1", "0.0.0.0")
    },
}
WRONG_AT: list[tuple[Door, str]] = [
    *(("console", name) for name in WRONG_STARTS),
    *(("mitmdump", name) for name, wrong in WRONG_STARTS.items() if not wrong.console_only),
]


class Ended(NamedTuple):
    status: int
    lines: list[str]


@pytest.fixture(scope="module")
def endings() -> Iterator[dict[tuple[Door, str], Ended]]:
    """How each of the wrong starts ended; tried a few at a time."""
    with socket.create_server(("127.0.0.1", 0)) as busy, ThreadPoolExecutor(max_workers=3) as pool:
        port = str(busy.getsockname()[1])
        yield dict(zip(WRONG_AT, pool.map(lambda start: _ending(start[0], start[1], port), WRONG_AT), strict=True))


def _ending(door: Door, name: str, busy_port: str) -> Ended:
    settings: dict[str, Any] = {"OPENAI_API_BASE_URL": NOWHERE, **WRONG_STARTS[name].settings}
    if settings.get("PROXY_PORT") == BUSY_PORT:
        settings["PROXY_PORT"] = busy_port
    with ProxyProcess(door=door, wait=False, **settings) as proxy:
        status = proxy.exit_code()
    return Ended(status, proxy.log.splitlines())


@pytest.mark.parametrize(("door", "name"), WRONG_AT)
def test_a_wrong_setting_stops_the_start_with_one_sentence_that_names_it(
    endings: dict[tuple[Door, str], Ended], door: Door, name: str
) -> None:
    status, lines = endings[door, name]
    if door == "mitmdump":
        # Its own first and last line, and the time before each.
        assert "Loading script" in lines[0]
        assert lines[-1] == "Error logged during startup, exiting..."
        lines = [line.partition("] ")[2] for line in lines[1:-1]]
    else:
        lines = [line.removeprefix("ollama-openai-proxy: ") for line in lines]
    (sentence,) = lines
    assert status == 1
    assert WRONG_STARTS[name].named in sentence
    assert sentence.endswith(".")


# -- Ports that are taken ----------------------------------------------------------------------------------------------


class TakenPort(NamedTuple):
    door: Door
    words: list[str]
    """Of the command line; `PORT` stands for the port that is taken."""
    settings: dict[str, str]
    named: str
    """The options that the sentence must name, any of which lets the user choose another port."""
    command: list[str] | None = None


CONSOLE_NAMES, MITMPROXY_NAMES = "PROXY_PORT (or --port)", "PROXY_PORT (or --listen-port)"
TAKEN_PORTS: dict[str, TakenPort] = {
    "console": TakenPort("console", [], {"PROXY_PORT": "PORT"}, CONSOLE_NAMES),
    "console, by its option": TakenPort("console", ["--port", "PORT"], {}, CONSOLE_NAMES),
    "console, workers": TakenPort("console", ["--workers", "2"], {"PROXY_PORT": "PORT"}, CONSOLE_NAMES),
    "module": TakenPort("module", [], {"PROXY_PORT": "PORT"}, CONSOLE_NAMES),
    "mitmdump": TakenPort("mitmdump", [], {"PROXY_PORT": "PORT"}, MITMPROXY_NAMES),
    "mitmdump, by the setting": TakenPort("mitmdump", ["--set", "proxy_port=PORT"], {}, MITMPROXY_NAMES),
    "mitmdump, by its option": TakenPort("mitmdump", ["--listen-port", "PORT"], {}, MITMPROXY_NAMES),
    "mitmweb": TakenPort("mitmweb", ["--web-port", "0"], {"PROXY_PORT": "PORT"}, MITMPROXY_NAMES),
    "mitmweb, its page": TakenPort("mitmweb", ["--web-port", "PORT"], {}, "--web-port"),
    "mitmweb, its page, by the option": TakenPort("mitmweb", ["--set", "web_port=PORT"], {}, "--web-port"),
    "mitmweb, its page without a proxy": TakenPort("mitmweb", ["--no-server", "--web-port", "PORT"], {}, "--web-port"),
    "the proxy and the page on one port": TakenPort(
        "mitmweb", ["--web-port", OWN_PORT], {"PROXY_PORT": OWN_PORT}, "--web-port"
    ),
    "web": TakenPort(
        "console", ["--web-port", "PORT", "--no-web-open-browser"], {}, "--web-port", command=[*DOORS["console"], "web"]
    ),
    "dump": TakenPort("console", [], {"PROXY_PORT": "PORT"}, MITMPROXY_NAMES, command=[*DOORS["console"], "dump"]),
    "tui": TakenPort("console", [], {"PROXY_PORT": "PORT"}, MITMPROXY_NAMES, command=[*DOORS["console"], "tui"]),
}


@pytest.fixture(scope="module")
def refused_ports() -> Iterator[dict[str, tuple[int, Ended]]]:
    """The port that was taken, and how each start ended; tried a few at a time."""
    with socket.create_server(("127.0.0.1", 0)) as busy, ThreadPoolExecutor(max_workers=3) as pool:
        port = busy.getsockname()[1]
        yield dict(zip(TAKEN_PORTS, pool.map(lambda taken: (port, _refused(taken, port)), TAKEN_PORTS.values()), strict=True))


def _refused(taken: TakenPort, port: int) -> Ended:
    settings: dict[str, Any] = {"OPENAI_API_BASE_URL": NOWHERE, "LOG_FORMAT": "text"}
    settings |= {name: value.replace("PORT", str(port)) for name, value in taken.settings.items()}
    words = [word.replace("PORT", str(port)) for word in taken.words]
    with ProxyProcess(door=taken.door, arguments=words, command=taken.command, wait=False, **settings) as proxy:
        status = proxy.exit_code()
    return Ended(status, proxy.log.splitlines())


@pytest.mark.parametrize("name", TAKEN_PORTS)
def test_a_port_that_is_taken_is_told_in_one_sentence_with_the_option_that_chooses_another(
    refused_ports: dict[str, tuple[int, Ended]], name: str
) -> None:
    port, (status, lines) = refused_ports[name]
    told = [line for line in lines if "Loading script" not in line and not line.startswith("Error logged during startup")]
    (sentence,) = told
    number = OWN_PORT if name == "the proxy and the page on one port" else str(port)
    assert f"Port {number} " in sentence
    assert TAKEN_PORTS[name].named in sentence
    assert sentence.endswith("to a free port." if number == str(port) else "to another port.")
    assert status == 1


@pytest.mark.parametrize(
    ("host", "named"), [("192.0.2.1", "--web-host"), ("no such host", "--web-host"), ("a..b", "--web-host")]
)
def test_a_host_of_the_page_that_cannot_be_used_is_told_too(host: str, named: str) -> None:
    with ProxyProcess(door="mitmweb", arguments=["--web-host", host], wait=False, OPENAI_API_BASE_URL=NOWHERE) as proxy:
        assert proxy.exit_code() == 1
    assert f"{named} is {host!r}, which is " in proxy.log
    assert "Traceback" not in proxy.log


# -- What a start tells ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "how"),
    [
        ([], "open this whole address, token included"),
        (["--web-host", "0.0.0.0"], "open this whole address, token included"),
        (["--set", "web_password=secret"], "it asks for the password that web_password sets"),
    ],
)
def test_a_start_of_mitmweb_tells_the_page_the_api_and_how_to_stop(
    backend: ScriptedBackend, words: list[str], how: str
) -> None:
    page = free_port()
    arguments = ["--web-port", str(page), *words]
    with ProxyProcess(door="mitmweb", arguments=arguments, OPENAI_API_BASE_URL=backend.base_url) as proxy:
        wait_until(lambda: "Watch the calls" in proxy.log, lambda: proxy.log)
        told = re.search(r"Watch the calls on (\S+) \((.+)\)", proxy.log)
        assert told is not None
        assert told[2] == how
        assert told[1].startswith(f"http://127.0.0.1:{page}/")
        opened = httpx.get(told[1], trust_env=False, follow_redirects=True, timeout=PATIENCE)
        assert (opened.status_code == 200) == ("token" in told[2])
        assert f"Ollama API on {proxy.url} (translate mode, in front of {backend.base_url}); Ctrl-C stops it" in proxy.log
        assert proxy.stop(signal.SIGINT) == 0


# -- Where settings come from, and where they must not go --------------------------------------------------------------


def test_an_env_file_is_read_and_the_environment_wins_over_it(backend: ScriptedBackend, tmp_path: Path) -> None:
    proxies = []
    both: tuple[Door, Door] = ("console", "mitmdump")
    for door in both:
        port, folder = free_port(), tmp_path / door
        folder.mkdir()
        lines = [
            f"PROXY_PORT={port}",
            f"OPENAI_API_BASE_URL={backend.base_url}",
            "OLLAMA_VERSION=1.2.3",
            "PROXY_HOST=127.0.0.2",
        ]
        (folder / ".env").write_text("\n".join(lines), encoding="utf-8")
        environment: dict[str, Any] = {"PROXY_PORT": "", "OLLAMA_VERSION": "4.5.6"}
        proxies.append(ProxyProcess(door=door, cwd=folder, url=f"http://127.0.0.2:{port}", **environment))
    with started(*proxies):
        for proxy in proxies:
            assert get(proxy.url).json() == {"version": "4.5.6"}
            assert len(get(proxy.url, "/api/tags").json()["models"]) == 2


def test_neither_keys_nor_what_is_said_appear_in_any_log() -> None:
    marks = {"key": "sk-marked-key", "own": "client-marked-key", "body": "marked question", "reply": "marked answer"}
    with ScriptedBackend(api_key=marks["key"]) as backend:
        settings: dict[str, Any] = {
            "OPENAI_API_BASE_URL": backend.base_url,
            "OPENAI_API_KEY": marks["key"],
            "LOG_LEVEL": "debug",
        }
        proxies = [ProxyProcess(**settings), ProxyProcess(door="mitmdump", **settings)]
        failures = [Error(401, error_body(f"bad {marks['key']}")), Error(400, error_body(marks["reply"]))]
        with started(*proxies):
            for proxy in proxies:
                statuses = []
                for failure in (None, *failures):
                    backend.reply_with(*([failure] if failure else []))
                    statuses += ask_a_marked_question(proxy, marks)
                # Each failure answers the first of three questions; the last of the three is never valid.
                assert statuses == [200, 200, 400, 401, 200, 400, 400, 200, 400]
    for proxy in proxies:
        assert "/api/chat" in proxy.log
        assert [mark for mark in marks.values() if mark in proxy.log] == []


def ask_a_marked_question(proxy: ProxyProcess, marks: dict[str, str]) -> list[int]:
    body = {"model": "gpt-test", "messages": [{"role": "user", "content": marks["body"]}]}
    headers = {"Authorization": f"Bearer {marks['own']}"}
    return [
        httpx.post(f"{proxy.url}/api/chat", json=sent, headers=headers, trust_env=False, timeout=PATIENCE).status_code
        for sent in (body, body | {"stream": False}, body | {"messages": marks["body"]})
    ]


# -- The end -----------------------------------------------------------------------------------------------------------


def test_sigint_ends_it_like_sigterm_with_status_0(backend: ScriptedBackend) -> None:
    settings: dict[str, Any] = {"OPENAI_API_BASE_URL": backend.base_url}
    proxies = [ProxyProcess(**settings), ProxyProcess(door="mitmdump", **settings)]
    with started(*proxies):  # which sees to SIGTERM, for every door
        for proxy in proxies:
            assert proxy.stop(signal.SIGINT) == 0
            assert "Traceback" not in proxy.log


# -- The command line --------------------------------------------------------------------------------------------------


def console(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*DOORS["console"], *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_help_names_every_environment_variable() -> None:
    shown = console("--help")
    assert shown.returncode == 0
    assert [name for name in VARIABLES if f"\n  {name}\n" not in shown.stdout] == []


def test_version_is_the_packages() -> None:
    import ollama_openai_proxy

    shown = console("--version")
    assert (shown.returncode, shown.stdout) == (0, f"ollama-openai-proxy {ollama_openai_proxy.__version__}\n")


def test_an_unknown_argument_is_refused() -> None:
    refused = console("--nonsense")
    assert refused.returncode == 2
    assert "--nonsense" in refused.stderr


@pytest.mark.parametrize(("arguments", "named"), [(["--port", "abc"], "PROXY_PORT"), (["--host", "192.0.2.1"], "PROXY_HOST")])
def test_a_wrong_argument_is_told_like_a_wrong_setting(arguments: list[str], named: str) -> None:
    ended = console(*arguments, "--mode", "fix")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"ollama-openai-proxy: {named} ")
    assert ended.stderr.count("\n") == 1
