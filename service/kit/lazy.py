"""Modules that are imported when they are used first.

The API process describes plug-ins and checks settings, but works with no data: it must not load Polars, Arrow or a
parser (.decisions/0010). A module that it imports names such a library here, beside the import for type checkers::

    if TYPE_CHECKING:
        import polars as pl
    else:
        pl = lazy.module("polars")

After the first use of a name there is no cost. The forkserver calls ``load``, so that no child pays for the first use.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

_modules: dict[str, _LazyModule] = {}


class _LazyModule(ModuleType):
    def __getattr__(self, name: str) -> Any:
        value = getattr(importlib.import_module(self.__name__), name)
        if not name.startswith("__"):
            self.__dict__[name] = value
        return value

    def __reduce__(self) -> tuple[Any, ...]:
        return module, (self.__name__,)


def module(name: str) -> ModuleType:
    """The module of that name, which need not be loaded yet."""
    return _modules.setdefault(name, _LazyModule(name))


def is_lazy(value: object) -> bool:
    """Whether a name stands for a module of these, imported or not."""
    return isinstance(value, _LazyModule)


def load() -> None:
    """Import every module that was named up to now, and those that these name."""
    loaded = 0
    while loaded < len(_modules):
        names = list(_modules)[loaded:]
        loaded = len(_modules)
        for name in names:
            importlib.import_module(name)
