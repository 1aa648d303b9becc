"""Outcome: everything that a run found on its way from the sources to the last processor, as one value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from service.engine.fit_record import FitRecord
from service.model.version import Source
from service.steps.context import State
from service.steps.frame import Frame
from service.steps.report import FittedStep, Rejected
from service.values.profile import Profile


@dataclass(frozen=True)
class CollectorState:
    """The state that the collector ``label`` leaves: new files in ``state.folder``, and earlier ones that it keeps."""

    label: str
    state: State
    kept: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """The frame to store, and what the version keeps beside it.

    ``processed_rows`` is how many rows went into the first processor (None: unknown), when all were stored.
    ``postponed`` are the places of the analyzers that see the stored rows (``whole_profile``).
    """

    frame: Frame
    sources: list[Source]
    fit_record: FitRecord
    rejected: tuple[Rejected, ...] = ()
    fitted: Mapping[str, FittedStep] = field(default_factory=dict)
    profiles: tuple[Profile, ...] = ()
    states: tuple[CollectorState, ...] = ()
    processed_rows: Callable[[], int | None] = lambda: None
    postponed: frozenset[int] = frozenset()
