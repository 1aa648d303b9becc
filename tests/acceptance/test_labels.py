"""Labels where one process serves alone: it executes runs with its labels, and others fail and say what to set."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.served import serving, upload_and_create


def test_a_process_alone_executes_runs_with_its_labels_and_fails_others(tmp_path: Path) -> None:
    with serving(tmp_path / "data", PENSTOCK_WORKER_LABELS="gpu, eu", PENSTOCK_ADMIN_PASSWORD="x" * 12) as served:
        served.login("x" * 12)
        for label in ("gpu", "tpu"):
            upload_and_create(served, label, execution={"label": label})
        run = served.json("POST", "/pipeline/gpu/execute?wait=60")
        assert (run["status"], run["label"], run["waiting_for"]) == ("completed", "gpu", None)
        failed = served.json("POST", "/pipeline/tpu/execute?wait=60")
        assert failed["status"] == "failed"
        assert failed["error"]["details"]["field"] == "execution.label"
        assert "set PENSTOCK_WORKER_LABELS=tpu" in failed["error"]["message"]
        assert served.json("GET", "/pipeline/tpu/runs")["items"][0]["status"] == "failed"
        document = {
            "name": "t",
            "collectors": [{"type": "csv", "file_path": "cities.csv"}],
            "execution": {"label": "tpu"},
        }
        (warning,) = served.json("POST", "/pipeline/validate", json=document)["warnings"]
        assert warning["code"] == "no_process"
        document["execution"] = {"label": "Large GPU"}
        refused = served.json("POST", "/pipeline/validate", status=400, json=document)["error"]
        assert refused["details"]["field"] == "execution.label"
        assert "Lower-case letters, digits" in refused["message"]
        (own,) = served.json("GET", "/processes")["items"]
        assert (own["kind"], own["labels"]) == ("serve", ["gpu", "eu"])
