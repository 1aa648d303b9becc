"""Runs on a real Spark cluster (master, two workers, Connect server) whose processes are killed in the middle."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.engine.spark.cluster import Cluster
from tests import spark_cluster
from tests.acceptance import documents, spark_runs
from tests.acceptance.served import Served
from tests.acceptance.spark_runs import Gate, until_true
from tests.spark_cluster import SparkCluster

pytestmark = pytest.mark.services
QUIET_SECONDS = 2.0  # without a sign of a task that waits, which gives one each 50 ms


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkCluster]:
    with spark_cluster.running(tmp_path_factory.mktemp("cluster"), path=spark_runs.PATH) as found:
        yield found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, cluster: SparkCluster) -> Iterator[Served]:
    """A service with the orders, and the version that Polars makes of them."""
    with spark_runs.service(tmp_path_factory.mktemp("spark") / "data", cluster.url) as served:
        spark_runs.upload(served)
        for where in ("rows", "groups"):
            gate = Gate(tmp_path_factory.mktemp("gates") / where, where)
            gate.open()
            spark_runs.create(served, spark_runs.document(f"polars_{where}", "polars", gate))
            spark_runs.completed(served, f"polars_{where}")
        yield served


def going(cluster: SparkCluster) -> list[int]:
    """The jobs that Spark executes."""
    return [job["jobId"] for job in cluster.jobs if job["status"] == "RUNNING"]


def killed_an_executor(served: Served, cluster: SparkCluster, gate: Gate, name: str) -> None:
    spark_runs.create(served, spark_runs.document(name, "spark", gate))
    run = spark_runs.begin(served, name)
    gate.until_waiting()
    before = cluster.executors
    cluster.kill(min(before))
    until_true(lambda: set(cluster.executors.values()) - set(before.values()), "the worker starts another executor")
    gate.open()
    ended = spark_runs.end_of(served, run)
    assert ended["status"] == "completed", ended["error"]
    assert ended["attempt"] == 1, "Spark itself did the lost tasks again"
    spark_runs.assert_same_version(served, f"polars_{gate.where}", name)


def test_an_executor_killed_in_the_map(served: Served, cluster: SparkCluster, tmp_path: Path) -> None:
    killed_an_executor(served, cluster, Gate(tmp_path / "gate"), "map")


def test_the_job_of_a_killed_worker_is_gone_soon(served: Served, cluster: SparkCluster, tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    spark_runs.create(served, spark_runs.document("worker", "spark", gate))
    run = spark_runs.begin(served, "worker")
    gate.until_waiting()
    assert going(cluster)
    os.kill(spark_runs.worker_of(served), signal.SIGKILL)
    killed = time.time()
    until_true(lambda: not going(cluster), "Spark has no job any more")
    print(f"the job is gone {time.time() - killed:.1f} s after the kill")
    until_true(lambda: time.time() - gate.last_sign() > QUIET_SECONDS, "its tasks are gone")
    print(f"its tasks are gone {gate.last_sign() - killed:.1f} s after the kill")
    assert spark_runs.end_of(served, run)["status"] == "interrupted"
    served.until_logged(lambda line: line["event"] == "spark.interrupted" and run in str(line))


@pytest.mark.slow
def test_an_executor_killed_in_the_shuffle(served: Served, cluster: SparkCluster, tmp_path: Path) -> None:
    killed_an_executor(served, cluster, Gate(tmp_path / "gate", "groups"), "shuffle")


@pytest.mark.slow
def test_a_cancelled_run_has_no_job_any_more(served: Served, cluster: SparkCluster, tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    spark_runs.create(served, spark_runs.document("cancelled", "spark", gate))
    run = spark_runs.begin(served, "cancelled")
    gate.until_waiting()
    assert served.json("POST", f"/runs/{run}/cancel", status=202)["status"] == "cancelled"
    until_true(lambda: not going(cluster), "Spark has no job any more")


@pytest.mark.slow
def test_a_run_that_takes_too_long_has_no_job_any_more(served: Served, cluster: SparkCluster, tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    spark_runs.create(served, spark_runs.document("late", "spark", gate, timeout_seconds=30))
    run = spark_runs.begin(served, "late")
    ended = spark_runs.end_of(served, run)
    assert (ended["status"], ended["error"]["code"]) == ("failed", "RUN_TIMEOUT")
    until_true(lambda: not going(cluster), "Spark has no job any more")


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_service_that_ends_leaves_no_job(cluster: SparkCluster, tmp_path: Path, how: signal.Signals) -> None:
    """Killed, the next start sees to it; asked to end, itself does."""
    gate = Gate(tmp_path / "gate")
    with spark_runs.service(tmp_path / "data", cluster.url) as served:
        spark_runs.upload(served, files=1)
        spark_runs.create(served, spark_runs.document("left", "spark", gate))
        spark_runs.begin(served, "left")
        gate.until_waiting()
        served.process.send_signal(how)
        served.process.wait()
    if how == signal.SIGTERM:
        until_true(lambda: not going(cluster), "Spark has no job any more")
        return
    assert going(cluster), "nobody was left to interrupt it"
    with spark_runs.service(tmp_path / "data", cluster.url) as served:
        until_true(lambda: not going(cluster), "Spark has no job any more")


@pytest.mark.slow
def test_the_lines_of_the_documentation_start_a_cluster(tmp_path: Path) -> None:
    text = (documents.ROOT / "service" / "docs" / "spark.md").read_text().replace("\\\n", " ")
    master, connect = spark_cluster.free_ports(2)
    python = os.environ[spark_cluster.PYTHON]
    variables = {"$SPARK_HOME": str(spark_cluster.home(python)), "spark.example.org": "127.0.0.1"}
    variables |= {":7077": f":{master}", "--port 7077": f"--port {master}", "15002": str(connect)}
    environment = {"PATH": os.environ["PATH"], "PYSPARK_PYTHON": python, "SPARK_LOCAL_IP": "127.0.0.1"}
    environment |= {"SPARK_WORKER_DIR": str(tmp_path / "work"), "JDK_JAVA_OPTIONS": spark_cluster.FRUGAL}
    with contextlib.ExitStack() as stack:
        for line in (line for line in text.splitlines() if line.startswith("$SPARK_HOME")):
            for name, value in variables.items():
                line = line.replace(name, value)
            process = subprocess.Popen(shlex.split(line), cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            port = connect if "spark-submit" in line else master
            until_true(lambda port=port: spark_cluster.is_listening(port), f"port {port} listens")
        session = Cluster(f"sc://127.0.0.1:{connect}", f"documented {tmp_path}", tmp_path)
        session.check()
        session.close()


@pytest.mark.slow
def test_the_death_of_the_connect_server_is_worth_another_attempt(
    served: Served, cluster: SparkCluster, tmp_path: Path
) -> None:
    """Its jobs die with it. The run is tried again, and completes when a server is there."""
    gate = Gate(tmp_path / "gate")
    spark_runs.create(
        served, spark_runs.document("server", "spark", gate, max_attempts=10, retry_delay_seconds=5)
    )  # fmt: skip
    run = spark_runs.begin(served, "server")
    gate.until_waiting()
    cluster.kill("connect")
    waiting = spark_runs.attempts_until(served, run, "retrying")
    assert "the Spark server (PENSTOCK_SPARK_URL) failed" in waiting["attempts"][0]["error"]["message"]
    cluster.start_connect()
    gate.open()
    ended = spark_runs.end_of(served, run)
    assert ended["status"] == "completed", ended["error"]
    spark_runs.assert_same_version(served, "polars_rows", "server")
