"""A trigger: a pipeline runs after others have committed versions. Upstreams form a graph without cycles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec


class Trigger(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Other pipelines that make this one run."""

    after: Annotated[
        list[str],
        msgspec.Meta(
            min_length=1,
            max_length=100,
            description="Runs when each of these pipelines has committed a version since this pipeline's last run.",
            examples=[["customers", "products"]],
        ),
    ]


class TriggerState(msgspec.Struct, frozen=True, kw_only=True):
    """Which upstream pipelines have committed a version since the last run, and which are awaited, in their order."""

    committed: list[str]
    awaited: list[str]

    @property
    def ready(self) -> bool:
        """Whether the pipeline runs now."""
        return not self.awaited


def cycle(name: str, after: Mapping[str, Sequence[str]]) -> list[str] | None:
    """The cycle through ``name`` as a list that begins and ends with it; None if there is none.

    ``after`` maps pipelines to those that they run after.
    """
    found: dict[str, str] = {}  # a pipeline, and the one that runs after it
    pending = [name]
    while pending:
        current = pending.pop()
        for upstream in after.get(current, ()):
            if upstream == name:
                path = [name, current]
                while path[-1] != name:
                    path.append(found[path[-1]])
                return path
            if upstream not in found:
                found[upstream] = current
                pending.append(upstream)
    return None
