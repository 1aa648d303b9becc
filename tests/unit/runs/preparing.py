"""What a worker sends when its rows are ready, with empty fields by default."""

from __future__ import annotations

from typing import Any

from service.jobs.messages import Prepared, Quarantine
from service.steps.storage import File


def prepared(file: File, **more: Any) -> Prepared:
    given: dict[str, Any] = {
        "rows": 0, "rows_collected": 0, "rows_rejected": 0, "files": [],
        "quarantine": Quarantine(files=[], refusals=[], columns=[]), "fit_record": file, "state": [], "stays": [],
        "columns": [], "sources": [], "steps": [], "warnings": [], "profiles": [], "fitted": {}, "deferred": [],
        "peak_memory_bytes": 0,
    }  # fmt: skip
    return Prepared(**{**given, **more})
