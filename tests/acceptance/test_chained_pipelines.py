"""A pipeline that reads another pipeline's stored versions, through the command line as a user would."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.acceptance.shell import Shell


def run(shell: Shell, folder: Path, name: str, source: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    document = {"name": name, "collectors": [source], "storage": [{"type": "parquet"}]}
    (folder / f"{name}.json").write_text(json.dumps(document))
    ended = shell.run("run", f"{name}.json", "--data-dir", "data", "--json", folder=folder)
    said = ended.stdout or ended.stderr
    return ended.returncode, json.loads(said[said.index(b"{") :])


def test_one_pipeline_reads_what_another_stored(tmp_path: Path) -> None:
    uploads = tmp_path / "data" / "uploads"
    uploads.mkdir(parents=True)
    with Shell(tmp_path) as shell:
        _one_reads_another(shell, tmp_path, uploads)


def _one_reads_another(shell: Shell, folder: Path, uploads: Path) -> None:
    code, said = run(shell, folder, "report", {"type": "pipeline", "name": "orders"})
    assert code != 0
    assert "no stored version of a pipeline 'orders'" in said["error"]["message"]
    assert said["error"]["details"]["field"] == "collectors[0].name"
    for number in (1, 2):
        (uploads / "orders.csv").write_text("id\n" + "7\n" * number)
        assert run(shell, folder, "orders", {"type": "csv", "file_path": "orders.csv"})[0] == 0
    code, newest = run(shell, folder, "report", {"type": "pipeline", "name": "orders"})
    assert (code, newest["rows_stored"]) == (0, 2), newest
    code, first = run(shell, folder, "report", {"type": "pipeline", "name": "orders", "version": 1})
    assert (code, first["rows_stored"]) == (0, 1), first
    manifest = json.loads((folder / "data" / first["storage_location"] / "manifest.json").read_bytes())
    assert manifest["sources"][0]["evidence"] == {"pipeline": "orders", "version": 1, "files": 1}
