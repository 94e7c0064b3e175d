"""Does what the Dockerfile says, without Docker, and tries what comes of it."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

import httpx

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.dockerfile import Stage, command_of, read_dockerfile, variables
from tests.live.proxy import BIN, ROOT, free_port
from tests.standins import ScriptedBackend, StrictOllama

if TYPE_CHECKING:
    from collections.abc import Mapping

DESCRIPTION = """\
Plays the Dockerfile's steps in an empty folder: builds the wheel and installs it with the
locked versions. Then, in each mode, starts the image's command with the image's environment
and as the image's user, waits for its health check, has a chat, and stops it with SIGTERM.
Exit status: 1 if any of that fails.

Run by root, it changes to the image's user; otherwise it says that it cannot.
"""
KEY = "key-of-the-image-check"
PATIENCE = 60
"""Seconds until the health check must have succeeded, and until the proxy must have ended."""
NOT_FOR_STEPS = re.compile(r"PYTHON|VIRTUAL_ENV|COV|OPENAI_|OLLAMA_|PROXY_")


class Failed(Exception):
    """What the image would not do."""


@dataclass
class Image:
    """A folder that holds what the image's steps add to its base image.

    Args:
        folder: what is `/` in the image.
        top: the folders in `/` that are the image's own.
        environment: its variables.
    """

    folder: Path
    top: set[str]
    environment: dict[str, str]
    user: tuple[int, int] | None = None
    directory: str = "/"
    commands: dict[str, list[str]] = field(default_factory=dict)

    def here(self, text: str) -> str:
        """A text in which paths of the image lead into the folder."""
        names = "|".join(map(re.escape, self.top))
        return re.sub(rf"(?<![\w./-])/(?=(?:{names})\b)", f"{self.folder}/", text)

    @property
    def cwd(self) -> Path:
        """The working directory."""
        path = Path(self.here(self.directory))
        path.mkdir(parents=True, exist_ok=True)
        return path

    def start(self, command: list[str], settings: Mapping[str, str], output: IO[bytes]) -> subprocess.Popen[bytes]:
        """Run one of the image's commands as its user, with nothing of this machine's environment."""
        environment = {"HOME": "/nonexistent", **self.environment, **settings}
        program = shutil.which(command[0], path=environment["PATH"])
        if program is None:
            raise Failed(f"there is no {command[0]} in the image")
        uid, gid = self.user or (None, None)
        return subprocess.Popen(
            [program, *command[1:]],
            env=environment,
            cwd=self.cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            user=uid,
            group=gid,
            extra_groups=None if uid is None else [],
        )


def main() -> int:
    """Check the image; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/image_check", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch).chmod(0o755)
        try:
            image = build(read_dockerfile(ROOT / "Dockerfile"), Path(scratch))
            for mode in ("translate", "fix"):
                try_out(image, mode)
        except (Failed, subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            print(f"scripts/image_check: {error}", file=sys.stderr)
            return 1
    say("all is well.")
    return 0


def say(text: str) -> None:
    """Tell the user."""
    print(f"scripts/image_check: {text}", flush=True)


# -- The steps ---------------------------------------------------------------------------------------------------------


def build(stages: list[Stage], scratch: Path) -> Image:
    """Play all stages, of which only the last and what it copies remain."""
    root = os.geteuid() == 0
    environment = base_image(stages, scratch, for_all=root)
    texts = [text for stage in stages for name in ("WORKDIR", "COPY") for text in stage.texts(name)]
    top = {path.split("/")[1] for text in texts for path in text.split() if path.startswith("/")}
    folder = scratch / "image"
    *earlier, last = stages
    for stage in earlier:
        image = Image(folder, top, dict(environment))
        play(stage, image, last=False)
    kept = [image.here(text.split()[-1]) for text in last.texts("COPY") if text.startswith("--from=")]
    for path in folder.rglob("*"):
        if path.exists() and not any(path.is_relative_to(each) or Path(each).is_relative_to(path) for each in kept):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    image = Image(folder, top, dict(environment))
    play(last, image, last=True)
    if not root:
        image.user = None
        say("this is not root, so the proxy runs as this user, and not as the image's.")
    return image


def base_image(stages: list[Stage], scratch: Path, *, for_all: bool) -> dict[str, str]:
    """Make what stands for the base image, a Python with pip, in `scratch`; returns its environment."""
    environment = {"PATH": os.pathsep.join([str(scratch / "base" / "bin"), "/usr/bin", "/bin"])}
    (version,) = {match[1] for stage in stages if (match := re.match(r"python:(\d+\.\d+)", stage.base))}
    found = interpreter(f"python{version}")
    if found is None:
        found = interpreter(sys.executable)
        say(f"there is no Python {version}: taking {sys.version.split()[0]} instead.")
    assert found is not None
    program, prefix = found
    if for_all and not is_open_to_all(program):
        say("the image's user cannot reach this Python: copying it.")
        library = f"lib/{program.name}"
        for part in ("bin", library):
            (scratch / "python" / part).mkdir(parents=True)
        shutil.copy(program, scratch / "python" / "bin")
        for shared in (prefix / "lib").glob("libpython*.so*"):
            shutil.copy(shared, scratch / "python" / "lib")
        ignored = shutil.ignore_patterns("site-packages", "test", "__pycache__", "config-*", "idlelib", "tkinter")
        shutil.copytree(prefix / library, scratch / "python" / library, ignore=ignored, dirs_exist_ok=True)
        program = scratch / "python" / "bin" / program.name
        environment["LD_LIBRARY_PATH"] = str(scratch / "python" / "lib")
    # Debian's Python has no ensurepip, with which it could do so itself.
    command: list[str | Path] = [BIN / "uv", "venv", "--quiet", "--seed", "--python", program, scratch / "base"]
    subprocess.run(command, env=clean(os.environ) | environment, check=True, timeout=120)
    return environment


def interpreter(name: str) -> tuple[Path, Path] | None:
    """The real file of a Python and its prefix."""
    code = "import sys; print(f'{sys.base_prefix}\\n{sys.version_info[0]}.{sys.version_info[1]}')"
    # pyenv has commands for versions that it only runs if it is told so.
    environment = {**clean(os.environ), "PYENV_VERSION": name.removeprefix("python")}
    try:
        told = subprocess.run([name, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return None
    prefix, version = told.stdout.split("\n")[:2]
    program = Path(prefix) / "bin" / f"python{version}"
    return (program, Path(prefix)) if program.exists() else None


def is_open_to_all(path: Path) -> bool:
    """Whether every user can run a program."""
    path = path.resolve()
    return all(each.stat().st_mode & stat.S_IXOTH for each in (path, *path.parents))


def clean(environment: Mapping[str, str]) -> dict[str, str]:
    """This machine's environment (where packages come from, for one), without what would change a step."""
    return {name: value for name, value in environment.items() if not NOT_FOR_STEPS.match(name)}


def play(stage: Stage, image: Image, *, last: bool) -> None:
    """Do what a stage says."""
    for name, text in stage.instructions:
        match name:
            case "ENV":
                for key, value in variables(text).items():
                    image.environment[key] = image.here(value.replace("$PATH", image.environment["PATH"]))
            case "WORKDIR":
                image.directory = text
                _ = image.cwd
            case "COPY":
                copy(text, image)
            case "RUN" if last:
                if not re.fullmatch(r"useradd [^&|;]+", text):
                    raise Failed(f"this script does not know how to play in the last stage: {text}")
                say(f"left out, since it changes this machine: {text.split()[0]}")
            case "RUN":
                run(text, image)
            case "USER":
                uid, gid = map(int, text.split(":"))
                image.user = uid, gid
            case "HEALTHCHECK" | "ENTRYPOINT":
                image.commands[name] = command_of(text)
            case "LABEL" | "EXPOSE":
                pass
            case _:
                raise Failed(f"this script does not know how to play {name}")


def run(text: str, image: Image) -> None:
    """Do what a RUN says."""
    say(f"RUN {' '.join(text.split())[:100]}")
    # Downloads may be kept here, where there is no layer to be small.
    environment = clean(os.environ) | image.environment | {"PIP_NO_CACHE_DIR": "0"}
    command = ["/bin/sh", "-ec", image.here(text)]
    done = subprocess.run(command, cwd=image.cwd, env=environment, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise Failed(f"a step ended with status {done.returncode}:\n{done.stdout}{done.stderr}")


def copy(text: str, image: Image) -> None:
    """Do what a COPY says."""
    *sources, target = shlex.split(text)
    if sources[0].startswith("--from="):
        if sources[1:] != [target]:
            # The programs of a virtual environment name its path.
            raise Failed(f"this script can copy from another stage only to the same path: {text}")
        if not Path(image.here(target)).exists():
            raise Failed(f"there is nothing to copy: {text}")
        return
    folder = image.cwd / image.here(target)
    for source in sources:
        path = ROOT / source
        if path.is_dir():
            shutil.copytree(path, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder)


# -- What comes of them ------------------------------------------------------------------------------------------------


def try_out(image: Image, mode: str) -> None:
    """Start the proxy in a mode, use it, and stop it."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings = {"PROXY_MODE": mode, "PROXY_PORT": str(port), "PROXY_API_KEYS": KEY}
    with ExitStack() as stack:
        if mode == "translate":
            settings["OPENAI_API_BASE_URL"] = stack.enter_context(ScriptedBackend()).base_url
        else:
            settings["OLLAMA_UPSTREAM_URL"] = stack.enter_context(StrictOllama()).url
        output = stack.enter_context(tempfile.TemporaryFile())
        if is_healthy(image, settings):
            raise Failed("the health check succeeds although nothing runs")
        began = time.monotonic()
        process = image.start(image.commands["ENTRYPOINT"], settings, output)
        try:
            while not is_healthy(image, settings):
                if process.poll() is not None or time.monotonic() - began > PATIENCE:
                    raise Failed(f"the health check of {mode} mode does not succeed:\n{log(output)}")
                time.sleep(0.2)
            say(f"{mode} mode is healthy after {time.monotonic() - began:.1f} s, as user {owner(process.pid)}")
            use(url, "gpt-test" if mode == "translate" else "tiny")
            process.send_signal(signal.SIGTERM)
            status = process.wait(PATIENCE)
        finally:
            process.kill()
            process.wait()
        if status:
            raise Failed(f"after SIGTERM it ended with status {status}:\n{log(output)}")
        if strange := [line for line in log(output).splitlines() if not is_json(line)]:
            raise Failed("its log holds what is not JSON:\n" + "\n".join(strange))
    say(f"{mode} mode has answered, and ended with status 0")


def is_healthy(image: Image, settings: Mapping[str, str]) -> bool:
    """Whether the image's health check succeeds."""
    with tempfile.TemporaryFile() as output:
        return image.start(image.commands["HEALTHCHECK"], settings, output).wait(PATIENCE) == 0


def use(url: str, model: str) -> None:
    """Have a chat."""
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "stream": False}
    with httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE) as client:
        refused = client.post("/api/chat", json=body)
        reply = client.post("/api/chat", json=body, headers={"Authorization": f"Bearer {KEY}"})
    if refused.status_code != 401:
        raise Failed(f"without a key it answers with {refused.status_code}: {refused.text}")
    if reply.status_code != 200 or not reply.json()["done"]:
        raise Failed(f"a chat is answered with {reply.status_code}: {reply.text}")


def owner(pid: int) -> int:
    """The user that a process runs as."""
    return Path(f"/proc/{pid}").stat().st_uid if Path("/proc/self").exists() else os.getuid()


def log(output: IO[bytes]) -> str:
    """What the proxy has written."""
    return os.pread(output.fileno(), 1 << 20, 0).decode()


def is_json(line: str) -> bool:
    """Whether a line is one JSON value."""
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
