"""A Spark cluster of the tests' own on loopback: master, workers and Connect server, each a Java process.

``PYTHON`` names the Python of an environment that has ``pyspark[connect]`` and Penstock; executors use it, too.
``python -m tests.spark_cluster COMMAND …`` runs a command beside a cluster, for tests that choose their engine by
``tests.sail.VARIABLE``.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests import sail

PYTHON = "PENSTOCK_TEST_SPARK_PYTHON"
_SECONDS = 180.0  # of a start on a busy machine; an idle one takes 15
FRUGAL = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:+PerfDisableSharedMem"
_DEPLOY = "org.apache.spark.deploy"
_STATIC = {
    "spark.connect.grpc.binding.address": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "768m",
    "spark.executor.memory": "512m",
    "spark.executor.memoryOverhead": "512m",
    "spark.executor.cores": "1",
    "spark.executorEnv.POLARS_MAX_THREADS": "1",
    "spark.cores.max": "2",
    "spark.sql.shuffle.partitions": "4",
    "spark.ui.showConsoleProgress": "false",
    "spark.connect.execute.manager.detachedTimeout": "5m",
}


class SparkCluster:
    """The processes of a cluster in ``folder``; without workers the Connect server is the only one, and executes tasks.

    Executors have the environment ``python`` and import from ``path``, too.
    """

    def __init__(
        self, folder: Path, python: str, *, workers: int = 2, path: str = str(sail.ROOT),
        conf: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self._folder, self._python, self._workers, self._path = folder, python, workers, path
        self._conf = {**_STATIC, **(conf or {})}
        self._home = home(python)
        self._master_port, self._pages, self.port, self._ui = free_ports(4)
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        """What ``PENSTOCK_SPARK_URL`` is."""
        return f"sc://127.0.0.1:{self.port}"

    @property
    def _master(self) -> str:
        return f"spark://127.0.0.1:{self._master_port}" if self._workers else "local[1]"

    def start(self) -> None:
        """Return when the Connect server answers and each worker has registered and has an executor."""
        until = time.monotonic() + _SECONDS
        if not self._workers:
            self.start_connect(until)
            return
        address = ["--host", "127.0.0.1"]
        self._spawn(
            "master", "spark-class", f"{_DEPLOY}.master.Master", *address, "--port", str(self._master_port),
            "--webui-port", str(self._pages),
        )  # fmt: skip
        self._wait(lambda: is_listening(self._master_port), until, "the master listens")
        for number in range(self._workers):
            self._spawn(
                f"worker-{number}", "spark-class", f"{_DEPLOY}.worker.Worker", *address, "--webui-port", "0",
                "--cores", "1", "--memory", "1g", "--work-dir", str(self._folder / f"work-{number}"), self._master,
            )  # fmt: skip
        self.start_connect(until)
        self._wait(lambda: len(self.executors) == self._workers, until, "each worker has an executor")

    def start_connect(self, until: float | None = None) -> None:
        """Start the Connect server, which is the driver of all jobs."""
        conf = {**self._conf, "spark.connect.grpc.binding.port": str(self.port), "spark.ui.port": str(self._ui)}
        options = [word for name, value in conf.items() for word in ("--conf", f"{name}={value}")]
        self._spawn(
            "connect", "spark-submit", "--master", self._master, "--class",
            "org.apache.spark.sql.connect.service.SparkConnectServer", *options, "spark-internal",
        )  # fmt: skip
        until = until or time.monotonic() + _SECONDS
        self._wait(lambda: is_listening(self.port), until, "the Connect server listens")

    def kill(self, name: str) -> None:
        """Kill ``connect``, or an executor by its id."""
        if name == "connect":
            self._end(name)
        else:
            os.kill(self.executors[name], signal.SIGKILL)

    @property
    def executors(self) -> dict[str, int]:
        """The ids of the processes of executors, by the names of executors: ``0``, ``1`` and so on."""
        workers = [process.pid for name, process in self._running.items() if name.startswith("worker-")]
        return {name: pid for worker in workers for name, pid in _executors(worker).items()}

    @property
    def jobs(self) -> list[dict[str, Any]]:
        """The jobs of the Connect server, newest first, as Spark's REST interface has them."""
        found: list[dict[str, Any]] = self._asked("jobs")
        return found

    def close(self) -> None:
        """End all processes, executors with their workers."""
        for name in list(self._running):
            self._end(name)

    def _asked(self, what: str) -> Any:
        root = f"http://127.0.0.1:{self._ui}/api/v1/applications"
        with urllib.request.urlopen(root, timeout=10) as answer:
            application = json.load(answer)[0]["id"]
        with urllib.request.urlopen(f"{root}/{application}/{what}", timeout=10) as answer:
            return json.load(answer)

    def _spawn(self, name: str, program: str, *arguments: str) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("SPARK_", "PYSPARK_", "PENSTOCK_"))}
        environment |= {
            "SPARK_HOME": str(self._home), "PYSPARK_PYTHON": self._python, "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_DAEMON_MEMORY": "512m", "SPARK_NO_DAEMONIZE": "1", "SPARK_LOCAL_DIRS": str(self._folder),
            "JDK_JAVA_OPTIONS": FRUGAL, "PYTHONPATH": self._path,
        }  # fmt: skip
        with (self._folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [self._home / "bin" / program, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self._folder, env=environment, start_new_session=True,
            )  # fmt: skip

    def _end(self, name: str) -> None:
        process = self._running.pop(name)
        for pid in (*_executors(process.pid).values(), process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()

    def _wait(self, there: Callable[[], bool], until: float, what: str) -> None:
        while not there():
            ended = {name: process.poll() for name, process in self._running.items() if process.poll() is not None}
            if ended or time.monotonic() > until:
                raise RuntimeError(f"not before it ended or {_SECONDS:g} s: {what}; {ended}\n{self.logs}")
            time.sleep(0.1)

    @property
    def logs(self) -> str:
        """The last lines of every process."""
        return "\n".join(
            f"== {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            for log in sorted(self._folder.glob("*.log"))
        )


@contextmanager
def running(folder: Path, **options: Any) -> Iterator[SparkCluster]:
    """A cluster until the end of the context. Without Java, or without an environment for it, tests fail."""
    python = os.environ.get(PYTHON)
    if python is None:
        raise RuntimeError(f"{PYTHON} names no Python with pyspark[connect]; use .ci/spark_cluster, which makes one")
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        raise RuntimeError("there is no Java; install a runtime of 17 or later (apt-get install default-jre-headless)")
    cluster = SparkCluster(folder, python, **options)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()


def home(python: str) -> Path:
    """The folder of Spark in an environment."""
    code = "import importlib.util; print(importlib.util.find_spec('pyspark').submodule_search_locations[0])"
    answer = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return Path(answer.stdout.strip())


def _executors(worker: int) -> dict[str, int]:
    """The processes of executors that a worker has started, by the names of the executors."""
    found = {}
    for child in _children(worker):
        words = _command(child)
        if "--executor-id" in words:
            found[words[words.index("--executor-id") + 1]] = child
    return found


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody listens on at this moment."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(one.getsockname()[1]) for one in held]
    for one in held:
        one.close()
    return ports


def is_listening(port: int) -> bool:
    """Whether somebody accepts connections there."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _children(pid: int) -> list[int]:
    found = []
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):  # a thread forks
        try:
            found += [int(word) for word in tasks.read_text().split()]
        except OSError:
            continue
    return found


def _command(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place, running(Path(place)) as one:
        variables = {**os.environ, sail.VARIABLE: one.url}
        sys.exit(subprocess.run(sys.argv[1:], env=variables, check=False).returncode)
