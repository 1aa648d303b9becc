"""Journal: the steps of a job that have ended, with their reports, in order.

It only grows, and only by values. A run that fails can say from it how far it came.
"""

from __future__ import annotations

import re

from service.model.run import Step
from service.steps.report import ProcessReport, Rejected, StepReport, StepWarning

_COLLECTOR = re.compile(r"collectors\[(\d+)\]")


class Journal:
    """Durations and counts (``steps``) and reports of the steps that have ended."""

    def __init__(self) -> None:
        self.steps: tuple[Step, ...] = ()
        self._reports: tuple[StepReport, ...] = ()

    def add(self, step: Step) -> None:
        """Add a step that has ended; collectors, which end in any order, stand in that of the configuration."""
        self.steps = tuple(sorted((*self.steps, step), key=_place))

    def file(self, report: StepReport) -> None:
        """Add the report of a step that has ended, well or with an error."""
        self._reports = (*self._reports, report)

    def __len__(self) -> int:
        return len(self._reports)

    @property
    def warnings(self) -> list[StepWarning]:
        """The warnings of all reports."""
        return [warning for report in self._reports for warning in report.warnings]

    @property
    def dynamic_columns(self) -> list[str]:
        """The settings of processors whose columns are known only when rows were seen."""
        return [c for report in self._reports if isinstance(report, ProcessReport) for c in report.dynamic_columns]

    def rejected(self, start: int) -> tuple[Rejected, ...]:
        """What the reports from number ``start`` on rejected."""
        return tuple(rejected for report in self._reports[start:] for rejected in report.rejected)


def _place(step: Step) -> float:
    """A collector by its number; steps after collectors end one after another."""
    found = _COLLECTOR.fullmatch(step.step)
    return float("inf") if found is None else int(found[1])
