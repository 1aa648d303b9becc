"""Registry: the collectors, processors and storages of this installation, built-in and from entry points.

A built-in is any subclass of a contract with a ``tag`` in a module of its package (a class without a tag is a base of
others); a third-party plug-in registers under ``penstock.collectors``, ``penstock.processors`` or ``penstock.storage``.
``Shelf.add`` takes both.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from service.steps.collector import Collector
from service.steps.processor import Processor
from service.steps.storage import Storage

T = TypeVar("T", Collector, Processor, Storage)


def tag_of(cls: type[Any]) -> str:
    """The ``type`` that names a plug-in in a configuration."""
    return str(cls.__struct_config__.tag)


def is_ours(plugin: object) -> bool:
    """Whether a plug-in is one of Penstock's own, and not a third party's."""
    return type(plugin).__module__.startswith("service.")


@dataclass
class Shelf(Generic[T]):
    """The plug-ins of one contract, by ``type``."""

    contract: type[T]
    kinds: dict[str, type[T]] = field(default_factory=dict)

    def add(self, cls: type[T]) -> None:
        """Register a plug-in. Raises ``ValueError`` for a second one of the same ``type``."""
        tag = tag_of(cls)
        known = self.kinds.get(tag)
        if known is not None and known is not cls:
            raise ValueError(f"two plug-ins call themselves '{tag}': {known.__module__} and {cls.__module__}")
        self.kinds[tag] = cls

    def discover(self, package: str, group: str) -> None:
        """Add what the modules of ``package`` define and what installed packages offer under ``group``."""
        home = importlib.import_module(package)
        for module in sorted(m.name for m in pkgutil.iter_modules(home.__path__)):
            for value in vars(importlib.import_module(f"{package}.{module}")).values():
                if (
                    isinstance(value, type)
                    and issubclass(value, self.contract)
                    and tag_of(value) != value.__name__  # what msgspec uses without a tag
                    and value.__module__ == f"{package}.{module}"
                ):
                    self.add(value)
        for entry in sorted(entry_points(group=group), key=lambda e: e.name):
            self.add(entry.load())


@dataclass
class Registry:
    """Every plug-in of this installation."""

    collectors: Shelf[Collector] = field(default_factory=lambda: Shelf(Collector))
    processors: Shelf[Processor] = field(default_factory=lambda: Shelf(Processor))
    storages: Shelf[Storage] = field(default_factory=lambda: Shelf(Storage))

    @classmethod
    def load(cls) -> Registry:
        """Discover the built-ins and the installed entry points."""
        registry = cls()
        registry.collectors.discover("service.collectors", "penstock.collectors")
        registry.processors.discover("service.processors", "penstock.processors")
        registry.storages.discover("service.storages", "penstock.storage")
        return registry
