"""Renders the documentation, and writes the parts of it that come from the code."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ollama_openai_proxy.settings import MustBe, Settings
from ollama_openai_proxy.translate.server_profiles import _HOSTS, _OWNERS, _PLAIN, PROFILES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ollama_openai_proxy.translate.server_profiles import Profile

ROOT = Path(__file__).parents[1]
SITE = ROOT / ".cache" / "site"

DESCRIPTION = """\
Without arguments: renders README.md and docs/ into .cache/site. A warning is an error.
"""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a page that comes from the code: what stands between its two markers."""

    page: str
    marker: str

    def of(self, text: str) -> tuple[str, str, str]:
        """What stands before, in and after the part."""
        begin, end = f"<!-- {self.marker} -->\n", f"\n<!-- end of {self.marker} -->"
        before, found, rest = text.partition(begin)
        inside, closed, after = rest.partition(end)
        if not (found and closed):
            raise SystemExit(f"scripts/docs: {self.page} lacks the lines {begin.strip()} and {end.strip()}.")
        return before + begin, inside, end + after


# -- Settings ----------------------------------------------------------------------------------------------------------

GROUPS: dict[str, tuple[str, ...]] = {
    "Mode and address": ("proxy_mode", "proxy_host", "proxy_port"),
    "The server behind the proxy: translate mode": (
        *("openai_api_base_url", "openai_api_key", "openai_api_key_passthrough"),
        *("backend_profile", "models_file", "ollama_version"),
    ),
    "The server behind the proxy: fix mode": ("ollama_upstream_url", "upstream_wait_seconds"),
    "Methods and waiting clients": ("fix_methods", "method_map", "heartbeat_seconds"),
    "Who may call": ("proxy_api_keys", "proxy_api_keys_file", "ollama_origins", "trusted_proxies"),
    "How much and how long": (
        *("rate_limit", "rate_limit_storage", "max_body_size", "max_concurrent_requests", "max_queued_requests"),
        *("client_timeout", "request_timeout", "stream_idle_timeout"),
    ),
    "Running it": ("drain_seconds", "metrics_port", "log_format", "log_level", "keep_flows"),
}
"""Settings that are in none of them come last, under a heading of their own."""

DEFAULTS = {
    "proxy_port": "`11434`, in fix mode `11435`",
    "request_timeout": "`600`, in fix mode `0`",
    "stream_idle_timeout": "`600`, in fix mode `0`",
    "max_body_size": "`100MiB`",
    "backend_profile": "recognised",
}
"""Where the default is not the field's own, or is better said otherwise."""

EXAMPLES = {
    "proxy_mode": "fix",
    "proxy_host": "0.0.0.0",  # an example, no binding
    "proxy_port": "11500",
    "openai_api_base_url": "http://127.0.0.1:8000/v1",
    "openai_api_key": "sk-own-key",
    "openai_api_key_passthrough": "true",
    "backend_profile": "vllm",
    "models_file": "examples/models.toml",
    "ollama_version": "0.24.0",
    "ollama_upstream_url": "http://127.0.0.1:11434",
    "upstream_wait_seconds": "60",
    "fix_methods": "false",
    "method_map": "methods.toml",
    "heartbeat_seconds": "20",
    "proxy_api_keys": "first-long-key,second-long-key",
    "proxy_api_keys_file": "/run/secrets/proxy_keys",
    "ollama_origins": "https://app.example,https://*.lan",
    "trusted_proxies": "10.0.0.0/8,192.0.2.1",
    "rate_limit": "60/minute;1000/day",
    "rate_limit_storage": "redis://127.0.0.1:6379",
    "max_body_size": "20MiB",
    "max_concurrent_requests": "8",
    "max_queued_requests": "100",
    "client_timeout": "30",
    "request_timeout": "120",
    "stream_idle_timeout": "60",
    "drain_seconds": "10",
    "metrics_port": "9464",
    "log_format": "json",
    "log_level": "debug",
    "keep_flows": "200",
}

NOTES = {
    "openai_api_base_url": "[Recipes](translate-mode.md#recipes) for the common servers.",
    "backend_profile": "[What the kinds differ in](translate-mode.md#profiles).",
    "models_file": "[What stands in it](translate-mode.md#the-models-file).",
    "method_map": "[The map, and examples](fix-mode.md#changing-the-map).",
    "heartbeat_seconds": "[What clients see of it](fix-mode.md#heartbeat).",
    "upstream_wait_seconds": "[What else can fail](fix-mode.md#failures).",
    "ollama_origins": "[Web pages](fix-mode.md#web-pages-origin-and-host).",
    "rate_limit_storage": "Redis needs a package besides: `pip install 'ollama-openai-proxy[redis]'`.",
    "trusted_proxies": "[Replicas](operations.md#replicas).",
    "drain_seconds": "[How the proxy stops](operations.md#stopping).",
    "metrics_port": "[Metrics](operations.md#metrics).",
    "log_format": "[Logs](operations.md#logs). With mitmproxy's own tools the form of lines is theirs.",
    "keep_flows": "[What is kept](debugging.md#what-is-kept).",
    "proxy_api_keys": "A client's key is taken from whichever of these headers it sends.",
    "ollama_version": "Change it only for a client that wants a newer one.",
}


def settings() -> str:
    """Every setting, by groups."""
    grouped = {name for names in GROUPS.values() for name in names}
    rest = tuple(name for name in Settings.model_fields if name not in grouped)
    groups = GROUPS | ({"Further settings": rest} if rest else {})
    return "\n\n".join(
        f"### {title}\n\n" + "\n\n".join(_setting(name) for name in names if name in Settings.model_fields)
        for title, names in groups.items()
    )


def _setting(name: str) -> str:
    field = Settings.model_fields[name]
    must_be = next(each.wanted for each in field.metadata if isinstance(each, MustBe))
    facts = [f"Default: {DEFAULTS.get(name) or _default(field.default)}", f"Must be: {_literals(must_be)}"]
    if name in EXAMPLES:
        facts.append(f"Example: `{name.upper()}={EXAMPLES[name]}`")
    text = " ".join(filter(None, [field.description or "", NOTES.get(name)]))
    return f"#### {name.upper()}\n\n{text}\n\n" + "\n".join(f"* {fact}" for fact in facts)


def _default(value: Any) -> str:
    if value is None or value == "":
        return "none"
    shown = value.get_secret_value() if hasattr(value, "get_secret_value") else value
    return f"`{str(shown).lower() if isinstance(shown, bool) else shown}`"


def _literals(must_be: str) -> str:
    """The values between quotes as code."""
    parts = must_be.split('"')
    return "".join(f"`{part}`" if number % 2 else part for number, part in enumerate(parts))


# -- Profiles ----------------------------------------------------------------------------------------------------------


def profiles() -> str:
    """What is sent to each family of servers."""
    head = "| Profile | Recognised by | Limit of tokens | Further options | `think` becomes | `response_format` | `stop` |"
    rows = [head, "| --- " * 7 + "|"]
    for profile in PROFILES.values():
        named = {name: parameter for name, parameter in profile.options.items() if _PLAIN.get(name) != parameter}
        further = [
            f"`{name}`" if name == parameter else f"`{name}` as `{parameter}`"
            for name, parameter in named.items()
            if name != "num_predict"
        ]
        absent = [f"no `{name}`" for name in _PLAIN if name not in profile.options]
        cells = [
            f"`{profile.name}`",
            _signs(profile),
            f"`{profile.token_limit}`",
            ", ".join(further + absent) or "none",
            ", ".join(dict.fromkeys(f"`{key}`" for sent in profile.thinking.values() for key in sent)) or "none",
            ", ".join(f"`{kind}`" for kind in sorted(profile.formats)),
            f"the first {profile.most_stops}" if profile.most_stops else "all",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _signs(profile: Profile) -> str:
    hosts = [f"`{host}`" for host, name in _HOSTS.items() if name == profile.name]
    owners = [f'`"owned_by": "{owner}"`' for owner, name in _OWNERS.items() if name == profile.name]
    return ", ".join(hosts + owners) or ("none of the others" if profile.name == "generic" else "none: it has to be said")


PARTS = {
    Part("docs/configuration.md", "settings"): settings,
    Part("docs/translate-mode.md", "profiles"): profiles,
}


def outdated() -> Iterator[tuple[Path, str]]:
    """The pages whose parts are not those of the code, each with the text that it should have."""
    pages: dict[str, str] = {}
    for part, render in PARTS.items():
        text = pages.setdefault(part.page, (ROOT / part.page).read_text("utf-8"))
        before, _, after = part.of(text)
        pages[part.page] = before + render() + after
    for page, text in pages.items():
        if text != (ROOT / page).read_text("utf-8"):
            yield ROOT / page, text


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
