"""What `ollama-openai-proxy check` finds out: whether the settings, and what is behind the proxy, will do.

Every finding is one line, and that of a problem also says what to do. No finding holds a key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..models.models_file import load_models_file
from ..models.servers import configured_servers, names_beside_file
from ..settings import SettingsError
from .check_backends import check_backends
from .check_proxy import check_exposure, check_port, check_storage
from .check_upstream import check_upstream
from .findings import Finding, report

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import SecretStr

    from ..settings import Settings

__all__ = ["Finding", "check", "report"]

_LEAST_SECRET = 8
"""Characters that a key has at least: a shorter one is a word that stands where a server wants none."""


async def check(settings: Settings) -> list[Finding]:
    """Look at everything that the settings name; takes some seconds where something does not answer."""
    findings = [await check_port(settings), await check_exposure(settings)]
    secrets = [settings.openai_api_key] if settings.openai_api_key else []
    if settings.proxy_mode == "fix":
        findings += await check_upstream(settings.ollama_upstream_url)
    else:
        try:
            file = load_models_file(settings.models_file, names_beside_file(settings))
            # A key that is missing is a finding about its server, and the other servers are looked at all the same.
            servers = configured_servers(settings.without_demand_for_keys(), file)
        except SettingsError as error:
            findings.append(Finding("problem", str(error)))
        else:
            findings += await check_backends(servers, file)
            secrets += [secret for server in servers for secret in server.secrets]
    if settings.rate_limit:
        findings.append(await check_storage(settings.rate_limit_storage.get_secret_value()))
    return [Finding(level, _plain(text, secrets)) for level, text in findings]


def _plain(text: str, secrets: Iterable[SecretStr]) -> str:
    """A text as one line, without the keys that a server may have quoted."""
    for secret in secrets:
        if len(value := secret.get_secret_value()) >= _LEAST_SECRET:
            text = text.replace(value, "…")
    return " ".join(text.split())
