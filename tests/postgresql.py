"""A PostgreSQL server of the tests' own, on loopback, which they may stop and start."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

_DEBIAN = Path("/usr/lib/postgresql")
_USER = "postgres"  # the server refuses to run as root


class Cluster:
    """A server in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = int(found.getsockname()[1])
        self._made = 0
        self._free: list[str] = []
        self._run(
            "initdb", "-D", str(folder / "data"), "-A", "trust", "-U", "penstock", "-E", "UTF8", "--locale=C.UTF-8"
        )

    def url(self, database: str) -> str:
        return f"postgresql://penstock@127.0.0.1:{self.port}/{database}"

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a database that is empty, until the end of the context."""
        url = self._free.pop() if self._free else self._new()
        yield url
        with psycopg.connect(url, autocommit=True) as connection:  # which is many times faster than another database
            connection.execute("DROP SCHEMA IF EXISTS penstock CASCADE")
        self._free.append(url)

    def _new(self) -> str:
        self._made += 1
        name = f"catalog{self._made}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder} -c fsync=off"
        self._control("start", "-o", options, "-l", str(self.folder / "log"))

    def stop(self, mode: str = "fast") -> None:
        self._control("stop", "-m", mode)

    @property
    def pid(self) -> int:
        """The process that all others of the server belong to."""
        return int((self.folder / "data" / "postmaster.pid").read_text().splitlines()[0])

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-t", "60", *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        user = _USER if os.geteuid() == 0 else None
        command = [_binary(program), *arguments]
        subprocess.run(command, user=user, group=user, cwd=self.folder, stdout=subprocess.DEVNULL, check=True)


@contextmanager
def running() -> Iterator[Cluster]:
    """A server until the end of the context. Where none is installed the tests that ask for it fail."""
    with tempfile.TemporaryDirectory(prefix="penstock-postgresql-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        place = folder / "server"
        place.mkdir(mode=0o700)
        if os.geteuid() == 0:
            shutil.chown(place, _USER, _USER)
        cluster = Cluster(place)
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop("immediate")


def _binary(name: str) -> str:
    installed = sorted(_DEBIAN.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    found = shutil.which(name) or (str(installed[-1]) if installed else None)
    if found is None:
        raise RuntimeError(f"there is no {name}; install PostgreSQL 15 or later (apt-get install postgresql)")
    return found
