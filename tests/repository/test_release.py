"""A release: one version, a changelog that tells it, and files that hold what they should."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ollama_openai_proxy import __version__

from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
DAY = "2026-01-02"
NOTES = "### Added\n\n* A thing that users see.\n\n### Fixed\n\n* Another one."
CHANGELOG = (
    f"# Changelog\n\n## Unreleased\n\n## {__version__} - {DAY}\n\n{NOTES}\n\n## 0.0.1 - 2025-01-01\n\n### Added\n\n* Old.\n"
)
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}

pytestmark = pytest.mark.skipif(
    shutil.which("git") is None or shutil.which("bash") is None, reason="a release is made with git and bash"
)


class Checkout:
    """A repository of its own with this project's files, whose tests are one command."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "addons", folder / "addons", ignore=ignored)
        shutil.copytree(ROOT / "docs", folder / "docs")
        for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", ".gitignore", ".env.example"):
            shutil.copy(ROOT / name, folder)
        self.write("CHANGELOG.md", CHANGELOG)
        self.write("scripts/setup", "#!/bin/sh\n")
        self.write("scripts/test", "#!/bin/sh\necho tested\n")
        shutil.copy(ROOT / "scripts" / "release", folder / "scripts")
        (folder / ".venv").mkdir()
        for name in ("bin", "lib", "pyvenv.cfg"):
            (folder / ".venv" / name).symlink_to(BIN.parent / name)
        # What lies about in a checkout in use, and must get into no archive.
        self.write(".env", "OPENAI_API_KEY=sk-secret\n")
        self.write("addons/ollama_openai_proxy/__pycache__/cli.cpython-312.pyc", "compiled")
        self.git("init", "--quiet", "--initial-branch", "main")
        self.commit()

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        if text.startswith("#!"):
            path.chmod(0o755)

    def commit(self) -> None:
        self.git("add", ".")
        self.git("commit", "--quiet", "--message", "all")

    def git(self, *arguments: str) -> str:
        return self._run("git", *arguments, check=True).stdout

    def release(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._run("scripts/release", *arguments, check=False)

    def refusals(self, *arguments: str) -> list[str]:
        """What it says when it refuses."""
        ended = self.release(*arguments)
        assert (ended.returncode, ended.stdout) == (1, "")
        return [line.removeprefix("scripts/release: ") for line in ended.stderr.splitlines()]

    @property
    def built(self) -> set[str]:
        return {path.name for path in self.folder.glob("dist/*")}

    def _run(self, *command: str, check: bool) -> subprocess.CompletedProcess[str]:
        # No settings of this machine's git, and nothing of a git that runs these tests.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        environment |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        for who in ("AUTHOR", "COMMITTER"):
            environment |= {f"GIT_{who}_NAME": "tests", f"GIT_{who}_EMAIL": "tests@example.org"}
        ended = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert not check or ended.returncode == 0, ended.stderr
        return ended


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    folder = tmp_path / "checkout"
    folder.mkdir()
    return Checkout(folder)


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Checkout, subprocess.CompletedProcess[str]]]:
    """A checkout after its release, with a remote that it could push to."""
    checkout = Checkout(tmp_path_factory.mktemp("released"))
    remote = tmp_path_factory.mktemp("remote")
    checkout.git("init", "--quiet", "--bare", str(remote))
    checkout.git("remote", "add", "origin", str(remote))
    yield checkout, checkout.release()
    assert checkout.git("ls-remote", "origin") == ""


# -- The version and the changelog -------------------------------------------------------------------------------------


def test_the_version_stands_in_one_place() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "version" not in project
    assert "version" in project["dynamic"]
    files = [*(ROOT / "addons").rglob("*.py"), *(ROOT / "deploy").rglob("*.*"), *ROOT.glob("[Dc]o*e*"), ROOT / "README.md"]
    named = re.compile(rf"(?<![\d.]){re.escape(__version__)}(?![\d.])")
    holding = {path.relative_to(ROOT).as_posix() for path in files if path.is_file() and named.search(path.read_text("utf-8"))}
    # The second one is compared with the first by the tests of the manifests.
    assert holding == {"addons/ollama_openai_proxy/__init__.py", "deploy/kubernetes/kustomization.yaml"}


def test_the_changelog_has_the_form_that_tools_and_users_expect() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    titles = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert titles[0] == "Unreleased"
    assert all(re.fullmatch(r"\d+\.\d+\.\d+\S* - \d{4}-\d\d-\d\d", title) for title in titles[1:])
    days = [title[-10:] for title in titles[1:]]
    assert days == sorted(days, reverse=True)
    assert set(re.findall(r"^### (.*)$", text, re.MULTILINE)) <= KINDS
    # The version at hand is told, whether it is released yet or not.
    told: dict[str, str] = dict(re.findall(r"^## (\S+).*\n((?:(?!## ).*\n)*)", text, re.MULTILINE))
    assert "* " in told.get(__version__, told["Unreleased"])


# -- What is built -----------------------------------------------------------------------------------------------------


def test_a_release_is_tested_built_checked_and_tagged_and_says_what_is_next(
    released: tuple[Checkout, subprocess.CompletedProcess[str]],
) -> None:
    checkout, ended = released
    assert ended.returncode == 0, ended.stderr
    assert "tested" in ended.stdout
    assert ended.stdout.count("PASSED") == 2
    assert f"git push origin main v{__version__}" in ended.stdout
    assert checkout.built == {
        f"ollama_openai_proxy-{__version__}.tar.gz",
        f"ollama_openai_proxy-{__version__}-py3-none-any.whl",
    }
    assert checkout.git("tag", "--list").split() == [f"v{__version__}"]
    assert checkout.git("cat-file", "-t", f"v{__version__}") == "tag\n"
    assert checkout.git("status", "--porcelain") == ""


def test_the_sdist_holds_the_addon_and_its_papers_and_nothing_else(
    released: tuple[Checkout, subprocess.CompletedProcess[str]],
) -> None:
    name = f"ollama_openai_proxy-{__version__}"
    with tarfile.open(released[0].folder / "dist" / f"{name}.tar.gz") as archive:
        files = {member.name.removeprefix(f"{name}/") for member in archive.getmembers() if not member.isdir()}
        assert all(member.isfile() and not member.name.startswith(("/", "..")) for member in archive.getmembers())
    addons = {path.relative_to(ROOT).as_posix() for path in (ROOT / "addons").rglob("*.py")}
    papers = {"CHANGELOG.md", "LICENSE", "README.md", "hatch_build.py", "pyproject.toml", "PKG-INFO", ".gitignore"}
    assert files == addons | papers | {"addons/ollama_openai_proxy/py.typed"}


def test_the_sdist_builds_the_wheel_that_the_checkout_builds(
    released: tuple[Checkout, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    name = f"ollama_openai_proxy-{__version__}-py3-none-any.whl"
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, capture_output=True, timeout=PATIENCE, check=True)
    # The one in dist was made of the sdist.
    assert (released[0].folder / "dist" / name).read_bytes() == (tmp_path / name).read_bytes()


@pytest.mark.parametrize("url", ["", "https://code.example/owner/project"])
def test_the_addresses_are_those_of_the_repository_that_builds(url: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "PROJECT_URL": url}, capture_output=True, timeout=PATIENCE, check=True)
    with zipfile.ZipFile(next(tmp_path.iterdir())) as archive:
        metadata = archive.read(f"ollama_openai_proxy-{__version__}.dist-info/METADATA").decode()
    found = re.findall(r"^Project-URL: \w+, (.*)$", metadata, re.MULTILINE)
    assert len(found) == (5 if url else 0)
    assert all(each.startswith(url) for each in found)


def test_a_rehearsal_leaves_nothing_behind(checkout: Checkout) -> None:
    ended = checkout.release("--check")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("PASSED") == 2
    assert ended.stdout.endswith(f"scripts/release: {__version__} can be released.\n")
    assert (checkout.built, checkout.git("tag", "--list")) == (set(), "")


def test_a_tag_is_built_wherever_it_is_checked_out(checkout: Checkout) -> None:
    checkout.git("checkout", "--quiet", "--detach")
    checkout.write("scripts/test", "#!/bin/sh\nexit 1\n")
    ended = checkout.release("--from-tag", f"v{__version__}")
    assert ended.returncode == 0, ended.stderr
    assert len(checkout.built) == 2
    assert checkout.git("tag", "--list") == ""


def test_the_notes_are_what_the_changelog_says_of_the_version(checkout: Checkout) -> None:
    assert checkout.release("--notes").stdout == f"{NOTES}\n"


# -- What is refused ---------------------------------------------------------------------------------------------------


def test_all_that_is_in_the_way_is_told_at_once(checkout: Checkout) -> None:
    checkout.git("tag", f"v{__version__}")
    checkout.git("checkout", "--quiet", "-b", "feature")
    checkout.write("CHANGELOG.md", "# Changelog\n\n## Unreleased\n\n### Added\n\n* A thing.\n")
    for arguments in ((), ("--check",)):
        assert checkout.refusals(*arguments) == [
            "there are uncommitted changes.",
            "this is not the branch main.",
            f"CHANGELOG.md has entries under Unreleased: move them to {__version__}.",
            f"the tag v{__version__} exists: raise the version in addons/ollama_openai_proxy/__init__.py.",
            f'CHANGELOG.md has no heading "## {__version__} - YEAR-MONTH-DAY".',
        ]


@pytest.mark.parametrize(
    ("changelog", "refusal"),
    [
        (CHANGELOG.replace(f" - {DAY}", ""), f'CHANGELOG.md has no heading "## {__version__} - YEAR-MONTH-DAY".'),
        (CHANGELOG.replace(f" - {DAY}", " - soon"), f'CHANGELOG.md has no heading "## {__version__} - YEAR-MONTH-DAY".'),
        (CHANGELOG.replace(__version__, __version__.replace(".", "x")), "CHANGELOG.md has no heading"),
        (CHANGELOG.replace(NOTES, ""), f"CHANGELOG.md says nothing of {__version__}."),
    ],
)
def test_a_changelog_that_does_not_tell_the_version_is_refused(checkout: Checkout, changelog: str, refusal: str) -> None:
    checkout.write("CHANGELOG.md", changelog)
    checkout.commit()
    for arguments in ((), ("--from-tag", f"v{__version__}"), ("--notes",)):
        [told] = checkout.refusals(*arguments)
        assert told.startswith(refusal)
    assert checkout.built == set()


def test_failing_tests_are_no_release(checkout: Checkout) -> None:
    checkout.write("scripts/test", "#!/bin/sh\nexit 1\n")
    checkout.commit()
    assert checkout.refusals() == ["the tests fail."]
    assert (checkout.built, checkout.git("tag", "--list")) == (set(), "")


def test_what_the_index_would_refuse_or_warn_of_gets_no_tag(checkout: Checkout) -> None:
    metadata = (checkout.folder / "pyproject.toml").read_text(encoding="utf-8")
    checkout.write("pyproject.toml", metadata.replace('readme = "README.md"\n', ""))
    checkout.commit()
    ended = checkout.release()
    assert ended.returncode != 0
    assert "long_description" in ended.stdout
    assert checkout.git("tag", "--list") == ""


def test_a_tag_that_is_not_the_versions_is_not_built(checkout: Checkout) -> None:
    for tag in (__version__, "v99.0.0"):
        assert checkout.refusals("--from-tag", tag) == [f"the tag is {tag}, but the version is {__version__}."]


def test_wrong_arguments_are_told_how_it_is_used(checkout: Checkout) -> None:
    for arguments in (("--push",), ("--check", "more"), ("--from-tag",), ("--from-tag", "v1", "v2")):
        ended = checkout.release(*arguments)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert ended.stderr.startswith("Usage: scripts/release")
