"""A running service to which a case uploads files and gives a pipeline, and the rows that this stores."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import polars as pl

from tests.acceptance.served import Served

Files = dict[str, bytes | str | pl.DataFrame]


@dataclass(frozen=True)
class Outcome:
    """The run of a case. ``rows`` are what its version stores, None where the run failed."""

    name: str
    run: dict[str, Any]
    rows: pl.DataFrame | None
    rejected: pl.DataFrame | None

    @property
    def completed(self) -> pl.DataFrame:
        """The rows of a run that must have completed."""
        assert self.rows is not None, self.run["error"]
        return self.rows

    @property
    def columns(self) -> dict[str, list[Any]]:
        """The same rows, column by column."""
        return self.completed.to_dict(as_series=False)

    @property
    def refusal(self) -> str:
        """The whole error of a run that must have failed."""
        assert self.run["status"] == "failed", self.columns
        return str(self.run["error"])

    def warnings(self, code: str) -> list[dict[str, Any]]:
        """The warnings of the run with that code."""
        return [warning for warning in self.run["warnings"] if warning["code"] == code]


class Product:
    """Runs cases one after another, each under a name of its own."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self._numbers = itertools.count(1)

    def upload(self, folder: str, files: Files) -> None:
        """Put the files below ``folder``, tables as Parquet."""
        for path, content in files.items():
            if isinstance(content, pl.DataFrame):
                target = self.served.data.parent / "upload.parquet"
                content.write_parquet(target)
                content = target.read_bytes()
            body = content.encode() if isinstance(content, str) else content
            assert self.served.http.put(f"/files/{folder}/{path}", content=body).status_code in (200, 201)

    def run(
        self, *processors: dict[str, Any], files: Files | None = None, collectors: list[dict[str, Any]] | None = None,
        **document: Any,
    ) -> Outcome:  # fmt: skip
        """Create and execute a pipeline over ``files`` (CSV unless ``collectors`` say otherwise)."""
        name = f"case{next(self._numbers)}"
        self.upload(name, files or {})
        sources = collectors or [{"type": "csv", "file_path": path} for path in files or {}]
        whole = {
            "name": name, "processors": list(processors), "storage": [{"type": "parquet"}],
            "collectors": [_below(source, name) for source in sources], **document,
        }  # fmt: skip
        self.served.json("POST", "/pipeline/create", status=201, json=whole)
        return self.again(name)

    def again(self, name: str) -> Outcome:
        """Execute a pipeline that is there."""
        answer = self.served.http.post(f"/pipeline/{name}/execute?wait=60")
        assert answer.status_code < 500, answer.text
        found = self.served.json("GET", f"/pipeline/{name}/runs?limit=1")["items"][0]
        run: dict[str, Any] = self.served.json("GET", f"/runs/{found['run_id']}")
        if run["status"] != "completed":
            return Outcome(name, run, None, None)
        folder = self.served.data / run["storage_location"]
        rejected = sorted(folder.glob("quarantine*.parquet"))
        rows = pl.concat([pl.read_parquet(part) for part in sorted(folder.glob("part-*.parquet"))])
        return Outcome(name, run, rows, pl.read_parquet(rejected[0]) if rejected else None)

    def refused(self, *processors: dict[str, Any], path: str = "/pipeline/validate", **document: Any) -> Any:
        """The answer to a document that should be refused before it runs; None where it is taken."""
        whole = {"name": "refused", "processors": list(processors), **document}
        answer = self.served.http.post(path, json=whole)
        return answer.json() if answer.status_code >= 400 or answer.json().get("valid") is False else None


def _below(source: dict[str, Any], folder: str) -> dict[str, Any]:
    """The collector with its paths below the case's folder."""
    paths = source.get("file_path")
    if paths is None:
        return source
    below = f"{folder}/{paths}" if isinstance(paths, str) else [f"{folder}/{path}" for path in paths]
    return {**source, "file_path": below}


def cleaner(**config: Any) -> dict[str, Any]:
    """A cleaner with these settings."""
    return {"type": "cleaner", "config": config}


def transformer(**config: Any) -> dict[str, Any]:
    """A transformer with these settings."""
    return {"type": "transformer", "config": config}


def sql(query: str) -> dict[str, Any]:
    """A step that runs this SELECT."""
    return {"type": "sql", "config": {"query": query}}
