"""What all tests share."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

# Where Python keeps no compiled modules, half of each start of the proxy would be compiling them.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ["PYTHONPYCACHEPREFIX"] = str(Path(__file__).parents[1] / ".cache" / "pycache")


# A shell has its background commands ignore it, and they would hand that on to the programs that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio, as the proxy does."""
    return "asyncio"
