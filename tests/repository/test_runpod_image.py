"""The image recipe of the Runpod example, as far as it can be checked without building it."""

from __future__ import annotations

import json
import re
import shlex
from importlib.metadata import requires
from pathlib import Path
from typing import NamedTuple

import pytest
from ollama_openai_proxy.settings import DEFAULT_PORTS
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "runpod"
SECRET = re.compile(r"key|secret|token|password", re.IGNORECASE)


class Instruction(NamedTuple):
    name: str
    text: str


def instructions() -> list[Instruction]:
    source = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in source.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [Instruction(*line.split(None, 1)) for line in joined.splitlines() if line.strip()]


def texts(name: str) -> list[str]:
    return [instruction.text for instruction in instructions() if instruction.name == name]


def copied() -> list[str]:
    """The sources of what is copied out of the repository."""
    return [source for text in texts("COPY") if not text.startswith("--from=") for source in shlex.split(text)[:-1]]


def test_every_base_image_has_a_fixed_version() -> None:
    bases = [text.split()[0] for text in texts("FROM")]
    assert bases[-1].startswith("ollama/ollama:")
    for base in bases:
        assert re.fullmatch(r"[\w./-]+:\d+\.\d+[\w.-]*", base), base


@pytest.mark.parametrize("source", copied())
def test_what_it_copies_exists_and_is_let_into_the_build(source: str) -> None:
    assert (ROOT / source).exists()
    let_in = re.findall(r"^!(.+)$", (FOLDER / "Dockerfile.dockerignore").read_text(encoding="utf-8"), re.MULTILINE)
    assert any(source == entry or source.startswith(f"{entry}/") for entry in let_in)


def test_nothing_else_is_let_into_the_build() -> None:
    lines = (FOLDER / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert not any(rule.lstrip("!").startswith((".", "examples/runpod/.")) for rule in rules)


def test_the_port_of_the_proxy_is_exposed_and_that_of_ollama_is_not() -> None:
    assert texts("EXPOSE") == [str(DEFAULT_PORTS["fix"])]


def test_it_starts_with_the_start_script_and_is_checked_by_it() -> None:
    (check,) = texts("HEALTHCHECK")
    assert [json.loads(text) for text in texts("ENTRYPOINT")] == [[]]
    assert [json.loads(text) for text in texts("CMD")] == [["start.sh"]]
    assert json.loads(check.partition("CMD ")[2]) == ["start.sh", "--check"]
    assert (FOLDER / "start.sh").stat().st_mode & 0o111 == 0o111


def test_no_secret_is_part_of_the_image() -> None:
    assert [text for text in texts("ENV") + texts("ARG") if SECRET.search(text)] == []


def test_ollama_is_private_whatever_starts_it() -> None:
    assert any("OLLAMA_HOST=127.0.0.1:11434" in text.split() for text in texts("ENV"))


def test_every_package_is_checked_by_its_hash() -> None:
    installed = [text for text in texts("RUN") if "pip install" in text]
    assert all("--require-hashes" in text or re.search(r"--no-deps \S+\.whl", text) for text in installed)


def test_all_that_builds_the_wheel_is_installed_for_it() -> None:
    wanted, pending = {"hatchling"}, ["hatchling"]
    while pending:
        for requirement in map(Requirement, requires(pending.pop()) or []):
            applies = requirement.marker is None or requirement.marker.evaluate({"extra": "", "python_version": "3.12"})
            if applies and requirement.name not in wanted:
                wanted.add(requirement.name)
                pending.append(requirement.name)
    (command,) = [text for text in texts("RUN") if "build.txt" in text]
    listed = re.search(r"/\^\(([\w|-]+)\)==/", command)
    assert listed is not None
    assert set(listed[1].split("|")) == wanted
    locked = (ROOT / "requirements" / "dev.txt").read_text(encoding="utf-8")
    assert all(f"\n{name}==" in locked for name in wanted)


def test_its_page_names_the_port_and_what_the_start_script_reads() -> None:
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    for name in ("PROXY_API_KEYS", "OLLAMA_PULL", "PROXY_PORT", "HEARTBEAT_SECONDS", "UPSTREAM_WAIT_SECONDS"):
        assert f"`{name}`" in page
    assert f"| Expose HTTP ports | `{DEFAULT_PORTS['fix']}` |" in page


def test_its_programs_do_not_run_as_root_where_that_is_possible() -> None:
    (added,) = [text for text in texts("RUN") if "useradd" in text]
    user = added.split()[-1]
    script = (FOLDER / "start.sh").read_text(encoding="utf-8")
    assert f"as_user=(setpriv --reuid={user} --regid={user} --init-groups" in script
    started = [line for line in script.splitlines() if line.endswith("&") and not line.lstrip().startswith(("sleep", "pull"))]
    assert [line.split()[0] for line in started] == ['"${as_owner[@]}"', '"${as_user[@]}"']
