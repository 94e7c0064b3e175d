"""Imports the OpenAI SDK and its HTTP client when they are first used: the import takes longer than the rest of the start.

Of the SDK's hundreds of types, which describe requests and responses that this proxy reads itself, only those are imported that
the SDK's own code asks for by name.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    import httpx2
    import openai
else:
    _LAZY_PACKAGES = ("openai.types", "openai.types.chat", "openai.types.responses", "openai.lib")

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

    def _lazy_packages(path: list[str], names: Sequence[str]) -> None:
        """Have packages' own code run only if somebody asks a package itself for a name; its modules can be imported without.

        Args:
            path: the folders of the package `openai`.
            names: of the packages.
        """
        for name in names:
            folders = name.split(".")[1:-1]
            spec = PathFinder.find_spec(name, [str(Path(each, *folders)) for each in path])
            if name not in sys.modules and spec is not None and spec.loader is not None:
                module = importlib.util.module_from_spec(spec)
                module.__getattr__ = functools.partial(_load_and_get, module)
                sys.modules[name] = module
                setattr(sys.modules[".".join(["openai", *folders])], name.rpartition(".")[2], module)

    def _load_and_get(module: ModuleType, attribute: str) -> Any:
        if attribute.startswith("__"):  # the import system looks for some that packages need not have
            raise AttributeError(attribute)
        del module.__getattr__
        module.__spec__.loader.exec_module(module)
        return getattr(module, attribute)

    httpx2 = _lazy("httpx2")
    if "openai" not in sys.modules:
        openai = _lazy("openai")
        _lazy_packages(object.__getattribute__(openai, "__spec__").submodule_search_locations, _LAZY_PACKAGES)
    else:
        import openai

__all__ = ["httpx2", "load", "openai"]


def load() -> None:
    """Import the SDK now, so that the first call does not wait for the import."""
    importlib.import_module(".sdk_transport", __package__)
    openai.AsyncOpenAI  # noqa: B018  # its first use
