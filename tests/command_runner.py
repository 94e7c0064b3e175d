"""Running a command of `scripts/` within the tests' own process, which spares the imports of each start."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, cast
from unittest import mock

if TYPE_CHECKING:
    from collections.abc import Callable


def run_here(main: Callable[[], int], *arguments: str) -> tuple[int, str, str]:
    """Run a command with these arguments, and return its exit status, and what it wrote to stdout and stderr."""
    output, complaints = io.StringIO(), io.StringIO()
    with (
        mock.patch("sys.argv", ["script", *arguments]),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(complaints),
    ):
        try:
            status = main()
        except SystemExit as end:
            status = cast("int", end.code)
    return status, output.getvalue(), complaints.getvalue()
