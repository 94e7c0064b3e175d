"""Locked packages of PyPI, each set in an environment of its own."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

ROOT = Path(__file__).parents[1]
UV = Path(sys.executable).with_name("uv")
TIMEOUT = 600
"""Seconds that a command may take."""
_MOST_SAID = 1500
"""Characters of what a failed command said; npm goes on with all its options."""


class Unavailable(Exception):
    """Something cannot be installed or tried here; the sentence says why."""


def lock_packages(packages: Iterable[str], lock: Path, overrides: Iterable[str] = ()) -> None:
    """Write the newest versions of packages that fit, and the hashes of all that they need.

    Args:
        packages: what is wanted.
        lock: the file to write.
        overrides: packages with the versions that are taken whatever other packages want.

    Raises:
        Unavailable: no index answers, or there is nothing that fits.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    command: list[str | Path] = [UV, "pip", "compile", "--quiet", "--generate-hashes", "--upgrade", "--no-header"]
    command += ["--no-annotate", "--python-version", "3.12", "--no-python-downloads"]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        if overrides:
            # An override may be for one platform only.
            file.write("\n".join(overrides))
            file.flush()
            command += ["--python-platform", "x86_64-unknown-linux-gnu", "--override", file.name]
        else:
            command.append("--universal")
        run([*command, "--output-file", lock, "-"], input="\n".join(packages))


def locked_version(lock: Path, package: str) -> str | None:
    """The version of a package in a lock; None where the lock does not name the package."""
    found = re.search(rf"^{re.escape(package)}(?:\[.*?\])?==(\S+)", lock.read_text("utf-8"), re.MULTILINE)
    return found and found[1]


def install_packages(
    lock: Path, place: Path, *, python: str = sys.executable, timeout: int = TIMEOUT, building: Mapping[str, str] | None = None
) -> None:
    """Make a virtual environment with the packages of a lock.

    Args:
        lock: the versions and hashes.
        place: the environment's folder.
        python: the path or the version of its Python.
        timeout: seconds that the installation may take.
        building: environment variables for packages that are compiled.

    Raises:
        Unavailable: the packages cannot be installed here.
    """
    run([UV, "venv", "--quiet", "--no-project", "--python", python, place], environment=_with_every_python())
    interpreter = place / "bin" / "python"
    # A lock names all that is needed.
    command: list[str | Path] = [UV, "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--requirements", lock]
    command += ["--python", interpreter]
    run(command, timeout=timeout, environment=dict(os.environ) | dict(building or {}))


def install_once(lock: Path, place: Path, install: Callable[[], None], *, python: bool = True) -> None:
    """Call `install`, unless `place` has what the lock says, for this Python where that matters."""
    stamp = place / "stamp"
    state = hashlib.sha256(lock.read_bytes() + sys.version.encode() * python).hexdigest()
    if not stamp.exists() or stamp.read_text() != state:
        shutil.rmtree(place, ignore_errors=True)
        install()
        stamp.write_text(state)


def _with_every_python() -> dict[str, str]:
    """The environment in which pyenv, if there is one, offers all versions that it has, and not only the chosen one."""
    pyenv = shutil.which("pyenv")
    if pyenv is None:
        return dict(os.environ)
    versions = subprocess.run([pyenv, "versions", "--bare"], capture_output=True, text=True, check=False).stdout.split()
    return os.environ | {"PYENV_VERSION": ":".join(versions)}


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path = ROOT,
    input: str | None = None,  # noqa: A002
    timeout: int = TIMEOUT,
    environment: dict[str, str] | None = None,
) -> None:
    """Run a command to its end.

    Raises:
        Unavailable: the command failed, or took too long.
    """
    try:
        ended = subprocess.run(
            command, cwd=cwd, input=input, capture_output=True, text=True, timeout=timeout, check=False, env=environment
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{Path(command[0]).name} {command[1]} did not end within {timeout} s") from error
    if ended.returncode:
        raise Unavailable(f"{Path(command[0]).name} {command[1]} failed:\n{ended.stderr.strip()[:_MOST_SAID]}")
