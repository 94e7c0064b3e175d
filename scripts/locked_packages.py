"""Locked packages of PyPI, each set in an environment of its own."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

ROOT = Path(__file__).parents[1]
UV = Path(sys.executable).with_name("uv")
TIMEOUT = 600
"""Seconds that a command may take."""


class Unavailable(Exception):
    """An environment cannot be made; the sentence says why."""


def lock_packages(packages: Iterable[str], lock: Path) -> None:
    """Write the newest versions of packages that fit, and the hashes of all that they need.

    Raises:
        Unavailable: no index answers, or there is nothing that fits.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    command: list[str | Path] = [UV, "pip", "compile", "--quiet", "--universal", "--generate-hashes", "--upgrade"]
    command += ["--no-header", "--no-annotate", "--python-version", "3.12", "--no-python-downloads"]
    run([*command, "--output-file", lock, "-"], input="\n".join(packages))


def locked_version(lock: Path, package: str) -> str | None:
    """The version of a package in a lock; None where the lock does not name the package."""
    found = re.search(rf"^{re.escape(package)}(?:\[.*?\])?==(\S+)", lock.read_text("utf-8"), re.MULTILINE)
    return found and found[1]


def install_packages(lock: Path, place: Path, *, timeout: int = TIMEOUT) -> None:
    """Make a virtual environment with the packages of a lock.

    Raises:
        Unavailable: the packages cannot be installed here.
    """
    run([UV, "venv", "--quiet", "--no-project", "--python", sys.executable, place])
    interpreter = place / "bin" / "python"
    command: list[str | Path] = [UV, "pip", "install", "--quiet", "--require-hashes"]
    command += ["--python", interpreter, "--requirements", lock]
    run(command, timeout=timeout)


def install_once(lock: Path, place: Path, install: Callable[[], None], *, python: bool = True) -> None:
    """Call `install`, unless `place` has what the lock says, for this Python where that matters."""
    stamp = place / "stamp"
    state = hashlib.sha256(lock.read_bytes() + sys.version.encode() * python).hexdigest()
    if not stamp.exists() or stamp.read_text() != state:
        shutil.rmtree(place, ignore_errors=True)
        install()
        stamp.write_text(state)


def run(command: Sequence[str | Path], *, cwd: Path = ROOT, input: str | None = None, timeout: int = TIMEOUT) -> None:  # noqa: A002
    """Run a command to its end.

    Raises:
        Unavailable: the command failed, or took too long.
    """
    try:
        ended = subprocess.run(command, cwd=cwd, input=input, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{Path(command[0]).name} {command[1]} did not end within {timeout} s") from error
    if ended.returncode:
        raise Unavailable(f"{Path(command[0]).name} {command[1]} failed:\n{ended.stderr.strip()}")
