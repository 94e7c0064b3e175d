"""Every page: links lead somewhere, blocks of code can be read, commands exist, quoted texts are the product's."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest
from mitmproxy.options import Options
from mitmproxy.tools import cmdline
from mitmproxy.tools.dump import DumpMaster
from mitmproxy.tools.web.master import WebMaster
from ollama_openai_proxy import cli
from ollama_openai_proxy.fix.method_map import ENDPOINTS
from ollama_openai_proxy.launch.command import _parser as launch_parser
from ollama_openai_proxy.launch.programs import find_program
from ollama_openai_proxy.models.catalogue import Catalogue
from ollama_openai_proxy.models.models_file import BackendEntry, ModelEntry, load_models_file
from ollama_openai_proxy.settings import Settings, load_settings
from ollama_openai_proxy.translate.server_profiles import PROFILES, detect_profile
from ollama_openai_proxy.translate.service_presets import PRESETS
from ruamel.yaml import YAML

from scripts.coding_agents.agents import AGENTS
from scripts.coding_agents.results import RECORD as AGENT_RECORD
from scripts.real_servers.programs import PROGRAMS as SERVERS
from scripts.real_servers.results import RECORD as SERVER_RECORD
from tests.pages import PAGES, ROOT, Block, Command, anchors, blocks, commands, links, name_of, text_of
from tests.patience import PATIENCE

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ollama_openai_proxy.backend.client import Backend

SOURCES = ROOT / "addons" / "ollama_openai_proxy"
BLOCKS = [block for page in PAGES for block in blocks(page)]
COMMANDS = [command for page in PAGES for command in commands(page)]
LINKS = [(page, link) for page in PAGES for link in links(page)]


def page(name: str) -> str:
    return text_of(ROOT / name)


def marked(text: str, marker: str) -> str:
    return text.partition(f"<!-- {marker} -->\n")[2].partition(f"<!-- end of {marker} -->")[0]


def section(text: str, heading: str) -> str:
    level = heading.partition(" ")[0]
    return re.split(rf"^#{{1,{len(level)}}} ", text.partition(f"\n{heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


# -- Links -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("page", "link"), LINKS, ids=[f"{name_of(page)} {link}" for page, link in LINKS])
def test_every_link_leads_somewhere(page: Path, link: str) -> None:
    if urlsplit(link).scheme in ("http", "https"):
        return
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    assert target.is_relative_to(ROOT)
    assert target.exists()
    if anchor:
        assert anchor in anchors(target)


def test_every_page_is_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        here = waiting.pop()
        if here in reached or here.suffix != ".md" or not here.exists():
            continue
        reached.add(here)
        waiting += [(here.parent / link.partition("#")[0]).resolve() for link in links(here) if "://" not in link]
    # A folder that is linked to shows its README.
    assert {name_of(each) for each in PAGES if name_of(each).startswith("docs/")} <= {name_of(each) for each in reached}


def test_the_readme_stays_short() -> None:
    assert len(page("README.md").splitlines()) <= 150


@pytest.mark.parametrize(
    ("subjects", "record", "what"), [(SERVERS, SERVER_RECORD, "real servers"), (AGENTS, AGENT_RECORD, "coding agents")]
)
def test_the_readme_names_and_counts_what_was_tried(subjects: Any, record: Any, what: str) -> None:
    recorded = record.read(record.page.read_text("utf-8"))
    titles = {subject.title for subject in subjects if subject.name in recorded}
    count, names = re.findall(rf"(\w+) {what} \(([^:]+):", " ".join(page("README.md").split()))[0]
    assert set(re.split(", | and ", names)) == titles
    assert ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"].index(count) == len(titles)


# -- Blocks of code ----------------------------------------------------------------------------------------------------


def lines_of_json(text: str) -> None:
    try:
        json.loads(text)
    except ValueError:
        for line in text.splitlines():
            json.loads(line)


READERS: dict[str, Callable[[str], object]] = {
    "json": lines_of_json,
    "python": ast.parse,
    "toml": tomllib.loads,
    "yaml": YAML(typ="safe").load,
}


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language in READERS], ids=lambda block: block.page)
def test_every_block_can_be_read(block: Block) -> None:
    READERS[block.language](block.text)


def test_every_block_of_javascript_can_be_read(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node")
    for number, block in enumerate(block for block in BLOCKS if block.language == "js"):
        file = tmp_path / f"{number}.mjs"
        file.write_text(block.text, "utf-8")
        checked = subprocess.run([node, "--check", file], capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert checked.returncode == 0, checked.stderr


# -- Commands ----------------------------------------------------------------------------------------------------------
#
# The table says how each program that a page calls is checked. `tests/live/test_documented_commands.py` runs what can be run.


def is_script(command: Command) -> None:
    """A script of the repository, with options that its text names."""
    script = ROOT / command.words[0]
    assert os.access(script, os.X_OK)
    sources = [script, script.with_suffix(".py")]
    known = "".join(path.read_text("utf-8") for path in sources if path.exists())
    for word in command.words[1:]:
        if word.startswith("--"):
            assert word.partition("=")[0] in known, word


def is_console(command: Command) -> None:
    """The console command, with arguments that it takes."""
    arguments = [word for word in command.words[1:] if word != "--help"]
    match arguments:
        case ["launch", *own]:
            launching = launch_parser().parse_args(own)
            assert launching.program is None or find_program(launching.program)
        case ["web" | "dump" | "tui" as tool, *own]:
            is_mitmproxy(replace(command, words=[f"mitm{tool.replace('tui', 'proxy')}", *own]))
        case _:
            cli._parser().parse_args(arguments)


def is_mitmproxy(command: Command) -> None:
    """A tool of mitmproxy, with options that it takes, or that are settings."""
    options = asyncio.run(options_of(command.program))
    parser: argparse.ArgumentParser = getattr(cmdline, command.program)(options)
    known = parser.parse_args(command.words[1:])
    assert {option.partition("=")[0] for option in known.setoptions} <= {*options.keys(), *Settings.model_fields}
    for script in known.scripts or []:
        assert (ROOT / script).exists() or script == "strip.py"  # which docs/debugging.md shows


async def options_of(program: str) -> Options:
    """The options of a tool of mitmproxy, which its addons declare."""
    options = Options()
    master: type[Any] = WebMaster if program == "mitmweb" else DumpMaster
    master(options)
    return options


def is_curl(command: Command) -> None:
    """A call of an endpoint that there is, with a body that is JSON."""
    urls = [word for word in command.words if word.startswith(("http://", "https://", "$OLLAMA_HOST"))]
    assert len(urls) == 1
    path = urls[0].removeprefix("$OLLAMA_HOST") if urls[0].startswith("$") else urlsplit(urls[0]).path
    assert path in ENDPOINTS or path.startswith("/v1/") or path in ("/healthz", "/readyz", "/metrics", "/options")
    for flag, body in zip(command.words, command.words[1:], strict=False):
        if flag == "-d":
            json.loads(body)


def is_pip(command: Command) -> None:
    """An installation from a checkout, with extras that it has: the package index knows the name as another project's."""
    assert command.words[1] == "install"
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for wanted in command.words[2:]:
        name, _, extra = wanted.rstrip("]").partition("[")
        assert name == "."
        assert not extra or extra in extras


def is_docker(command: Command) -> None:
    """Files, profiles and services that there are."""
    words = command.words[1:]
    compose = YAML(typ="safe").load(ROOT / "compose.yaml")
    if words[0] == "compose":
        services, rest = compose["services"], words[1:]
        wanted = [rest[number + 1] for number, word in enumerate(rest) if word == "--profile"]
        assert set(wanted) <= {profile for service in services.values() for profile in service.get("profiles", [])}
        assert set(rest[rest.index("up") + 1 :]) <= set(services)
    elif words[0] == "build":
        assert words[-1] == "."
        assert (ROOT / (words[words.index("-f") + 1] if "-f" in words else "Dockerfile")).exists()
    else:
        assert words[0] in ("run", "push")


def is_kubectl(command: Command) -> None:
    """Manifests that there are, and secrets whose keys are settings."""
    for word in command.words:
        if word.startswith("--from-literal="):
            assert word.split("=")[1].lower() in Settings.model_fields
    if "--kustomize" in command.words:
        assert (ROOT / command.words[command.words.index("--kustomize") + 1] / "kustomization.yaml").exists()


def names_files(command: Command) -> None:
    """Files after `-f` and `-r`, and scripts of Python, that there are."""
    for flag, word in zip(command.words, command.words[1:], strict=False):
        if flag in ("-f", "-r") or word.endswith(".py"):
            assert (ROOT / word).exists(), word


def is_python(command: Command) -> None:
    """A module or script that there is, or code that can be read."""
    match command.words[1:]:
        case ["-c", code]:
            ast.parse(code)
        case ["-m", module, *_]:
            assert module == "ollama_openai_proxy"
        case [script, *_]:
            assert (ROOT / script).exists()


def belongs_to_others(command: Command) -> None:
    """A program that is not run here: what is checked are the variables before it."""


PROGRAMS: dict[str, Callable[[Command], None]] = {
    "ollama-openai-proxy": is_console,
    "mitmdump": is_mitmproxy,
    "mitmweb": is_mitmproxy,
    "mitmproxy": is_mitmproxy,
    "curl": is_curl,
    "pip": is_pip,
    "docker": is_docker,
    "kubectl": is_kubectl,
    "haproxy": names_files,
    "uv": names_files,
    "bash": names_files,
    "python": is_python,
    "node": names_files,
    "npm": belongs_to_others,
    "claude": belongs_to_others,
    "codex": belongs_to_others,
    "git": belongs_to_others,
    "ollama": belongs_to_others,
    "export": belongs_to_others,
    "cd": belongs_to_others,
}
VARIABLES_OF_OTHERS = {
    *("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "CODEX_OSS_BASE_URL", "OLLAMA_API_KEY", "OLLAMA_HOST"),
    *("OTEL_EXPORTER_OTLP_ENDPOINT", "BIND", "REPLICA_1", "REPLICA_2"),
    "LAB_API_KEY",  # which examples/models.toml names
    *(preset.key_variable for preset in PRESETS.values()),
}


def check_of(command: Command) -> Callable[[Command], None] | None:
    return is_script if command.program.startswith("scripts/") else PROGRAMS.get(command.program)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: f"{command.page} {command.line}")
def test_every_command_exists(command: Command) -> None:
    names = set(command.settings) - VARIABLES_OF_OTHERS
    if command.program == "export":
        names |= {word.partition("=")[0] for word in command.words[1:]} - VARIABLES_OF_OTHERS
    assert {name.lower() for name in names} <= set(Settings.model_fields)
    if command.words:
        check = check_of(command)
        assert check is not None, f"{command.program} is not in the table of programs: say how it is checked"
        check(command)


def test_a_command_that_does_not_exist_would_be_found() -> None:
    for words in (
        ["scripts/none"],
        ["scripts/docs", "--none"],
        ["ollama-openai-proxy", "--none"],
        ["mitmdump", "--set", "proxy_modes=fix"],
        ["curl", "http://127.0.0.1:11434/api/none"],
        ["pip", "install", ".[none]"],
        ["docker", "compose", "up", "none"],
        ["kubectl", "apply", "--kustomize", "deploy/none"],
        ["haproxy", "-f", "deploy/none.cfg"],
        ["python", "examples/none.py"],
    ):
        command = Command("", "", {}, words)
        check = check_of(command)
        assert check is not None
        with pytest.raises((AssertionError, SystemExit, OSError)):
            check(command)


# -- Translate mode ----------------------------------------------------------------------------------------------------

RECIPES = {
    "OpenAI": "openai",
    "OpenRouter": "openrouter",
    "vLLM": "vllm",
    "llama.cpp": "llamacpp",
    "LM Studio": "lmstudio",
    "Azure": "azure",
    "Groq": "groq",
    "Mistral": "mistral",
    "DeepSeek": "deepseek",
    "A second Ollama": "ollama",
}
LISTED: dict[str, dict[str, Any]] = {
    "vllm": {"id": "m", "owned_by": "vllm", "max_model_len": 8192},
    "llamacpp": {"id": "m", "owned_by": "llamacpp", "meta": {"n_ctx_train": 8192}},
    "lmstudio": {"id": "m", "owned_by": "organization_owner"},
    "ollama": {"id": "m:latest", "owned_by": "library"},
}
"""How servers without a host of their own list a model."""
TRANSLATE = page("docs/translate-mode.md")


def recipe(heading: str, language: str) -> list[str]:
    """The blocks of a recipe's section."""
    return re.findall(rf"```{language}\n(.*?)```", section(TRANSLATE, f"### {heading}"), re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory without settings."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    return tmp_path


def test_every_recipe_is_known_here() -> None:
    headings = re.findall(r"^### (.*)$", section(TRANSLATE, "## Recipes"), re.MULTILINE)
    assert headings == [*RECIPES, "Several at once"]


@pytest.mark.parametrize(("heading", "profile"), RECIPES.items())
def test_every_recipe_can_be_loaded_and_its_server_is_recognised(heading: str, profile: str, folder: Path) -> None:
    (environment,) = recipe(heading, "sh")
    # What stands for a key is none.
    (folder / ".env").write_text(environment.replace("…", "key"), "utf-8")
    for file in recipe(heading, "toml"):
        (folder / "azure.toml").write_text(file, "utf-8")
    settings = load_settings()
    assert Catalogue(settings).default.name == "default"
    listing = [LISTED[profile]] if profile in LISTED else []
    assert detect_profile(settings.openai_api_base_url, listing).name == profile


@pytest.mark.parametrize("heading", ["Azure", "A second Ollama", "Several at once"])
def test_every_models_file_can_be_loaded(heading: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "gsk-test")
    (file,) = recipe(heading, "toml")
    (folder / "models.toml").write_text(file, "utf-8")
    loaded = load_models_file(folder / "models.toml")
    assert loaded.models
    catalogue = Catalogue(load_settings({"openai_api_key": "sk-test", "models_file": "models.toml"}))
    for name, entry in loaded.backends.items():
        backend: Backend = catalogue._backends[name]
        assert backend.profile is (PROFILES[entry.profile] if entry.profile else detect_profile(entry.url or "", []))


def test_every_block_of_toml_of_other_pages_can_be_used(folder: Path) -> None:
    for block in BLOCKS:
        if block.language == "toml" and "[models." in block.text:
            (folder / "models.toml").write_text(block.text, "utf-8")
            assert load_models_file(folder / "models.toml").models


@pytest.mark.parametrize(("marker", "table"), [("backends", BackendEntry), ("models", ModelEntry)])
def test_every_key_of_the_models_file_is_explained(marker: str, table: type[BackendEntry | ModelEntry]) -> None:
    firsts = [
        line.split(" | ")[0] for line in marked(page("docs/models-file.md"), marker).splitlines() if line.startswith("| `")
    ]
    assert sorted(re.findall(r"`(\w+)`", " ".join(firsts))) == sorted(table.model_fields)


# -- Texts of the product ----------------------------------------------------------------------------------------------


def literals() -> Iterator[str]:
    """Every text of the sources, with `\\0` where a value is put in."""
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
            elif isinstance(node, ast.Constant) and isinstance(node.value, bytes):
                yield node.value.decode(errors="replace")
            elif isinstance(node, ast.JoinedStr):
                yield "".join(part.value if isinstance(part, ast.Constant) else "\0" for part in node.values)  # type: ignore[misc]


def quoted() -> list[str]:
    """What the tables of docs/troubleshooting.md quote."""
    found = []
    for line in page("docs/troubleshooting.md").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        said = cells[1] if re.fullmatch(r"\d{3}", cells[0]) else cells[0]
        if line.startswith("| ") and said.startswith("`") and said.endswith("`"):
            found.append(said.strip("`"))
    return found


def fits(quote: str, text: str) -> bool:
    """Whether a text of the sources may come out as a quoted one: `…` is any value, or the rest."""
    pattern = ".*".join(re.escape(part) for part in re.sub("%[sd]", "…", quote).split("…"))
    return re.fullmatch(pattern, re.sub("%[sd]|\0", "…", text), re.DOTALL) is not None


TEXTS = sorted({text for text in literals() if " " in text})


def test_some_texts_are_quoted() -> None:
    assert len(quoted()) > 40


@pytest.mark.parametrize("quote", quoted())
def test_every_quoted_text_is_one_of_the_product(quote: str) -> None:
    assert max(len(part) for part in quote.split("…")) > 8
    assert any(fits(quote, text) for text in TEXTS)


def test_a_text_that_the_product_does_not_have_would_be_found() -> None:
    assert not any(fits("the back end is … in a bad mood", text) for text in TEXTS)


def test_nothing_says_to_install_another_project_of_the_same_name() -> None:
    """The package index knows the distribution's name as another project's."""
    name = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["name"]
    install = re.compile(rf"\binstall\b[^\n`]*[ '\"]{re.escape(name)}\b(?![/-])")
    texts = {path: path.read_text(encoding="utf-8") for path in [*SOURCES.rglob("*.py"), *(ROOT / name for name in PAGES)]}
    assert install.search(f"pip install '{name}[redis]'")
    assert [str(path.relative_to(ROOT)) for path, text in texts.items() if install.search(text)] == []


# -- Architecture ------------------------------------------------------------------------------------------------------

ARCHITECTURE = page("docs/architecture.md")


def test_every_file_that_the_tour_names_exists() -> None:
    named = set(re.findall(r"`((?:[\w-]+/)*[\w-]+\.(?:py|md|toml))`", ARCHITECTURE + page("CONTRIBUTING.md")))
    assert len(named) > 30
    assert [name for name in sorted(named) if not ((SOURCES / name).exists() or (ROOT / name).exists())] == []


def test_the_layers_are_those_of_the_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract["type"] == "layers" and "containers" not in contract]
    told = [
        {name.strip("`") for name in line.strip("|").split(" | ")[0].strip().split(", ")}
        for line in marked(ARCHITECTURE, "layers").splitlines()
        if line.startswith("| `")
    ]
    assert told == [set(layer.replace("ollama_openai_proxy.", "").split(" | ")) for layer in layers]


def test_every_script_is_explained_to_contributors() -> None:
    scripts = {f"scripts/{path.name}" for path in (ROOT / "scripts").iterdir() if path.is_file() and not path.suffix}
    named = set(re.findall(r"scripts/\w+", page("CONTRIBUTING.md")))
    assert scripts <= named


# -- The site ----------------------------------------------------------------------------------------------------------


class Loaded(HTMLParser):
    """What a page loads when it is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in ("script", "img", "iframe", "source"):
            self.urls.append(values.get("src") or "")
        if tag == "link" and values.get("rel") not in ("canonical", "next", "prev"):
            self.urls.append(values.get("href") or "")


def test_the_site_is_rendered_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
    warnings = [line for line in built.stderr.splitlines() if line.startswith(("WARNING", "ERROR"))]
    assert warnings == []
    assert built.returncode == 0, built.stdout + built.stderr
    rendered = sorted(tmp_path.rglob("*.html"))
    for each in PAGES:
        name = name_of(each).removeprefix("docs/")
        if "/" not in name:
            assert (tmp_path / ("index.html" if name == "README.md" else name.removesuffix(".md") + ".html")).exists()
    for file in rendered:
        loaded = Loaded()
        loaded.feed(file.read_text("utf-8"))
        for url in loaded.urls:
            assert "://" not in url, f"{file.name} loads {url}"
            assert not url.startswith("//")


@pytest.mark.parametrize("path", sorted((ROOT / "docs/drawings").glob("*.svg")), ids=lambda path: path.name)
def test_a_drawing_is_readable_on_light_and_dark_pages(path: Path) -> None:
    drawing = path.read_text("utf-8")
    ElementTree.fromstring(drawing)
    assert "prefers-color-scheme: dark" in drawing
    assert "<title" in drawing
    assert "http" not in drawing.replace("http://www.w3.org/2000/svg", "")
