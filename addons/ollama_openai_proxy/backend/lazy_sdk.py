"""Imports the OpenAI SDK and its HTTP client when they are first used: the import takes longer than the rest of the start.

Of the SDK's hundreds of types, which describe requests and responses that this proxy reads itself, only those are imported that
the SDK's own code asks for by name.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib.abc import Loader
from typing import TYPE_CHECKING

from ..net.lazy_packages import make_lazy

if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.machinery import ModuleSpec
    from types import ModuleType

    import httpx2
    import openai
else:
    _LAZY_PACKAGES = ("openai.types", "openai.types.chat", "openai.types.responses", "openai.lib")

    def _lazy(name: str, wrapper: Callable[[Loader], Loader] = lambda loader: loader) -> ModuleType:
        """Return a module whose code runs when an attribute of the module is first used."""
        if name in sys.modules:
            return sys.modules[name]
        spec = importlib.util.find_spec(name)
        spec.loader = importlib.util.LazyLoader(wrapper(spec.loader))
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        return module

    class _SdkLoader(Loader):
        """Has the code of some packages run only if a name is asked of a package itself, and not one of its modules."""

        def __init__(self, inner: Loader) -> None:
            self._inner = inner

        def create_module(self, spec: ModuleSpec) -> ModuleType | None:
            return self._inner.create_module(spec)

        def exec_module(self, module: ModuleType) -> None:
            for name in _LAZY_PACKAGES:
                make_lazy(name, module.__path__)
            self._inner.exec_module(module)

    httpx2 = _lazy("httpx2")
    openai = _lazy("openai", _SdkLoader)

__all__ = ["httpx2", "load", "openai"]


def load() -> None:
    """Import the SDK now, so that the first call does not wait for the import."""
    importlib.import_module(".sdk_transport", __package__)
    openai.AsyncOpenAI  # noqa: B018  # its first use
