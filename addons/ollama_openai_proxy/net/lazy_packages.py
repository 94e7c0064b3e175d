"""Has the code of a package run only if a name is asked of the package itself, and not one of its modules.

Some packages import in their `__init__` all that they have, for whoever wants a part of it.
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
    from collections.abc import Mapping, Sequence
    from types import ModuleType


def make_lazy(name: str, path: Sequence[str] | None = None, parts: Mapping[str, str] | None = None) -> None:
    """Make a package lazy, unless it has been imported already, or does not exist.

    Args:
        name: of the package, with dots.
        path: the folders of its outermost package; None if the package is the outermost one.
        parts: names that the package's own modules ask the package for, each with the module that has it.
    """
    parent, _, own = name.rpartition(".")
    folders = path and [str(Path(folder, *parent.split(".")[1:])) for folder in path]
    spec = PathFinder.find_spec(name, folders)
    if name in sys.modules or spec is None or spec.loader is None:
        return
    module = importlib.util.module_from_spec(spec)
    module.__dict__["__getattr__"] = functools.partial(_load_and_get, module, parts or {})
    sys.modules[name] = module
    if parent:
        setattr(sys.modules[parent], own, module)


def _load_and_get(module: ModuleType, parts: Mapping[str, str], name: str) -> Any:
    if name in parts:
        return getattr(importlib.import_module(parts[name]), name)
    is_own = not name.startswith("__") or name in ("__all__", "__version__")
    # The import system, and others, look for names that packages need not have.
    if not is_own or module.__spec__ is None or module.__spec__.loader is None:
        raise AttributeError(name)
    module.__dict__.pop("__getattr__", None)
    module.__spec__.loader.exec_module(module)
    return getattr(module, name)
