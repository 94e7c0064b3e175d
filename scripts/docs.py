"""Renders the documentation, and writes the parts of it that come from the code."""

from __future__ import annotations

import argparse
import ast
import json
import os
import subprocess
import sys
import textwrap
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ollama_openai_proxy.fix.method_map import ENDPOINTS
from ollama_openai_proxy.launch.command_lines import arguments_of
from ollama_openai_proxy.launch.printing import as_shell
from ollama_openai_proxy.launch.programs import PROGRAMS
from ollama_openai_proxy.launch.target import Target
from ollama_openai_proxy.settings import Group, Settings, about, help_text
from ollama_openai_proxy.translate.server_profiles import _HEADERS, _HOST_BEGINNINGS, _HOSTS, _OWNERS, _PLAIN, PROFILES
from ollama_openai_proxy.translate.service_presets import PRESETS

from scripts.page_tables import replace_table
from tests.unit.translate.reader.corpus import ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ollama_openai_proxy.fix.method_map import Endpoint
    from ollama_openai_proxy.launch.programs import Program
    from ollama_openai_proxy.translate.server_profiles import Profile

ROOT = Path(__file__).parents[1]
SITE = ROOT / ".cache" / "site"
SOURCES = ROOT / "addons" / "ollama_openai_proxy"

DESCRIPTION = """\
Without arguments: renders README.md and docs/ into .cache/site. A warning is an error.
"""


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Markdown of a table, whose first row is its head."""
    lines = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], ["---"] * len(lines[0]), *lines[1:]])


# -- Settings ----------------------------------------------------------------------------------------------------------


def settings() -> str:
    """Every setting, by groups."""
    return "\n\n".join(f"### {group}\n\n" + "\n\n".join(map(_setting, _names(group))) for group in Group)


def env_example() -> str:
    """The file `.env.example`."""
    lines = [
        "# Settings of ollama-openai-proxy. Copy this file to .env in the directory where the proxy is started.",
        "# Variables of the environment win over this file; an empty value counts as absent.",
        "# Made from settings.py by `scripts/docs --write`.",
    ]
    for group in Group:
        lines += ["", "", f"# ---- {group}"]
        for name in _names(group):
            field, known = Settings.model_fields[name], about(name)
            text = f"{help_text(name)} {'' if LINK in known.see else known.see}".strip()
            # A value that cannot be written, because nothing is set or because a mode or the server decides, is an example.
            value = _plain(field.default)
            shown = known.example if known.default or not value else value
            lines += ["", *textwrap.wrap(text, 118, initial_indent="# ", subsequent_indent="# "), f"#{name.upper()}={shown}"]
    return "\n".join(lines) + "\n"


LINK = "]("


def _names(group: Group) -> list[str]:
    return [name for name in Settings.model_fields if about(name).group is group]


def _setting(name: str) -> str:
    field, known = Settings.model_fields[name], about(name)
    facts = [
        f"Default: {known.default or _default(field.default)}",
        f"Must be: {_literals(known.must_be)}",
        f"Example: `{name.upper()}={known.example}`",
    ]
    text = " ".join(filter(None, [field.description, known.see]))
    return f"#### {name.upper()}\n\n{text}\n\n" + "\n".join(f"* {fact}" for fact in facts)


def _default(value: Any) -> str:
    plain = _plain(value)
    return f"`{plain}`" if plain else "none"


def _plain(value: Any) -> str:
    if value is None:
        return ""
    shown = value.get_secret_value() if hasattr(value, "get_secret_value") else value
    return str(shown).lower() if isinstance(shown, bool) else str(shown)


def _literals(must_be: str) -> str:
    """The values between quotes as code."""
    parts = must_be.split('"')
    return "".join(f"`{part}`" if number % 2 else part for number, part in enumerate(parts))


# -- Profiles ----------------------------------------------------------------------------------------------------------


_FURTHER_SIGNS = {
    "llama-cpp-python": '`"owned_by": "me"` beside `permissions`',
    "transformers": "a `status` of each model",
}
"""What `detect_profile` reads of an entry besides its owner."""


def profiles() -> str:
    """What is sent to each family of servers."""
    head = ["Profile", "Recognised by", "Limit of tokens", "Further options", "`think` becomes", "`response_format`", "`stop`"]
    rows = [[*head, "Source"]]
    for profile in PROFILES.values():
        named = {name: parameter for name, parameter in profile.options.items() if _PLAIN.get(name) != parameter}
        further = [
            f"`{name}`" if name == parameter else f"`{name}` as `{parameter}`"
            for name, parameter in named.items()
            if name != "num_predict"
        ]
        absent = [f"no `{name}`" for name in _PLAIN if name not in profile.options]
        row = [
            f"`{profile.name}`",
            _signs(profile),
            f"`{profile.token_limit}`",
            ", ".join(further + absent) or "none",
            ", ".join(dict.fromkeys(f"`{key}`" for sent in profile.thinking.values() for key in sent)) or "none",
            ", ".join(f"`{kind}`" for kind in sorted(profile.formats)) or "in words",
            f"the first {profile.most_stops}" if profile.most_stops else "all",
            " ".join(f"[{number}]({source})" for number, source in enumerate(profile.sources, 1)),
        ]
        rows.append(row)
    return _table(rows)


def _signs(profile: Profile) -> str:
    hosts = [f"`{host}`" for host, name in _HOSTS.items() if name == profile.name]
    hosts += [f"`{beginning}…`" for beginning, name in _HOST_BEGINNINGS.items() if name == profile.name]
    owners = [f'`"owned_by": "{owner}"`' for owner, name in _OWNERS.items() if name == profile.name]
    headers = [f"the header `{header}`" for header, name in _HEADERS.items() if name == profile.name]
    further = [_FURTHER_SIGNS[profile.name]] if profile.name in _FURTHER_SIGNS else []
    return ", ".join(hosts + owners + headers + further) or (
        "none of the others" if profile.name == "generic" else "none: it has to be said"
    )


# -- Presets -----------------------------------------------------------------------------------------------------------


def presets() -> str:
    """The hosted services that are known by their names."""
    rows = [["Preset", "Base URL", "Variable of the key", "Source"]]
    rows += [[f"`{name}`", f"`{it.url}`", f"`{it.key_variable}`", f"[1]({it.source})"] for name, it in PRESETS.items()]
    return _table(rows)


# -- Methods -----------------------------------------------------------------------------------------------------------


def methods() -> str:
    """Fix mode's map of methods."""
    rows = [["Path", "Method", "Besides"]]
    for path, endpoint in ENDPOINTS.items():
        name = f"`{path}…`" if path != "/" and path.endswith("/") else f"`{path}`"
        rows.append([name, f"`{endpoint.method}`", _besides(endpoint)])
    return _table(rows)


def _besides(endpoint: Endpoint) -> str:
    facts = []
    if endpoint.path is not None:
        facts.append(f"goes to `{endpoint.path}`")
    if endpoint.body is not None:
        facts.append(f"with the model and `{json.dumps(endpoint.body)}`")
    if endpoint.bodiless is not None:
        facts.append("has no body" if endpoint.bodiless == endpoint.method else f"`{endpoint.bodiless}` without a body")
    return " ".join(facts)


# -- Internals of mitmproxy --------------------------------------------------------------------------------------------

DOCUMENTED = frozenset(
    {
        *("addonmanager", "command", "connection", "contentviews", "ctx", "exceptions", "flow", "hooks", "http", "log"),
        *("options", "proxy.mode_specs", "proxy.server_hooks"),
    }
)
"""The modules of mitmproxy that its documentation describes for authors of addons, of those that the package uses."""


def internals() -> str:
    """The modules that use other parts of mitmproxy, with these parts."""
    rows = [
        [f"`{path.relative_to(SOURCES).as_posix()}`", ", ".join(f"`{part}`" for part in sorted(parts))]
        for path in sorted((SOURCES / "mitm").rglob("*.py"))
        if (parts := _undocumented(ast.parse(path.read_text("utf-8"))))
    ]
    return _table([["module", "parts"], *rows])


def _undocumented(tree: ast.Module) -> set[str]:
    """Modules of mitmproxy beyond its documentation, and private names of other objects."""
    parts = set()
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module), level=0, names=names) if module.partition(".")[0] == "mitmproxy":
                inside = module.removeprefix("mitmproxy.")
                # `from mitmproxy.proxy import events` imports a module.
                found = [f"{inside}.{each.name}" for each in names] if inside in ("proxy", "addons", "mitmproxy") else [inside]
                parts |= {name.removeprefix("mitmproxy.") for name in found} - DOCUMENTED
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                pass
            case ast.Attribute(attr=name) if name.startswith("_") and not name.endswith("__"):
                parts.add(f".{name}")
            case ast.Call(func=ast.Name(id="getattr"), args=[_, ast.Constant(value=str(name)), *_]) if name.startswith(
                "_"
            ) and not name.endswith("__"):
                parts.add(f".{name}")
    return parts


# -- Answers of servers --------------------------------------------------------------------------------------------------


def answers() -> str:
    """What servers send, and what clients get of it."""
    head = ["Servers send", "Seen with", "Clients get"]
    return "\n\n".join(
        f"### {group}\n\n" + _table([head, *([row.sends, row.seen, row.gets] for row in rows)])
        for group, rows in groupby(ROWS, lambda row: row.group)
    )


# -- Programs --------------------------------------------------------------------------------------------------------------

SHOWN = Target("http://127.0.0.1:11434", "gpt-4o-mini", context_length=128_000)
FOLDER_SHOWN = "/home/me/.config/ollama-openai-proxy"


def programs() -> str:
    """The programs that `launch` knows, with what it does for each."""
    rows = [["program", "line", "installed by", "tested"]]
    for each in PROGRAMS:
        line, tested = f"`ollama-openai-proxy launch {each.name}`", ", ".join(each.versions) or "no"
        rows.append([f"[{each.title}]({each.page})", line, f"`{each.install}`", tested])
    return "\n\n".join([_table(rows), *map(_program, PROGRAMS)])


def _program(program: Program) -> str:
    folder = f"{FOLDER_SHOWN}/{program.name}"
    setup = program.setup(SHOWN).placed(folder)
    shown = as_shell(program, setup, arguments_of(program, setup, []), folder, "")
    note = f" {program.note}" if program.note else ""
    tested = f"Version {', '.join(program.versions)} was run." if program.versions else "No test runs it."
    return f"### {program.title}\n\nIt calls `{program.api}`. {tested}{note}\n\n```text\n{shown.rstrip()}\n```"


PARTS = {
    "clients": programs,
    "architecture": internals,
    "fix-mode": methods,
    "configuration": settings,
    "translate-mode": profiles,
    "models-file": presets,
    "compatibility": answers,
}
"""The pages with a part that comes from the code, which stands between marks with the function's name."""


def outdated() -> Iterator[tuple[Path, str]]:
    """The pages that are out of date, each with the text that it should have."""
    for page, render in PARTS.items():
        path = ROOT / "docs" / f"{page}.md"
        before = path.read_text("utf-8")
        if (text := replace_table(before, "docs", render.__name__, render())) != before:
            yield path, text
    if (text := env_example()) != (ROOT / ".env.example").read_text("utf-8"):
        yield ROOT / ".env.example", text


def main() -> int:
    """Do what the arguments say; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/docs", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--write", action="store_true", help="write the parts of pages that come from the code")
    action.add_argument("--check", action="store_true", help="exit with status 1 if one of them is out of date")
    action.add_argument(
        "--serve", nargs="?", const="127.0.0.1:8000", metavar="ADDRESS", help="serve the pages, and render again what changes"
    )
    arguments = parser.parse_args()
    if arguments.write or arguments.check:
        pages = list(outdated())
        for page, text in pages:
            if arguments.write:
                page.write_text(text, "utf-8")
            print(f"{'wrote' if arguments.write else 'out of date:'} {page.relative_to(ROOT)}")
        return 1 if arguments.check and pages else 0
    command = [sys.executable, "-m", "mkdocs"]
    if arguments.serve:
        command += ["serve", "--dev-addr", arguments.serve]
    else:
        command += ["build", "--strict", "--site-dir", str(SITE)]
    # The theme's advertisement of another generator is no warning of this site.
    return subprocess.call(command, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"})


if __name__ == "__main__":
    sys.exit(main())
