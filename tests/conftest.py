"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Where Python keeps no compiled modules, half of each start of the proxy would be compiling them.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ["PYTHONPYCACHEPREFIX"] = str(Path(__file__).parents[1] / ".cache" / "pycache")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio, as the proxy does."""
    return "asyncio"
