"""mitmproxy's own tools with the addon in them, started from an installed package: mitmweb, mitmdump, mitmproxy."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SCRIPT = Path(__file__).parent / "scripts" / "ollama.py"
_OWN_FOLDER = "~/.mitmproxy"
"""Where mitmproxy keeps its certificates, unless the option `confdir` names another folder."""


def run_tool(name: str, arguments: Sequence[str]) -> int:
    """Run a tool until it is stopped; returns the exit status.

    Args:
        name: "web", "dump" or "tui".
        arguments: for the tool, as its own command takes them.
    """
    # Imported late: each tool loads a user interface of its own.
    from mitmproxy.tools import main

    tools = {"web": main.mitmweb, "dump": main.mitmdump, "tui": main.mitmproxy}
    with tempfile.TemporaryDirectory(prefix="ollama-openai-proxy-") as folder:
        place = [] if _can_write(Path(_OWN_FOLDER).expanduser()) else ["--set", f"confdir={folder}"]
        try:
            return tools[name](["-s", str(SCRIPT), *place, *arguments]) or 0
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else int(end.code is not None)


def _can_write(folder: Path) -> bool:
    """Whether a folder is there, or could be made, and takes files; a container's user may have no home."""
    while not folder.exists():
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK)
