"""A client of the REST API of a running service, for people's programs and for the command line.

``Penstock`` and ``AsyncPenstock`` are imported when they are first asked for, since they need Polars.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from service.client.answers import Account, ApiKey, Pipeline, Run, Saved, SavedQuery, Schedule, Version
    from service.client.asynchronous import AsyncPenstock
    from service.client.errors import (
        ConflictError,
        InvalidError,
        NoService,
        NotAllowedError,
        NotFoundError,
        NotLoggedInError,
        OverloadedError,
        RateLimitedError,
        RunFailed,
        ServiceError,
    )
    from service.client.notebook import Report
    from service.client.synchronous import Penstock

_HOMES = {
    "synchronous": ("Penstock",),
    "asynchronous": ("AsyncPenstock",),
    "answers": ("Account", "ApiKey", "Pipeline", "Run", "Saved", "SavedQuery", "Schedule", "Version"),
    "notebook": ("Report",),
    "errors": (
        "ConflictError", "InvalidError", "NoService", "NotAllowedError", "NotFoundError", "NotLoggedInError",
        "OverloadedError", "RateLimitedError", "RunFailed", "ServiceError",
    ),
}  # fmt: skip

__all__ = [
    "Account",
    "ApiKey",
    "AsyncPenstock",
    "ConflictError",
    "InvalidError",
    "NoService",
    "NotAllowedError",
    "NotFoundError",
    "NotLoggedInError",
    "OverloadedError",
    "Penstock",
    "Pipeline",
    "RateLimitedError",
    "Report",
    "Run",
    "RunFailed",
    "Saved",
    "SavedQuery",
    "Schedule",
    "ServiceError",
    "Version",
]


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"service.client.{module}"), name)
    raise AttributeError(f"module 'service.client' has no attribute '{name}'")
