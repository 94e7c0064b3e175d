"""Imports the OpenAI SDK and its HTTP client when they are first used: the import takes longer than the rest of the start."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

    import httpx2
    import openai
else:

    def _lazy(name: str) -> ModuleType:
        """Return a module whose code runs when an attribute of the module is first used."""
        if name in sys.modules:
            return sys.modules[name]
        spec = importlib.util.find_spec(name)
        spec.loader = importlib.util.LazyLoader(spec.loader)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        return module

    httpx2 = _lazy("httpx2")
    openai = _lazy("openai")

__all__ = ["httpx2", "load", "openai"]


def load() -> None:
    """Import the SDK now, so that the first call does not wait for the import."""
    importlib.import_module(".sdk_transport", __package__)
    openai.AsyncOpenAI  # noqa: B018  # its first use
