"""Everything below the API, built and running. ``bootstrap`` builds it."""

from __future__ import annotations

from dataclasses import dataclass

from service.catalog.audit_log import AuditLog
from service.catalog.deliveries import Deliveries
from service.catalog.history import History
from service.catalog.pipelines import Pipelines
from service.catalog.schedules import Schedules
from service.catalog.store import Store
from service.catalog.trigger_inputs import TriggerInputs
from service.catalog.version_marks import VersionMarks
from service.files.layout import Layout
from service.kit.clock import Clock
from service.kit.settings import Settings
from service.model.registry import Registry
from service.query.engine import Engine
from service.query.sources import Sources
from service.runs.backup import Backups
from service.runs.change_feed import ChangeFeed
from service.runs.condition import Condition
from service.runs.held_versions import HeldVersions
from service.runs.supervisor import Supervisor
from service.runs.task_runner import TaskRunner
from service.runs.verification import Verifier
from service.runs.version_upkeep import VersionUpkeep


@dataclass(frozen=True)
class Core:
    """The parts of a service that its API, its own work and the command line use."""

    settings: Settings
    clock: Clock
    registry: Registry
    layout: Layout
    store: Store
    pipelines: Pipelines
    history: History
    schedules: Schedules
    trigger_inputs: TriggerInputs
    deliveries: Deliveries
    supervisor: Supervisor
    engine: Engine
    tasks: TaskRunner
    sources: Sources
    condition: Condition
    backups: Backups
    marks: VersionMarks
    upkeep: VersionUpkeep
    verifier: Verifier
    held: HeldVersions
    audit: AuditLog
    changes: ChangeFeed

    def stop(self) -> None:
        """End what answers wait for, except runs: the service stops."""
        self.backups.stop()
        self.verifier.stop()
        self.changes.close()
