"""Locked packages of npm, each set in a folder of its own."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.locked_packages import Unavailable, run

if TYPE_CHECKING:
    from collections.abc import Sequence

LOCK = "package-lock.json"
_SETTINGS = "omit-lockfile-registry-resolved=true\naudit=false\nfund=false\nupdate-notifier=false\n"
"""The first keeps the registry's address out of the lock."""


def lock_npm(packages: Sequence[str], folder: Path) -> None:
    """Write the newest versions of packages that fit, and the hashes of all that they need.

    Args:
        packages: what is wanted, as `NAME@VERSION` or `NAME@TAG`.
        folder: where the lock is written, beside `package.json`; its name becomes that of the set.

    Raises:
        Unavailable: no registry answers, or there is nothing that fits.
    """
    with tempfile.TemporaryDirectory() as draft:
        # What is there stays as it is, unless all goes well.
        place = Path(draft) / folder.name
        _lock_npm(packages, place)
        shutil.copytree(place, folder, dirs_exist_ok=True)


def _lock_npm(packages: Sequence[str], folder: Path) -> None:
    folder.mkdir()
    (folder / ".npmrc").write_text(_SETTINGS, "utf-8")
    package = {"name": folder.name, "private": True, "type": "module", "dependencies": {}}
    (folder / "package.json").write_text(json.dumps(package, indent=2) + "\n", "utf-8")
    run([find_command("npm"), "install", "--save-exact", "--package-lock-only", *packages], cwd=folder)
    lock = folder / LOCK
    locked = json.loads(lock.read_text("utf-8"))
    names = {place.rpartition("node_modules/")[2] for place in locked["packages"]}
    for entry in locked["packages"].values():
        entry.pop("funding", None)
        # Builds for other systems, of which a registry may lack some; `npm ci` refuses a lock that names what it has not got.
        for name in entry.get("optionalDependencies", {}).keys() - names:
            del entry["optionalDependencies"][name]
    lock.write_text(json.dumps(locked, indent=2, ensure_ascii=False) + "\n", "utf-8")


def locked_npm_version(lock: Path, package: str) -> str | None:
    """The version of a package in a lock; None where the lock does not name the package."""
    version = json.loads(lock.read_text("utf-8"))["packages"].get(f"node_modules/{package}", {}).get("version")
    return None if version is None else str(version)


def install_npm(folder: Path, place: Path) -> None:
    """Install the packages of a lock; npm checks the hashes.

    Args:
        folder: has the lock.
        place: where the packages are installed; must not exist.

    Raises:
        Unavailable: the packages cannot be installed here.
    """
    npm = find_command("npm")
    shutil.copytree(folder, place)
    run([npm, "ci", "--prefer-offline", "--loglevel=error"], cwd=place)


def find_command(name: str) -> str:
    """The path of a command.

    Raises:
        Unavailable: there is no such command.
    """
    found = shutil.which(name)
    if found is None:
        raise Unavailable(f"there is no {name}")
    return found
