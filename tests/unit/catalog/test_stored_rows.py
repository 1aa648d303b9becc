"""Rows that a newer release writes may have fields that this one does not know: it reads what it knows."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from service.model.api_key import MachineKey
from service.model.run import Run
from service.model.saved_query import SavedQuery
from service.model.service_process import ServiceProcess
from service.model.version import Version
from service.network.pace_shares import HostPace
from service.runs.manifest import Manifest
from service.runs.version_objects import Current

STORED = (Run, Version, MachineKey, SavedQuery, ServiceProcess, HostPace, Manifest, Current)
WRITTEN_BY_USERS = {"Parameter"}
"""Parts of stored rows that are configurations: those of a newer release wait until all processes are of it."""


def strict(kind: Any) -> set[str]:
    """The names of the structs in a type that refuse fields which they do not know."""
    found: set[str] = set()
    seen: set[int] = set()

    def look(info: Any) -> None:
        if id(info) in seen or not isinstance(info, msgspec.inspect.Type | msgspec.inspect.Field):
            return
        seen.add(id(info))
        if isinstance(info, msgspec.inspect.StructType) and info.forbid_unknown_fields:
            found.add(info.cls.__name__)
        for name in getattr(info, "__struct_fields__", ()):
            value = getattr(info, name)
            for part in value if isinstance(value, tuple) else (value,):
                look(part)

    look(msgspec.inspect.type_info(kind))
    return found


@pytest.mark.parametrize("kind", STORED, ids=lambda kind: kind.__name__)
def test_fields_of_newer_releases_are_read_over(kind: type[msgspec.Struct]) -> None:
    assert strict(kind) - WRITTEN_BY_USERS == set()
