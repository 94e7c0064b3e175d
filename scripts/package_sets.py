"""Sets of packages of PyPI or npm: locked with all that they need, and each installed in a folder of its own."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scripts.locked_npm import LOCK, install_npm, lock_npm, locked_npm_version
from scripts.locked_packages import TIMEOUT, Unavailable, install_once, install_packages, lock_packages, locked_version

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class PackageSet:
    """Packages that are installed together.

    Attributes:
        name: what the command line and the lock call the set.
        locks: the folder of the lock.
        packages: what is locked, as PyPI or npm write it; the first one's version is the version of the set.
        program: the script that writes the lock.
        npm: whether the packages come from npm; otherwise they come from PyPI.
        python: the version or path of the Python that packages of PyPI need.
        timeout: seconds that the installation may take.
        overrides: see `lock_packages`.
        building: environment variables for packages that are compiled.
    """

    name: str
    locks: Path
    packages: tuple[str, ...]
    program: str
    npm: bool = False
    python: str = sys.executable
    timeout: int = TIMEOUT
    overrides: tuple[str, ...] = ()
    building: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def lock(self) -> Path:
        """The file with the versions and hashes of all packages."""
        return self.locks / (f"{self.name}/{LOCK}" if self.npm else f"{self.name}.txt")

    @property
    def package(self) -> str:
        """The name of the first package."""
        return re.split(r"(?<=.)[=<>\[@]", self.packages[0])[0]

    @property
    def version(self) -> str:
        """The first package's version, as it is locked.

        Raises:
            Unavailable: the set is not locked.
        """
        found = None
        if self.lock.exists():
            find = locked_npm_version if self.npm else locked_version
            found = find(self.lock, self.package)
        if found is None:
            raise self._not_locked()
        return found

    def _not_locked(self) -> Unavailable:
        return Unavailable(f"{self.name} is not locked: run {self.program} --lock --only {self.name}")

    def write_lock(self) -> None:
        """Lock the newest versions that are wanted.

        Raises:
            Unavailable: no registry answers, or there is nothing that fits.
        """
        if self.npm:
            lock_npm([it if "@" in it[1:] else f"{it}@latest" for it in self.packages], self.lock.parent)
        else:
            lock_packages(self.packages, self.lock, self.overrides)

    def install(self, place: Path) -> Path:
        """Install the packages, unless that has been done; return the folder of their commands.

        Raises:
            Unavailable: the packages are not locked, or cannot be installed here.
        """
        if not self.lock.exists():
            raise self._not_locked()

        def install() -> None:
            if self.npm:
                install_npm(self.lock.parent, place)
            else:
                install_packages(self.lock, place, python=self.python, timeout=self.timeout, building=self.building)

        install_once(self.lock, place, install, python=not self.npm)
        return place / "node_modules" / ".bin" if self.npm else place / "bin"
