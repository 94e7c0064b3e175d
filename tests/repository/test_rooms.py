"""The layout of the package: few modules at the root, one meaning for each name, every room in the contracts, pure modules."""

from __future__ import annotations

import ast
import tomllib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grimp
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "addons" / "ollama_openai_proxy"
NAME = PACKAGE.name
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
LISTS: dict[str, list[str]] = PROJECT["ollama-openai-proxy"]
CONTRACTS: list[dict[str, Any]] = PROJECT["importlinter"]["contracts"]
MOST_AT_THE_ROOT = 7
SAME_IN_SEVERAL_ROOMS = {"router", "request", "openai_responses"}
"""The router of an API, the translation of its requests and the API `/v1/responses`, in each room."""
IMPURE = {"asyncio", "socket", "ssl", "mitmproxy", "openai", "httpx2", "aiohttp", "uvicorn", "anyio"}

ROOMS = sorted(path.stem for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__")
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(NAME, include_external_packages=True, cache_dir=None)


def module_of(path: Path) -> str:
    return ".".join((NAME, *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


def files_of(names: list[str]) -> Iterator[Path]:
    """The files of a list in pyproject.toml."""
    for name in names:
        yield from ([PACKAGE / name] if name.endswith(".py") else sorted((PACKAGE / name).rglob("*.py")))


def test_few_modules_stand_at_the_root() -> None:
    assert len(MODULES) <= MOST_AT_THE_ROOT
    assert len(ROOMS) > 10


def test_a_name_that_stands_twice_means_the_same() -> None:
    names = Counter(path.stem for path in PACKAGE.rglob("*.py") if path.stem != "__init__")
    assert {name for name, count in names.items() if count > 1} <= SAME_IN_SEVERAL_ROOMS


def test_every_room_says_what_is_in_it() -> None:
    silent = [room for room in ROOMS if not ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text()))]
    assert silent == []


def test_every_room_is_in_the_contract_about_layers() -> None:
    (layers,) = [contract["layers"] for contract in CONTRACTS if contract["type"] == "layers" and "containers" not in contract]
    named = {name.strip("() ").split(".")[1] for layer in layers for name in layer.split("|")}
    assert named == {*ROOMS, *MODULES}


def test_the_room_api_is_in_that_contract_with_each_of_its_parts() -> None:
    (layers,) = [contract["layers"] for contract in CONTRACTS if contract["type"] == "layers" and "containers" not in contract]
    named = {name.strip("() ") for layer in layers for name in layer.split("|")}
    parts = {path.stem for path in (PACKAGE / "api").iterdir() if path.stem not in ("__init__", "__pycache__")}
    assert {name.rpartition(".")[2] for name in named if name.startswith(f"{NAME}.api.")} == parts


@pytest.mark.parametrize(("forbidden", "alone"), [("mitmproxy", {"mitm", "cli", "__main__"}), ("openai", {"backend"})])
def test_a_library_of_one_room_is_forbidden_to_all_others(forbidden: str, alone: set[str]) -> None:
    covered = {
        source.split(".")[1]
        for contract in CONTRACTS
        if contract["type"] == "forbidden" and forbidden in contract["forbidden_modules"] and "views" not in str(contract)
        for source in contract["source_modules"]
        if source.count(".") == 1
    }
    # The console command starts the room mitm, so an indirect import of mitmproxy is its purpose.
    assert {*ROOMS, *MODULES} - covered <= alone


@pytest.mark.parametrize("name", [*LISTS["pure"], *LISTS["covered"]])
def test_every_module_of_the_lists_exists(name: str) -> None:
    assert (PACKAGE / name).exists()


@pytest.mark.parametrize("path", list(files_of(LISTS["pure"])), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_pure_module_imports_nothing_that_waits_or_knows_a_socket(graph: grimp.ImportGraph, path: Path) -> None:
    module = module_of(path)
    direct = {name.partition(".")[0] for name in graph.find_modules_directly_imported_by(module)}
    assert direct & IMPURE == set()
