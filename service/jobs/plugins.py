"""Plug-ins: the registry of a child, loaded once."""

from __future__ import annotations

import functools

from service.model.registry import Registry


@functools.cache
def registry() -> Registry:
    """The plug-ins; the forkserver calls this when it preloads, so that children start with them."""
    return Registry.load()
