"""All scenarios with real servers, in the order in which they are tried, and the tables of `docs/servers.md`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from scripts.locked_packages import ROOT
from scripts.real_servers.programs import PROGRAMS
from scripts.real_servers.scenarios import SCENARIOS
from scripts.recorded_results import Record, Table

__all__ = ["RECORD", "SCENARIOS"]

# Those of failures end the server, and so come last.
for _part in ("chat", "tool", "embedding", "failure"):
    import_module(f"scripts.real_servers.{_part}_scenarios")

RECORD = Record(
    "servers",
    ROOT / "docs" / "servers.md",
    Path(__file__).with_name("reasons.toml"),
    tuple(
        Table(kind, [it.title for it in SCENARIOS if it.kind == kind], [it for it in PROGRAMS if kind in it.kinds])
        for kind in ("chat", "embeddings")
    ),
)
