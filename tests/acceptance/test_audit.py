"""The audit log of a real service: after a kill, after somebody changed it, in a backup, and of commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.served import PASSWORD, Served, serving, upload_and_create
from tests.acceptance.service import penstock

NAME = "hunter2-typed-into-the-name"


def file_of(data: Path) -> Path:
    (file,) = (data / "audit").glob("*.ndjson")
    return file


def events(data: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file_of(data).read_bytes().splitlines()]


def verified(data: Path, *flags: str) -> tuple[int, list[tuple[str, str]]]:
    """The exit code of ``penstock verify``, and what it found in files of the log."""
    answer = penstock("verify", "--data-dir", str(data), "--json", *flags)
    found = json.loads(answer.stdout)["findings"]
    return answer.returncode, [(f["kind"], f["message"]) for f in found if f["folder"].startswith("audit/")]


def act(served: Served) -> None:
    """A log-in that is refused, an account, a pipeline, a run and a query."""
    served.json("POST", "/auth/token", json={"username": NAME, "password": PASSWORD}, status=401)
    served.json("POST", "/users", json={"username": "ann", "password": PASSWORD, "role": "viewer"}, status=201)
    upload_and_create(served)
    served.json("POST", "/pipeline/cities/execute?wait=60")
    served.json("POST", "/query", json={"sql": "SELECT count(*) FROM cities"})


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of a service that was killed while it wrote a line."""
    data = tmp_path_factory.mktemp("audit") / "data"
    with serving(data, PENSTOCK_ADMIN_PASSWORD=PASSWORD) as served:
        served.login()
        act(served)
        shown = served.json("GET", "/audit")["items"]
        served.process.kill()
        served.ended()
    assert shown[::-1] == events(data)
    with file_of(data).open("ab") as file:
        file.write(file_of(data).read_bytes()[:60])
    return data


def test_requirement_52_what_was_answered_is_on_disk_after_a_kill_and_an_incomplete_line_is_cut_off(
    killed: Path,
) -> None:
    assert verified(killed) == (0, [])  # which opens the catalog, and so cuts the line off
    found = events(killed)
    assert [(e["action"], e["actor"], e["outcome"]) for e in found] == [
        ("auth.login", "admin", "ok"), ("auth.login", None, "refused"), ("user.create", "admin", "ok"),
        ("file.upload", "admin", "ok"), ("pipeline.create", "admin", "ok"), ("run.execute", "admin", "ok"),
        ("query.run", "admin", "ok"), ("audit.mended", None, "ok"),
    ]  # fmt: skip
    assert found[-1]["details"] == {"bytes": 60}
    text = file_of(killed).read_text()
    for secret in (PASSWORD, NAME, "SELECT", "eyJ"):
        assert secret not in text


@pytest.mark.slow
def test_whoever_changes_it_is_noticed_offline_and_by_the_service(killed: Path) -> None:
    verified(killed)
    file = file_of(killed)
    whole = file.read_bytes()
    lines = whole.splitlines(keepends=True)
    try:
        for changed, message in (
            ([lines[0].replace(b"admin", b"sales"), *lines[1:]], "line 1: it was changed, or the line before it was"),
            ([*lines[:1], *lines[2:]], "line 2: 1 lines before it are missing"),
            ([*lines[:2], lines[1], *lines[2:]], "line 3: it is out of order, or there twice"),
        ):
            file.write_bytes(b"".join(changed))
            assert verified(killed) == (1, [("tampered", message)])
        file.write_bytes(b"".join(lines[:4]))
        assert verified(killed)[0] == 1
        file.unlink()
        assert verified(killed) == (1, [("tampered", f"the file is missing; it had {len(lines)} lines")])
        file.write_bytes(whole.replace(b'"query.run"', b'"query.ran"', 1))
        with serving(killed) as served:
            served.login()
            found = served.json("POST", "/admin/verify")["findings"]
            assert [(f["kind"], f["folder"], f["message"][:7]) for f in found] == [
                ("tampered", f"audit/{file.name}", "line 7:")
            ]
    finally:
        kept = file.read_bytes().splitlines(keepends=True)[len(lines) :]
        file.write_bytes(b"".join([*lines, *kept]))
    assert verified(killed) == (0, [])


@pytest.mark.slow
def test_a_backup_has_it_and_a_restored_directory_goes_on(killed: Path, tmp_path: Path) -> None:
    before = len(events(killed))
    for name in ("first", "second"):
        assert penstock("backup", str(tmp_path / "backups"), "--data-dir", str(killed)).returncode == 0
        restored = tmp_path / name
        answer = penstock("restore", str(tmp_path / "backups"), "--data-dir", str(restored))
        assert answer.returncode == 0, answer.stderr
        assert verified(restored) == (0, [])
    restored_from = str(max((tmp_path / "backups").iterdir()))
    answer = penstock("user", "remove", "ann", "--data-dir", str(restored))
    assert answer.returncode == 0, answer.stderr
    assert [(e["action"], e["actor"], e.get("object")) for e in events(restored)[before:]] == [
        ("backup.create", "cli", str(tmp_path / "backups")), ("backup.restore", "cli", restored_from),
        ("user.delete", "cli", "ann"),
    ]  # fmt: skip
    assert verified(restored) == (0, [])


@pytest.mark.slow
def test_a_lost_catalog_takes_its_chains_over(killed: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert penstock("backup", str(tmp_path / "backups"), "--data-dir", str(killed)).returncode == 0
    assert penstock("restore", str(tmp_path / "backups"), "--data-dir", str(data)).returncode == 0
    (data / "catalog.duckdb").unlink()
    code, found = verified(data)
    assert (code, found[0]) == (1, ("tampered", "the catalog knows no chain of this file"))
    code, found = verified(data, "--adopt")
    assert code == 0
    assert {kind for kind, _ in found} == {"adopted"}
    assert verified(data) == (0, [])
