"""Examples: the values that OpenAPI shows. One pipeline, ``orders``, runs through all of them."""

from __future__ import annotations

from typing import Any

AT, THEN = "2026-01-01T06:00:00Z", "2026-01-01T06:00:02.5Z"
RUN_ID = "run_019b7a3c5e00a1b2c3d4e5f6"

PIPELINE: dict[str, Any] = {
    "name": "orders",
    "description": "Orders of the shop",
    "collectors": [{"type": "csv", "file_path": "orders.csv"}],
    "processors": [
        {"type": "cleaner", "config": {"cast": {"price": "float64"}}},
        {"type": "analyzer", "config": {}},
    ],
    "storage": [{"type": "parquet"}, {"type": "duckdb"}],
}
BACKUP = {
    "directory": "/var/backups/penstock", "versions": 30, "files": 124, "bytes": 734003200, "shared_bytes": 730857472,
}  # fmt: skip
_DIFF_ROW = {"order_id": 7, "price": 12.5}
DIFF: dict[str, Any] = {
    "pipeline": "orders", "version": 3, "against": 2, "key": ["order_id"],
    "rows": {"before": 980, "after": 990, "added": 12, "removed": 2, "changed": 1, "unchanged": 977},
    "columns": [
        {
            "name": "price", "change": None, "type": "float64", "changed": 1,
            "missing_share": {"before": 0.01, "after": 0.02}, "mean": {"before": 20.1, "after": 20.3}, "psi": 0.004,
        },
    ],
    "samples": {
        "added": [{"order_id": 981, "price": 9.9}], "removed": [],
        "changed": [{"key": {"order_id": 7}, "before": {**_DIFF_ROW, "price": 12.0}, "after": _DIFF_ROW}],
    },
}  # fmt: skip
LINEAGE: dict[str, Any] = {
    "pipeline": "orders", "revision": 1, "version": 3, "depth": 2,
    "nodes": [
        {"id": "pipeline:orders", "kind": "pipeline", "name": "orders", "type": "pipeline", "exists": True},
        {"id": "source:orders.csv", "kind": "source", "name": "orders.csv", "type": "csv", "exists": None},
    ],
    "edges": [
        {"from": "source:orders.csv", "to": "pipeline:orders", "kind": "reads", "step": "collectors[0]",
         "version": None},
    ],
    "columns": [
        {"name": "total", "type": "float64",
         "origins": [{"collector": "collectors[0]", "columns": ["price", "quantity"]}]}
    ],
    "why": None,
}  # fmt: skip
SAVED = {"message": "pipeline 'orders' created", "name": "orders", "revision": 1}
STORED = [{"type": "parquet", "location": "warehouse/orders/v000003", "bytes": 18234, "state": "ready"}]
RUN: dict[str, Any] = {
    "run_id": RUN_ID, "pipeline": "orders", "revision": 1, "status": "completed", "phase": None, "step": None,
    "progress": 100.0, "estimated_end": None, "attempt": 1, "max_attempts": 1,
    "attempts": [{"number": 1, "start_time": AT, "end_time": THEN, "error": None}], "retry_at": None, "version": 3,
    "storage_location": "warehouse/orders/v000003", "storage": STORED, "rows_collected": 1000, "rows_stored": 990,
    "rows_rejected": 0,
    "steps": [
        {"step": "collectors[0]", "phase": "collecting", "fraction": 1.0, "duration": 0.021, "started": AT, "ended": AT,
         "rows_in": None, "rows_out": 1000, "bytes_read": 18234, "bytes_total": 18234, "bytes_written": None,
         "rows_per_second": 47619.0, "bytes_per_second": 868285.7, "staged": 0, "evidence": None}
    ],
    "error": None, "warnings": [], "start_time": AT, "end_time": THEN, "duration": 2.5,
    "peak_memory_bytes": 183500800, "requested_by": "ann", "request_id": "req_018f3f0c5a1b0000", "queued_at": AT,
    "replay_of": None, "replayed_rows": [], "restored_from": None,
    "unchanged": False, "held_because": [], "full_refresh": False, "label": None, "waiting_for": None,
}  # fmt: skip
STATUS = {
    **{key: RUN[key] for key in ("status", "progress", "phase", "step", "run_id", "error", "warnings")},
    **{key: RUN[key] for key in ("rows_collected", "rows_stored", "start_time", "end_time", "duration")},
    "estimated_end": None,
    "rows_per_second": None,
    "bytes_per_second": None,
    "name": "orders",
    "next_run": "2026-01-02T06:00:00Z",
    "trigger_state": {"committed": ["customers"], "awaited": ["products"]},
}
SCHEDULE = {
    "name": "orders",
    "cron": "0 6 * * *",
    "timezone": "UTC",
    "misfire": "run_once",
    "enabled": True,
    "paused": False,
    "last_fire": AT,
    "last_run_id": RUN_ID,
    "next_fire": "2026-01-02T06:00:00Z",
}
DELIVERY = {
    "id": "evt_019b7a3c5e00a1b2c3d4e5f6",
    "event": "failed",
    "run_id": RUN_ID,
    "url": "https://example.org/hooks/penstock",
    "state": "waiting",
    "tries": 2,
    "created": THEN,
    "next_try": "2026-01-01T06:00:40Z",
    "error": "https://example.org/hooks/penstock: POST answered 503 Service Unavailable",
}
LINE = {
    "name": "orders",
    "table": "orders",
    "description": "Orders of the shop",
    "revision": 1,
    "status": "completed",
    "version": 3,
    "created": AT,
    "updated": AT, "owner": "ann", "visibility": "shared", "after": [],
}  # fmt: skip
STATS = {
    "total_executions": 4,
    "successful_executions": 3,
    "failed_executions": 1,
    "held_executions": 0,
    "success_rate": 0.75,
    "average_duration": 2.4,
    "p50_duration": 2.5,
    "p95_duration": 2.6,
    "total_rows_processed": 2970,
    "rows_per_second": 412.5,
    "bytes_stored": 54702,
    "versions": 3,
    "last_execution": {
        "run_id": RUN_ID,
        "start_time": AT,
        "end_time": THEN,
        "duration": 2.5,
        "status": "completed",
        "rows_processed": 990,
        "error": None,
        "peak_memory_bytes": 183500800,
        "steps": RUN["steps"],
    },
    "last_error": {"code": "STEP_FAILED", "message": "orders.csv: no such file", "details": {"step": "collectors[0]"}},
}
COLUMNS = [{"name": "order_id", "type": "BIGINT"}, {"name": "price", "type": "DOUBLE"}]
NAMED_COLUMNS = [{"name": "order_id", "type": "int64"}, {"name": "price", "type": "float64"}]
DATA = {
    "pipeline": "orders",
    "version": 3,
    "columns": COLUMNS,
    "data": [{"order_id": 1, "price": 9.5}],
    "row_count": 1,
    "total_rows": 990,
    "limit": 1,
    "offset": 0,
    "next_offset": 1,
    "next": "l9kjL2FwaS92MS9waXBlbGluZS9vcmRlcnMvZGF0YQ",
}
QUARANTINE = {
    "pipeline": "orders",
    "version": 3,
    "rules": [{"step": "processors[1]", "rule": "price_in_range", "column": "price", "rows": 10}],
    "columns": [{"name": "_rules", "type": 'STRUCT("rule" VARCHAR, "column" VARCHAR, …)[]'}, *COLUMNS],
    "data": [
        {
            "_rules": [{"rule": "price_in_range", "column": "price", "value": "-9.5", "message": "is less than 0"}],
            "_step": "processors[1]",
            "_source": "csv_0",
            "_file": None,
            "_line": None,
            "_row": 17,
            "_text": None,
            "order_id": 17,
            "price": -9.5,
        }
    ],
    "row_count": 1,
    "total_rows": 10,
    "limit": 1,
    "offset": 0,
    "next_offset": 1,
    "next": "l9kjL2FwaS92MS9waXBlbGluZS9vcmRlcnMvZGF0YQ",
}
SCHEMA = {
    "pipeline": "orders",
    "version": 3,
    "columns": [
        {
            "name": "price",
            "type": "DOUBLE",
            "polars_type": "Float64",
            "nullable": True,
            "unique_values": 412,
            "missing_values": 20,
            "min": 0.5,
            "max": 199.0,
            "mean": 49.9,
            "std": 20.1,
            "q25": 30.0,
            "q50": 48.5,
            "q75": 70.0,
            "bytes": 3120,
        }
    ],
    "row_count": 990,
    "column_count": 1,
    "data_types": {"price": "DOUBLE"},
    "sample_data": [{"price": 9.5}],
    "storage": [{"type": "parquet", "location": "warehouse/orders/v000003", "bytes": 18234}],
    "approximate": False,
}
VERSION: dict[str, Any] = {
    "pipeline": "orders",
    "version": 3,
    "run_id": RUN_ID,
    "revision": 1,
    "rows": 990,
    "bytes": 18234,
    "columns": NAMED_COLUMNS,
    "sources": [{"id": "csv_0", "type": "csv", "rows": 1000}],
    "schema_changes": [{"column": "price", "change": "retyped", "before": "string", "after": "float64"}],
    "created": THEN,
    "rows_quarantined": 10,
    "replay_of": None,
    "restored_from": None,
    "pinned": False,
    "tags": [],
    "state": "published",
    "held_because": [],
}
HELD_BECAUSE = [
    {
        "measure": "row_drop_share", "column": None, "value": 0.45, "bound": 0.2,
        "message": "rows fell by a share of 0.45, from 1800 to 990; at most 0.2 is allowed",
    }
]  # fmt: skip
PROFILES: dict[str, Any] = {
    "pipeline": "orders",
    "version": 3,
    "profiles": [
        {
            "row_count": 990,
            "column_count": 2,
            "exact": True,
            "duplicate_rows": 0,
            "columns": [],
            "correlation": {"method": "pearson", "columns": [], "matrix": []},
            "warnings": [],
        }
    ],
}
FITTED = {
    "pipeline": "orders",
    "version": 3,
    "revision": 1,
    "fitted": {
        "processors[1]": {
            "type": "transformer",
            "parameters": {"normalize": {"price": {"method": "standard", "mean": 49.9, "scale": 20.1}}},
        }
    },
}
APPLY = {"records": [{"order_id": 1, "price": 70.0}, {"order_id": None, "price": 5.0}], "version": 3}
APPLIED = {
    "pipeline": "orders",
    "version": 3,
    "columns": COLUMNS,
    "data": [{"order_id": 1, "price": 1.0}],
    "rows": [0],
    "dropped": [{"index": 1, "step": "processors[0]"}],
    "skipped": [{"step": "processors[0]", "operation": "distinct", "reason": "each record stands alone here"}],
}
KEYS = {"keys": [2, 1, 7], "columns": ["order_id", "price"]}
ROWS_BY_KEY = {
    "pipeline": "orders",
    "version": 3,
    "key": ["order_id"],
    "columns": COLUMNS,
    "data": [{"order_id": 2, "price": 9.5}, {"order_id": 1, "price": 70.0}],
    "row_count": 2,
    "rows": [0, 1],
    "missing": [2],
}
ROW = {**ROWS_BY_KEY, "data": [{"order_id": 2, "price": 9.5}], "row_count": 1, "rows": [0], "missing": []}
SAMPLE: dict[str, Any] = {
    "columns": [{"name": "price", "type": "DOUBLE", "polars_type": "Float64"}],
    "data": [{"price": 9.5}],
    "row_count": 1,
    "truncated": False,
    "total_rows": 1,
    "rows_collected": 2,
    "rows_rejected": 0,
    "sources": [{"id": "csv_0", "type": "csv", "rows": 2, "columns": [{"name": "price", "type": "string"}]}],
    "steps": [
        {"step": "collectors[0]", "duration": 0.004, "rows_out": 2},
        {"step": "processors[0]", "duration": 0.002, "rows_in": 2, "rows_out": 1},
    ],
    "profile": PROFILES["profiles"][0],
    "warnings": [],
    "plan": 'WITH_COLUMNS:\n[col("price").cast(Float64)]\n  Csv SCAN [orders.csv]',
}
PLAN: dict[str, Any] = {
    "configuration": {**PIPELINE, "execution": {"timeout_seconds": 3600.0}},
    "sources": [
        {
            "step": "collectors[0]",
            "id": "csv_0",
            "type": "csv",
            "fetch": {"kind": "files", "files": [{"name": "orders.csv", "bytes": 48211}], "count": 1, "bytes": 48211},
            "known": "read",
            "columns": [{"name": "price", "type": "string"}],
            "rows": 1000,
            "why": None,
        }
    ],
    "known": "read",
    "steps": [
        {
            "step": "processors[0]",
            "type": "cleaner",
            "row_local": True,
            "measured": False,
            "operations": [],
            "staged": 0,
            "fitted": {},
            "input": [{"name": "price", "type": "string"}],
            "output": [{"name": "price", "type": "float64"}],
            "why": None,
        }
    ],
    "columns": [{"name": "price", "type": "float64"}],
    "compared_with": 3,
    "changes": VERSION["schema_changes"],
    "problems": [],
    "warnings": [],
    "plan": SAMPLE["plan"],
}
TABLE = {
    "name": "orders",
    "pipeline": "orders",
    "version": 3,
    "row_count": 990,
    "columns": NAMED_COLUMNS,
    "created": THEN,
}
QUERY = {"sql": "SELECT count(*) AS n FROM orders WHERE price > $least", "parameters": {"least": 10}}
RESULT = {
    "columns": [{"name": "n", "type": "BIGINT"}],
    "data": [{"n": 871}],
    "row_count": 1,
    "truncated": False,
    "elapsed_ms": 12.4,
}
UPLOADED = {
    "path": "orders.csv",
    "bytes": 48211,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
}
UPLOADED_LINE = {"path": "orders.csv", "bytes": 48211, "modified": AT}
LOGIN = {"username": "ann", "password": "correct horse battery"}
PAIR = {"access_token": "eyJ…", "refresh_token": "pr_…", "token_type": "bearer", "expires_in": 86400}
USER = {"username": "ann", "role": "operator", "created": AT, "disabled": False}
READINESS = {
    "status": "ready",
    "version": "0.1.0",
    "checks": {"catalog": "ok", "disk": "ok", "workers": "ok"},
    "sandbox": "landlock 7",
}


def page(item: Any) -> dict[str, Any]:
    """A list with one item."""
    return {"items": [item], "total": 1, "limit": 50, "offset": 0}
