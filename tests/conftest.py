"""What all tests share."""

from __future__ import annotations

import functools
import gc
import os
import signal
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import certifi
import pytest

from tests.fork_server import python_with, share

if TYPE_CHECKING:
    from collections.abc import Generator

    from execnet import XSpec

# Where Python keeps no compiled modules, half of each start of the proxy would be compiling them.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ["PYTHONPYCACHEPREFIX"] = str(Path(__file__).parents[1] / ".cache" / "pycache")


# A shell has its background commands ignore it, and they would hand that on to the programs that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


_create_context = ssl.create_default_context
_context_of_authorities = functools.cache(lambda file: _create_context(cafile=file))


@functools.wraps(_create_context)
def _share_context_of_authorities(*arguments: Any, **options: Any) -> ssl.SSLContext:
    """Give the tests' HTTP clients one context: reading the certificates of all authorities takes each of them 30 ms."""
    file = options.get("cafile")
    if not arguments and options.keys() == {"cafile"} and file in (certifi.where(), os.environ.get("SSL_CERT_FILE")):
        return _context_of_authorities(file)
    return _create_context(*arguments, **options)


ssl.create_default_context = _share_context_of_authorities


IMPORTED = ("xdist.remote", "anthropic", "openai", "ollama", "mitmproxy.tools.dump", "hypothesis.strategies")
"""What takes the processes that run tests side by side the longest to import."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(specs: list[XSpec]) -> None:
    """Have the processes that run tests side by side do their imports once, and start their proxies from the same ones."""
    if not hasattr(os, "fork"):
        return
    share()
    for spec in specs:
        spec.python = python_with(*IMPORTED)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio, as the proxy does."""
    return "asyncio"


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the garbage collector from the modules and tests, which stay: each of its searches would take a second."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Make what a test logged fit for the parallel runs, whose processes exchange UTF-8 only."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report
