"""The scripted model, the proxy in front of it, and runs of one coding agent in an empty home."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.coding_agents.agents import SESSION, TASK, Patience
from tests.live.proxy import BIN, ProxyProcess
from tests.standins.coding_model import CodingModel, Manner

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scripts.coding_agents.agents import Agent

KEY = "key-of-the-back-end"
CLIENT_KEY = "key-of-a-client"
TEXT = "seven blue lamps"
FILE = "notes.txt"
RUN_PATIENCE = 300
"""Seconds that a run may take."""
END_PATIENCE = 60
"""Seconds that an interrupted program may take to end."""


@dataclass(frozen=True, slots=True)
class Run:
    """What came of a run."""

    status: int
    output: str
    """On stdout and stderr, without the codes of a terminal."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A running proxy in front of a scripted model, for one agent.

    Attributes:
        agent: the program.
        commands: the folder of the program's command.
        model: the scripted model.
        proxy: the proxy.
        seconds: how long a long call is.
    """

    agent: Agent
    commands: Path
    model: CodingModel
    proxy: ProxyProcess
    seconds: float

    @contextmanager
    def user(self, manner: Manner | None = None, *, patience: float | None = None) -> Iterator[User]:
        """A user with an empty home and an empty folder to work in, and a model that begins anew.

        Args:
            manner: of the model.
            patience: seconds that the program waits while nothing comes, where it can be told.
        """
        self.model.begin(manner or Manner())
        # Not below this checkout, which the programs would take for the repository that they are to work on.
        with tempfile.TemporaryDirectory(prefix="coding-agent-", ignore_cleanup_errors=True) as folder:
            told = Patience() if patience is None else self.agent.patience.of(patience)
            user = User(self, Path(folder) / "home", Path(folder) / "work", told)
            user.work.mkdir()
            for name, text in {".keep": "", **told.files}.items():
                file = user.home / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, "utf-8")
            try:
                yield user
            finally:
                end_all_of(user.home)


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who runs the agent with `launch`."""

    stage: Stage
    home: Path
    work: Path
    patience: Patience = field(default_factory=Patience)

    def run(self, task: str, *, again: bool = False) -> Run:
        """Let the agent do a task, and wait for the end of the run.

        Args:
            task: what the model is asked.
            again: whether the run goes on with the last conversation.
        """
        process = self.start(task, again=again)
        try:
            output, _ = process.communicate(timeout=RUN_PATIENCE)
        except subprocess.TimeoutExpired:
            output = f"it did not end within {RUN_PATIENCE} s\n{end(process)}"
        return Run(process.returncode, plain(output))

    def start(self, task: str, *, again: bool = False) -> subprocess.Popen[str]:
        """Start a run, in a process group of its own."""
        agent = self.stage.agent
        words = [word.replace(TASK, task) for word in (agent.again if again else agent.once)]
        if SESSION in words:
            words[words.index(SESSION)] = self._session()
        launch: list[str | Path] = [BIN / "ollama-openai-proxy", "launch", agent.name, "--url", self.stage.proxy.url]
        arguments = [*self.patience.arguments, *words]
        return self._popen([*launch, "--model", self.stage.model.model, "--", *arguments])

    def _session(self) -> str:
        """The id of the newest session."""
        listing = self._popen([self.stage.commands / self.stage.agent.program.command, *self.stage.agent.sessions])
        output, _ = listing.communicate(timeout=RUN_PATIENCE)
        found = re.search(r'"(?:id|sessionId)": ?"([^"]+)"', output)
        assert found, f"no session is listed: {output[-500:]}"
        return found[1]

    def _popen(self, command: Sequence[str | Path]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            env=environment(self.stage.agent, self.stage.commands, self.home, self.patience),
            cwd=self.work,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )


def environment(agent: Agent, commands: Path, home: Path, patience: Patience) -> dict[str, str]:
    """The variables of a run: nothing of the caller's but the path of commands."""
    return {
        "PATH": os.pathsep.join([str(commands), os.environ["PATH"]]),
        "HOME": str(home),
        "TERM": "dumb",
        "LANG": "C.UTF-8",
        "DO_NOT_TRACK": "1",
        "OLLAMA_API_KEY": CLIENT_KEY,
        **agent.environment,
        **patience.environment,
    }


@contextmanager
def stage(agent: Agent, seconds: float) -> Iterator[Stage]:
    """Start the model and the proxy.

    Args:
        agent: the program.
        seconds: how long a long call is; of a shorter one the proxy gives its signs of life sooner, too.

    Raises:
        Unavailable: the program cannot be installed here.
    """
    commands = agent.install()
    settings = {
        "OPENAI_API_KEY": KEY,
        "PROXY_API_KEYS": CLIENT_KEY,
        "HEARTBEAT_SECONDS": str(max(1, round(seconds / 4))),
    }
    with (
        CodingModel(key=KEY) as model,
        ProxyProcess(OPENAI_API_BASE_URL=model.base_url, **settings) as proxy,  # type: ignore[arg-type]  # all texts
    ):
        yield Stage(agent, commands, model, proxy, seconds)


def end(process: subprocess.Popen[str]) -> str:
    """End a run and all that it started; return what it has said."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    output, _ = process.communicate()
    return output


def end_all_of(home: Path) -> None:
    """End all processes with a home, such as services that a program has left behind (Linux only)."""
    sign = b"HOME=" + os.fsencode(home)
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if sign in (folder / "environ").read_bytes().split(b"\0"):
                os.kill(int(folder.name), signal.SIGKILL)


def interrupt(process: subprocess.Popen[str]) -> None:
    """Interrupt a run as a terminal does, all of whose processes get the signal."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)


def ends(process: subprocess.Popen[str]) -> bool:
    """Whether a run ends; a run that does not is ended."""
    deadline = time.monotonic() + END_PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    ended = process.poll() is not None
    if not ended:
        end(process)
    return ended


def plain(output: str) -> str:
    """The output without the codes of a terminal."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07", "", output)
