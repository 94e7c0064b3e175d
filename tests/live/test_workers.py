"""Several processes behind one port: what they share, how they are replaced, and what is lost when one of them is killed."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.live.proxy import ProxyProcess, free_port
from tests.live.raw_http import Raw, get
from tests.patience import PATIENCE, wait_until
from tests.standins import Done, Gate, ScriptedBackend, Sleep, Stream, finish, role, text

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the workers are found in /proc")

CHAT = {"model": "gpt-test", "messages": [{"role": "user", "content": "hello"}]}


@contextmanager
def running(workers: int = 2, **settings: str) -> Iterator[tuple[ScriptedBackend, ProxyProcess]]:
    with (
        ScriptedBackend() as backend,
        ProxyProcess(OPENAI_API_BASE_URL=backend.base_url, WORKERS=str(workers), **settings) as proxy,  # type: ignore[arg-type]  # texts
    ):
        wait_for_workers(proxy, workers)
        yield backend, proxy


def wait_for_workers(proxy: ProxyProcess, number: int, *, other_than: list[int] | None = None) -> list[int]:
    """Wait until so many workers serve, and none of those that are named."""
    gone = set(other_than or ())
    wait_until(lambda: len(proxy.workers) == number and not gone & set(proxy.workers))
    for worker in proxy.workers:
        with only(proxy, worker):
            assert call(proxy, "/api/version").status_code == 200
    return proxy.workers


@contextmanager
def only(proxy: ProxyProcess, worker: int) -> Iterator[None]:
    """Have one worker answer: the others stand still."""
    others = [each for each in proxy.workers if each != worker]
    for other in others:
        os.kill(other, signal.SIGSTOP)
    # One that still runs could take the next connection, and then stand still.
    wait_until(lambda: all(_state(other) in "TZ" for other in others))
    try:
        yield
    finally:
        for other in others:
            with suppress(ProcessLookupError):
                os.kill(other, signal.SIGCONT)


def call(proxy: ProxyProcess, path: str, body: object = None, method: str = "") -> httpx.Response:
    """Make a call on a connection of its own."""
    method = method or ("GET" if body is None else "POST")
    return httpx.request(method, proxy.url + path, json=body, timeout=PATIENCE, trust_env=False)


def counted(proxy: ProxyProcess, endpoint: str, url: str = "") -> int:
    """How many calls the metrics say were answered with status 200."""
    shown = httpx.get(url or f"{proxy.url}/metrics", timeout=PATIENCE, trust_env=False).text
    found = re.search(rf'requests_total{{endpoint="{endpoint}",method="\w+",status="200"}} (\S+)', shown)
    return int(float(found[1])) if found else 0


def speak(backend: ScriptedBackend, seconds: float, times: int = 1) -> None:
    """Let answers take a while."""
    pieces = [step for _ in range(round(seconds * 10)) for step in (text("x"), Sleep(0.1))]
    backend.reply_with(*[Stream([role(), *pieces, finish(), Done()])] * times)


def chats(backend: ScriptedBackend) -> int:
    return sum(request.method == "POST" for request in backend.requests)


def wait_for_chats(backend: ScriptedBackend, number: int) -> None:
    wait_until(lambda: chats(backend) >= number)


class Load:
    """Clients that call without a pause, half of them on kept connections, and what they could not get."""

    def __init__(self, proxy: ProxyProcess, path: str = "/api/version", clients: int = 4) -> None:
        self.failures: list[str] = []
        self.calls = 0
        self._proxy = proxy
        self._path = path
        self._ended = threading.Event()
        self._clients = [threading.Thread(target=self._work, args=(bool(number % 2),)) for number in range(clients)]

    def __enter__(self) -> Load:
        for client in self._clients:
            client.start()
        wait_until(lambda: self.calls > 20)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for client in self._clients:
            client.join()

    def some_more(self) -> None:
        """Wait for further calls."""
        calls = self.calls
        wait_until(lambda: self.calls > calls + 50)

    def _work(self, keep: bool) -> None:
        client = httpx.Client(timeout=PATIENCE, trust_env=False)
        while not self._ended.is_set():
            try:
                status = client.get(self._proxy.url + self._path).status_code
                if status != 200:
                    self.failures.append(str(status))
            except httpx.HTTPError as error:
                self.failures.append(repr(error))
            self.calls += 1
            if not keep:
                client.close()
                client = httpx.Client(timeout=PATIENCE, trust_env=False)
        client.close()


# -- A worker that ends


def test_a_killed_worker_costs_its_own_streams_only_and_is_replaced() -> None:
    end = threading.Event()
    with running() as (backend, proxy), ThreadPoolExecutor(4) as pool:
        backend.reply_with(*[Stream([role(), text("x"), Gate(end), finish(), Done()])] * 4)
        one, other = proxy.workers
        streams: dict[int, list[Future[httpx.Response]]] = {one: [], other: []}
        for worker, mine in streams.items():
            with only(proxy, worker):
                for _ in range(2):
                    calls = chats(backend)
                    mine.append(pool.submit(call, proxy, "/api/chat", CHAT))
                    wait_for_chats(backend, calls + 1)
        os.kill(one, signal.SIGKILL)
        for _ in range(20):
            assert call(proxy, "/api/version").status_code == 200
        for stream in streams[one]:
            with pytest.raises(httpx.TransportError):
                stream.result()
        end.set()
        for stream in streams[other]:
            assert '"done":true' in stream.result().text
        wait_for_workers(proxy, 2, other_than=[one])
        assert other in proxy.workers
        # One that has not worked for two seconds yet is replaced after a pause.
        told = rf"worker \d \(process {one}\) has ended: killed by SIGKILL; another one is started (now|in 1 s)"
        assert re.search(told, proxy.log)


def test_the_only_worker_is_replaced_and_who_connects_meanwhile_waits() -> None:
    with running(1) as (_, proxy):
        old = proxy.worker
        with Raw(proxy.port, timeout=PATIENCE):
            os.kill(old, signal.SIGKILL)
        assert call(proxy, "/api/version").status_code == 200
        assert proxy.worker != old


@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_that_is_told_to_stop_is_replaced_first(workers: int) -> None:
    with running(workers) as (_, proxy), Load(proxy) as load:
        old = proxy.workers[0]
        os.kill(old, signal.SIGTERM)
        wait_until(lambda: old not in proxy.workers)
        load.some_more()
        assert len(proxy.workers) == workers
        load.__exit__()
        assert load.failures == []


def test_workers_end_when_nobody_could_replace_them_any_more() -> None:
    with running() as (_, proxy):
        workers = proxy.workers
        os.kill(proxy.pid, signal.SIGKILL)
        wait_until(lambda: all(_state(worker) == "Z" for worker in workers))


def _state(pid: int) -> str:
    """The state of a process, as Linux calls it: T is stopped, and Z has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def test_a_stop_lets_all_workers_finish() -> None:
    with running() as (backend, proxy), ThreadPoolExecutor(2) as pool:
        speak(backend, 1, times=2)
        answers = []
        for number, worker in enumerate(proxy.workers):
            with only(proxy, worker):
                answers.append(pool.submit(call, proxy, "/api/chat", CHAT))
                wait_for_chats(backend, number + 1)
        assert proxy.stop() == 0
        assert all('"done":true' in answer.result().text for answer in answers)


# -- SIGHUP


@pytest.mark.parametrize("workers", [1, 2])
def test_sighup_reads_everything_anew_and_loses_no_call(workers: int, tmp_path: Path) -> None:
    dotenv, models = tmp_path / ".env", tmp_path / "models.toml"
    dotenv.write_text("OLLAMA_VERSION=0.30.1\nMODELS_FILE=models.toml\n", "utf-8")
    models.write_text('[models.first]\ntarget = "gpt-test"\n', "utf-8")
    with running(workers, cwd=tmp_path) as (backend, proxy), ThreadPoolExecutor(1) as pool:  # type: ignore[arg-type]  # a path
        assert call(proxy, "/api/version").json() == {"version": "0.30.1"}
        speak(backend, 4)
        stream = pool.submit(call, proxy, "/api/chat", CHAT | {"model": "first"})
        wait_for_chats(backend, 1)
        before = proxy.workers
        with Load(proxy) as load:
            dotenv.write_text("OLLAMA_VERSION=0.30.2\nMODELS_FILE=models.toml\n", "utf-8")
            models.write_text('[models.second]\ntarget = "gpt-test"\n', "utf-8")
            os.kill(proxy.pid, signal.SIGHUP)
            wait_until(lambda: "all workers were replaced" in proxy.log)
            load.some_more()
        assert load.failures == []
        assert '"done":true' in stream.result().text
        assert wait_for_workers(proxy, workers, other_than=before)
        for worker in proxy.workers:
            with only(proxy, worker):
                assert call(proxy, "/api/version").json() == {"version": "0.30.2"}
                assert call(proxy, "/api/show", {"model": "second"}).status_code == 200
                assert call(proxy, "/api/show", {"model": "first"}).status_code == 404


def test_a_reload_changes_the_number_of_workers(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    with ScriptedBackend() as backend, ProxyProcess(cwd=tmp_path, OPENAI_API_BASE_URL=backend.base_url) as proxy:
        for number in (3, 1):
            dotenv.write_text(f"WORKERS={number}\n", "utf-8")
            before = proxy.workers
            os.kill(proxy.pid, signal.SIGHUP)
            wait_for_workers(proxy, number, other_than=before)


def test_wrong_settings_are_told_and_change_nothing(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    with running(cwd=tmp_path) as (_, proxy):  # type: ignore[arg-type]  # a path
        before = proxy.workers
        dotenv.write_text("HEARTBEAT_SECONDS=often\n", "utf-8")
        os.kill(proxy.pid, signal.SIGHUP)
        wait_until(lambda: "HEARTBEAT_SECONDS is wrong" in proxy.log)
        assert wait_for_workers(proxy, 2) == before
        dotenv.write_text("HEARTBEAT_SECONDS=20\n", "utf-8")
        os.kill(proxy.pid, signal.SIGHUP)
        wait_for_workers(proxy, 2, other_than=before)


def test_a_wrong_setting_at_the_start_is_one_sentence() -> None:
    with ProxyProcess(wait=False, WORKERS="none") as proxy:
        assert proxy.exit_code() == 1
        assert proxy.log.strip() == "ollama-openai-proxy: WORKERS is wrong: it must be a number from 1 to 256."


# -- What workers share


def test_metrics_are_summed_over_workers_also_over_those_that_have_ended() -> None:
    with running() as (_, proxy):
        for calls, worker in zip((3, 4), proxy.workers, strict=True):
            with only(proxy, worker):
                for _ in range(calls):
                    call(proxy, "/api/tags")
        assert counted(proxy, "/api/tags") == 7
        time.sleep(3)  # a worker that is killed has reported by then
        for number in (signal.SIGTERM, signal.SIGKILL):
            worker = proxy.workers[0]
            os.kill(worker, number)
            wait_for_workers(proxy, 2, other_than=[worker])
            assert counted(proxy, "/api/tags") == 7
        for worker in proxy.workers:
            with only(proxy, worker):
                assert counted(proxy, "/api/tags") == 7
        shown = call(proxy, "/metrics").text
        assert shown.count("\nollama_proxy_info{") == 1
        assert re.search(r'\nollama_proxy_info{mode="translate",version="[^"]+"} 1.0\n', shown)


def test_the_metrics_port_is_shared_as_well() -> None:
    port = free_port()
    with running(METRICS_PORT=str(port)) as (_, proxy):
        for worker in proxy.workers:
            with only(proxy, worker):
                call(proxy, "/api/tags")
        url = f"http://127.0.0.1:{port}/metrics"
        assert counted(proxy, "/api/tags", url) == 2
        before = proxy.workers
        os.kill(proxy.pid, signal.SIGHUP)
        wait_for_workers(proxy, 2, other_than=before)
        assert counted(proxy, "/api/tags", url) == 2
        assert call(proxy, "/metrics").status_code == 404


def test_a_rate_limit_counts_over_all_workers_and_over_a_reload() -> None:
    with running(RATE_LIMIT="1000/day") as (_, proxy):

        def rates() -> list[int]:
            """Make calls to each worker until one is refused; returns how many each allowed."""
            allowed = []
            for worker in proxy.workers:
                with only(proxy, worker), httpx.Client(base_url=proxy.url, timeout=PATIENCE, trust_env=False) as client:
                    allowed.append(0)
                    while allowed[-1] < most and client.get("/api/version").status_code == 200:
                        allowed[-1] += 1
            return allowed

        most = 600
        first, second = rates()
        assert first == 600
        assert 350 < second <= 400  # some calls were made to find out whether the workers serve
        before = proxy.workers
        os.kill(proxy.pid, signal.SIGHUP)
        wait_until(lambda: len(proxy.workers) == 2 and not set(before) & set(proxy.workers))
        assert sum(rates()) == 0


def test_places_count_over_all_workers() -> None:
    with running(MAX_CONCURRENT_REQUESTS="1", MAX_QUEUED_REQUESTS="1") as (backend, proxy), ThreadPoolExecutor(3) as pool:
        one, other = proxy.workers
        speak(backend, 2, times=3)
        with only(proxy, one):
            first = pool.submit(call, proxy, "/api/chat", CHAT)
            wait_for_chats(backend, 1)
        with only(proxy, other):
            second = pool.submit(call, proxy, "/api/chat", CHAT)
            wait_until(lambda: second.running())
            time.sleep(0.5)
            assert call(proxy, "/api/chat", CHAT).status_code == 503
            assert chats(backend) == 1
        assert '"done":true' in first.result().text
        assert '"done":true' in second.result().text


def test_a_killed_worker_gives_its_places_back() -> None:
    with running(MAX_CONCURRENT_REQUESTS="1") as (backend, proxy), ThreadPoolExecutor(2) as pool:
        one, other = proxy.workers
        speak(backend, 20)
        with only(proxy, one):
            first = pool.submit(call, proxy, "/api/chat", CHAT)
            wait_for_chats(backend, 1)
        with only(proxy, other):
            second = pool.submit(call, proxy, "/api/chat", CHAT)
            time.sleep(0.5)
        speak(backend, 0)
        os.kill(one, signal.SIGKILL)
        assert '"done":true' in second.result().text
        with pytest.raises(httpx.TransportError):
            first.result()


def test_names_and_loaded_models_are_known_to_all_workers_and_to_later_ones() -> None:
    with running() as (_, proxy):
        one, other = proxy.workers
        with only(proxy, one):
            assert call(proxy, "/api/copy", {"source": "gpt-test", "destination": "mine"}).status_code == 200
            create = {"model": "brief", "from": "gpt-test", "system": "Be brief.", "stream": False}
            assert call(proxy, "/api/create", create).status_code == 200
            assert call(proxy, "/api/copy", {"source": "gpt-test", "destination": "short-lived"}).status_code == 200
            assert call(proxy, "/api/chat", CHAT | {"model": "mine", "stream": False}).status_code == 200
        with only(proxy, other):
            assert call(proxy, "/api/delete", {"model": "short-lived"}, "DELETE").status_code == 200
            assert names(proxy, "/api/ps") == ["mine"]
        os.kill(one, signal.SIGKILL)
        before = [one]
        for _ in range(2):
            for worker in wait_for_workers(proxy, 2, other_than=before):
                with only(proxy, worker):
                    assert call(proxy, "/api/show", {"model": "brief"}).json()["system"] == "Be brief."
                    assert {"mine", "brief"} < set(names(proxy, "/api/tags"))
                    assert "short-lived" not in names(proxy, "/api/tags")
                    assert names(proxy, "/api/ps") == ["mine"]
            before = proxy.workers
            os.kill(proxy.pid, signal.SIGHUP)
        with only(proxy, wait_for_workers(proxy, 2, other_than=before)[0]):
            unload = {"model": "mine", "messages": [], "keep_alive": 0}
            assert call(proxy, "/api/chat", unload).status_code == 200
        with only(proxy, proxy.workers[1]):
            assert names(proxy, "/api/ps") == []


def names(proxy: ProxyProcess, path: str) -> list[str]:
    return [model["name"].removesuffix(":latest") for model in call(proxy, path).json()["models"]]


def test_whoever_connects_is_answered_by_any_of_them() -> None:
    with running() as (_, proxy):
        answered = dict.fromkeys(proxy.workers, 0)
        for worker in answered:
            with only(proxy, worker), Raw(proxy.port, timeout=PATIENCE) as connection:
                connection.send(get("/api/version"))
                answered[worker] += connection.answer().status == 200
        assert list(answered.values()) == [1, 1]


# -- mitmproxy's tools


@pytest.mark.parametrize("door", ["mitmdump", "mitmweb"])
def test_mitmproxys_tools_refuse_several_workers(door: str) -> None:
    with ProxyProcess(door=door, wait=False, WORKERS="2", OPENAI_API_BASE_URL="http://127.0.0.1:9/v1") as proxy:  # type: ignore[arg-type]
        assert proxy.exit_code() == 1
        assert "WORKERS is above 1, but mitmproxy's tools are one process: set WORKERS to 1." in proxy.log
