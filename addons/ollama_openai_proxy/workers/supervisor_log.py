"""The supervisor's log lines, in the form of `observe.log`, whose imports would make the supervisor half as large again."""

from __future__ import annotations

import json
import sys
import time

LEVELS = ("debug", "info", "warning", "error")
LOGGER = "ollama_openai_proxy.workers.supervisor"


class SupervisorLog:
    """Writes lines to stderr.

    Attributes:
        level: LOG_LEVEL.
        form: LOG_FORMAT.
    """

    def __init__(self) -> None:
        self.level = "info"
        self.form = "text"

    def info(self, message: str) -> None:
        """Write what happened."""
        self._write("info", message)

    def error(self, message: str) -> None:
        """Write what went wrong."""
        self._write("error", message)

    def _write(self, level: str, message: str) -> None:
        if LEVELS.index(level) >= LEVELS.index(self.level):
            print(line(time.time(), level, message, self.form), file=sys.stderr, flush=True)  # noqa: T201


def line(now: float, level: str, message: str, form: str) -> str:
    """Make a log line.

    Args:
        now: seconds of the Unix epoch.
        level: one of `LEVELS`.
        message: one line of text.
        form: LOG_FORMAT.
    """
    seconds, milliseconds = int(now), int(now * 1000) % 1000
    if form == "json":
        stamp = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{milliseconds:03d}+00:00"
        return json.dumps({"time": stamp, "level": level, "logger": LOGGER, "message": message})
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(seconds))},{milliseconds:03d} {level.upper()} {message}"
