"""The workflows of continuous integration, as far as they can be checked without running them."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.patience import PATIENCE

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"
BIN = Path(sys.executable).parent


def yaml(path: Path) -> Any:
    # YAML 1.2: in 1.1 the key `on` is true.
    return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))


WORKFLOWS: dict[str, Any] = {path.name: yaml(path) for path in sorted((GITHUB / "workflows").glob("*.yml"))}
JOBS = [(file, name, job) for file, workflow in WORKFLOWS.items() for name, job in workflow["jobs"].items()]
STEPS = [(file, name, step) for file, name, job in JOBS for step in job.get("steps", [])]
SCRIPT = re.compile(r"(?:\./)?((?:\.ci|scripts)/[\w.-]+)((?:[ ]+[^\s|>&;]+)*)")
WRITING = {
    "analysis.yml": {"codeql": {"security-events"}},
    "docs.yml": {"publish": {"contents"}},
    "image.yml": {"image": {"packages"}},
    "release.yml": {"publish": {"id-token"}, "announce": {"contents"}},
}
"""What each job may change. Everything else only reads."""


def commands() -> list[tuple[str, str, tuple[str, ...]]]:
    """Every script that a step runs, with the options that it is given."""
    found = set()
    for file, _, step in STEPS:
        for script, arguments in SCRIPT.findall(step.get("run", "")):
            found.add((file, script, tuple(re.findall(r"(?<= )--[\w-]+", arguments))))
    return sorted(found)


def check(schema: str, *files: Path) -> None:
    command = [BIN / "check-jsonschema", "--builtin-schema", schema, *files]
    ended = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_github_takes_the_workflows() -> None:
    assert sorted(WORKFLOWS) == ["analysis.yml", "ci.yml", "docs.yml", "image.yml", "nightly.yml", "release.yml"]
    check("vendor.github-workflows", *(GITHUB / "workflows").glob("*.yml"))


@pytest.mark.nightly
def test_actionlint_finds_no_mistake() -> None:
    """Types of expressions, inputs of actions, and the shell scripts of steps, where shellcheck is installed."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("there is no go (Debian: apt install golang), with which actionlint is built")
    command = [go, "tool", "actionlint", *map(str, sorted((GITHUB / "workflows").glob("*.yml")))]
    folder = Path(__file__).parent / "actionlint"
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_dependabot_takes_its_file() -> None:
    check("vendor.dependabot", GITHUB / "dependabot.yml")


@functools.cache
def help_of(path: Path) -> str:
    return subprocess.run([path, "--help"], capture_output=True, text=True, timeout=PATIENCE, check=True).stdout


@pytest.mark.parametrize(("file", "script", "options"), commands())
def test_every_script_that_is_run_exists_and_has_the_options(file: str, script: str, options: tuple[str, ...]) -> None:
    path = ROOT / script
    assert path.is_file()
    assert path.stat().st_mode & 0o111
    if options:
        told = help_of(path)
        assert {option for option in options if option not in told} == set()


def test_every_step_that_runs_something_is_understood() -> None:
    assert {script for _, script, _ in commands()} == {
        *(".ci/run", "scripts/agents", "scripts/bench", "scripts/compat", "scripts/fuzz"),
        *("scripts/release", "scripts/servers", "scripts/setup", "scripts/soak", "scripts/test"),
    }
    other = [step["run"].split()[0] for _, _, step in STEPS if "run" in step and not SCRIPT.match(step["run"])]
    assert sorted(other) == [".venv/bin/uv", "docker", "echo", "gh", "git", "sudo"]


def test_every_python_that_is_promised_is_tested() -> None:
    classifiers = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    job = WORKFLOWS["ci.yml"]["jobs"]["test"]
    assert job["strategy"]["matrix"]["python"] == classifiers
    assert job["env"]["CI"] == "true"


@pytest.mark.parametrize("file", WORKFLOWS)
def test_a_workflow_may_only_read_and_waits_for_itself(file: str) -> None:
    workflow = WORKFLOWS[file]
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["group"] == f"{file.removesuffix('.yml')}-${{{{ github.ref }}}}"


@pytest.mark.parametrize(("file", "name", "job"), [pytest.param(*each, id=f"{each[0]}-{each[1]}") for each in JOBS])
def test_a_job_may_change_what_it_has_to(file: str, name: str, job: dict[str, Any]) -> None:
    granted = job.get("permissions", {})
    assert {scope for scope, access in granted.items() if access != "read"} == WRITING.get(file, {}).get(name, set())
    assert "uses" in job or job["timeout-minutes"] <= 120


def test_actions_are_pinned_by_hash_and_each_to_one_version() -> None:
    texts = [path.read_text(encoding="utf-8") for path in (GITHUB / "workflows").glob("*.yml")]
    used = {found for text in texts for found in re.findall(r"uses: (?!\./)(.*)", text)}
    pinned = [re.fullmatch(r"([\w./-]+)@([0-9a-f]{40}) # v\d+\.\d+\.\d+", use) for use in used]
    assert None not in pinned, used
    # The parts of one repository, such as CodeQL's, have one version.
    repositories = {("/".join(use[1].split("/")[:2]), use[2]) for use in pinned if use}
    assert len(dict(repositories)) == len(repositories)


def test_no_checkout_leaves_its_token_behind() -> None:
    for _, _, step in STEPS:
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"] == {"persist-credentials": False}


def test_no_expression_is_run_that_others_can_write() -> None:
    expressions = {found for _, _, step in STEPS for found in re.findall(r"\$\{\{.*?\}\}", step.get("run", ""))}
    assert expressions == {"${{ matrix.python }}"}


def test_only_tested_files_that_a_tag_names_are_published() -> None:
    workflow = WORKFLOWS["release.yml"]
    assert workflow["on"] == {"push": {"tags": ["v*"]}}
    jobs = workflow["jobs"]
    assert [jobs[name].get("needs") for name in ("test", "build", "publish", "announce")] == [None, "test", "build", "publish"]
    assert jobs["test"] == {"uses": "./.github/workflows/ci.yml"}
    assert "workflow_call" in WORKFLOWS["ci.yml"]["on"]
    assert jobs["publish"]["environment"] == "pypi"
    kept = {step["with"]["name"] for step in jobs["build"]["steps"] if "upload-artifact" in step.get("uses", "")}
    taken = {step["with"]["name"] for step in jobs["announce"]["steps"] if "uses" in step}
    assert kept == taken == {"distributions", "notes"}


def test_the_image_is_pushed_for_tags_only() -> None:
    for step in WORKFLOWS["image.yml"]["jobs"]["image"]["steps"]:
        if "login-action" in step.get("uses", ""):
            assert step["if"] == "startsWith(github.ref, 'refs/tags/v')"
        if "build-push-action" in step.get("uses", ""):
            assert step["with"]["push"] == "${{ startsWith(github.ref, 'refs/tags/v') }}"
            assert step["with"]["platforms"] == "linux/amd64,linux/arm64"
