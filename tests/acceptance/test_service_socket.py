"""Commands beside a running service: they ask it through the socket in its data directory, and answer the same."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.files import service_socket
from tests.acceptance.served import CSV, PASSWORD, serving
from tests.acceptance.shell import Shell

ORDERS = {"name": "orders", "collectors": [{"type": "csv", "file_path": "orders.csv"}], "schedule": {"cron": "@yearly"}}
SAME = [
    ["list"], ["list", "--json"], ["log", "orders"], ["log", "orders", "--json"], ["log", "nobody"],
    ["version", "list", "orders"], ["version", "list", "orders", "--json"], ["version", "list", "nobody"],
    ["version", "tag", "orders", "1", "old"], ["version", "tag", "orders", "old", "No!", "--json"],
    ["version", "pin", "orders", "old", "--json"], ["version", "unpin", "orders", "1"],
    ["version", "pin", "orders", "none", "--json"], ["version", "pin", "orders", "No!"],
    ["version", "delete", "orders", "1", "--json"], ["diff", "orders", "2", "--against", "old", "--json"],
    ["version", "restore", "orders", "2"], ["version", "untag", "orders", "old"], ["version", "untag", "orders", "old"],
    ["diff", "orders"], ["diff", "orders", "2", "--key", "id", "--json"], ["diff", "orders", "9"], ["diff", "nobody"],
    ["schedule", "list"], ["schedule", "list", "--json"], ["schedule", "pause", "orders", "--json"],
    ["schedule", "resume", "orders", "--json"], ["schedule", "pause", "nobody", "--json"],
    ["query", "FROM orders ORDER BY id", "--format", "csv"], ["query", "FROM nothing", "--json"],
    ["verify"], ["verify", "--json"], ["verify", "--deep", "--json"],
    ["user", "list"], ["user", "list", "--json"], ["user", "remove", "nobody", "--json"],
    ["user", "remove", "vera", "--json"], ["user", "add", "x", "--role", "viewer", "--password-stdin", "--json"],
]  # fmt: skip


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with Shell(tmp_path_factory.mktemp("shell")) as shell:
        yield shell


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, shell: Shell) -> Path:
    """A folder with a data directory of two versions and two accounts; its path is too long for a socket's."""
    folder = tmp_path_factory.mktemp("place") / ("long" * 30)
    folder.mkdir()
    (folder / "orders.json").write_text(json.dumps(ORDERS))
    for content in (CSV, CSV + "4,Oslo\n"):
        (folder / "orders.csv").write_text(content)
        assert said(shell, folder, "run", "orders.json")[2] == 0
    for name, role in (("admin", "admin"), ("vera", "viewer")):
        assert said(shell, folder, "user", "add", name, "--role", role, "--password-stdin")[2] == 0
    return folder


def said(shell: Shell, folder: Path, *words: str) -> tuple[str, str, int]:
    ended = shell.run(*words, folder=folder, input=f"{PASSWORD}\n", PENSTOCK_DATA_DIR=str(folder / "data"))
    return ended.stdout.decode(), ended.stderr.decode(), ended.returncode


def sockets(data: Path) -> list[Path]:
    return [path for path in data.iterdir() if path.is_socket()]


@pytest.mark.slow
def test_every_command_answers_the_same_beside_a_service(shell: Shell, folder: Path) -> None:
    def answers() -> list[tuple[list[str], tuple[str, str, int]]]:
        said(shell, folder, "user", "add", "vera", "--role", "viewer", "--password-stdin")
        found = []
        for words in SAME:
            text, wrong, code = said(shell, folder, *words)
            found.append((words, (_steady(text), wrong, code)))
        said(shell, folder, "user", "remove", "x")
        return found

    alone = answers()
    with serving(folder / "data") as served:
        beside = answers()
        assert {"local"} <= {key for line in served.log() for key in line}
    for one, other in zip(alone, beside, strict=True):
        assert one == other


def _steady(text: str) -> str:
    """Without when things happened, which differs between two answers."""
    if not text.startswith(("[{", "{")) or "\n{" in text:
        return "\n".join(line for line in text.splitlines() if "vera" not in line)
    found = json.loads(text)
    for item in found if isinstance(found, list) else [found]:
        item.pop("created", None)
    return json.dumps(found)


def test_a_service_runs_files_and_makes_backups(shell: Shell, folder: Path) -> None:
    with serving(folder / "data", "--file-root", str(folder)):
        (folder / "orders.csv").write_text(CSV + "4,Oslo\n5,Riga\n")
        text, wrong, code = said(shell, folder, "run", "orders.json", "--json")
        run = json.loads(text)
        assert (code, run["status"], run["version"], run["requested_by"], run["revision"]) == (
            0,
            "completed",
            3,
            "cli",
            1,
        )
        assert {stored["state"] for stored in run["storage"]} == {"ready"}
        changed = {**ORDERS, "processors": [{"type": "cleaner", "config": {"drop_na": True}}]}
        (folder / "changed.json").write_text(json.dumps(changed))
        assert "completed orders version 4: 4 rows" in said(shell, folder, "run", "changed.json")[0]
        (folder / "bad.json").write_text(json.dumps({**ORDERS, "storage": 5}))
        assert json.loads(said(shell, folder, "run", "bad.json", "--json")[0])["error"]["details"]["field"] == "storage"
        text, wrong, code = said(shell, folder, "run", "orders.json", "--file-root", ".")
        assert (code, "PENSTOCK_FILE_ROOTS" in wrong) == (2, True), wrong
        assert "backed up 4 versions" in said(shell, folder, "backup", "copies")[0]
        assert [p.name for p in folder.glob("copies/*/catalog.duckdb")] == ["catalog.duckdb"]
        text, wrong, code = said(shell, folder, "verify", "--adopt")
        assert (code, "stop the service" in wrong) == (4, True), wrong


def test_only_its_user_reaches_the_socket(folder: Path) -> None:
    data = folder / "data"
    with serving(data) as served:
        (path,) = sockets(data)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(data.stat().st_mode) == 0o700
        assert path.name not in Path("/proc/net/unix").read_text()
        assert _as_nobody(path) != "connected"
        assert _status(path, b"") == b"200"
        assert _status(path, b"Authorization: Bearer x\r\n") == b"401"
        served.log()
        assert sockets(data) == []


def _status(path: Path, header: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        with service_socket.running(path.parent) as short:
            client.connect(str(short))
        client.sendall(b"GET /api/v1/users HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + header + b"\r\n")
        return client.recv(4096).split()[1]


def _as_nobody(path: Path) -> str:
    """What another user is told who connects to the socket, from inside its folder."""
    if os.geteuid() != 0:
        return "a user cannot become another one"
    reader, writer = os.pipe()
    if not (child := os.fork()):
        os.chdir(path.parent)
        os.setgid(65534)
        os.setuid(65534)
        try:
            socket.socket(socket.AF_UNIX).connect(path.name)
            answer = "connected"
        except OSError as error:
            answer = type(error).__name__
        os.write(writer, answer.encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as answers:
        return answers.read()


@pytest.mark.slow
def test_the_socket_of_a_killed_service_is_in_nobodys_way(shell: Shell, folder: Path) -> None:
    data = folder / "data"
    with serving(data) as served:
        served.process.send_signal(signal.SIGKILL)
        served.ended()
    (left,) = sockets(data)
    assert said(shell, folder, "list")[2] == 0
    with serving(data):
        (fresh,) = sockets(data)
    assert fresh.name != left.name


def test_versions_are_restored_and_deleted_without_a_service(shell: Shell, folder: Path) -> None:
    text, wrong, code = said(shell, folder, "version", "restore", "orders", "1", "--json")
    made = json.loads(text)
    assert (code, wrong, made["restored_from"], made["rows"]) == (0, "", 1, 3)
    assert said(shell, folder, "version", "delete", "orders", "2") == ("deleted version 2 of 'orders'\n", "", 0)
    listed = json.loads(said(shell, folder, "version", "list", "orders", "--json")[0])
    assert (listed[0], 2 in [line["version"] for line in listed]) == (made, False)
    assert said(shell, folder, "version", "delete", "orders", str(made["version"]))[2] == 4
