"""The compose file: what it promises of every service, and its processes at work on this machine.

Here is no container engine. The file is read by ``compose-spec``, others by ``caddy`` and ``hadolint``. The
processes are those of the file and of the Containerfile, with ports of this machine in the place of names: PostgreSQL,
an S3 server, both APIs, both workers and the balancer.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests import object_stores
from tests.acceptance import composition, documents
from tests.acceptance.served import CSV, PASSWORD, PATIENCE, Served, listening_as, wait_for_port
from tests.acceptance.service import clean_environment, free_port
from tests.postgresql import Cluster

SECRETS = dict.fromkeys(composition.SECRETS, "a value")
SERVICES: dict[str, dict[str, Any]] = composition.filled(SECRETS)["services"]
OURS = {name: found for name, found in SERVICES.items() if found["image"] in ("penstock-server", "penstock-worker")}
DRAIN = 40  # seconds that a process may take to end: 10 for each of its listeners, and its runs
TOOLS = "PENSTOCK_TEST_TOOLS"  # the folder of programs that .ci/deploy installs
_UNITS = {"s": 1, "m": 60}


def seconds(text: str) -> int:
    return int(text[:-1]) * _UNITS[text[-1]]


@pytest.mark.parametrize("missing", composition.SECRETS)
def test_nothing_starts_while_a_secret_is_missing(missing: str) -> None:
    with pytest.raises(LookupError, match=f"{missing} is missing in .env"):
        composition.filled(SECRETS | {missing: ""})
    assert f"\n{missing}=\n" in (composition.FOLDER / "example.env").read_text()


def test_no_secret_is_in_the_file() -> None:
    secret = re.compile(r"PASSWORD|SECRET|TOKEN|KEY")
    for name, service in composition.raw()["services"].items():
        for variable, value in service.get("environment", {}).items():
            if secret.search(variable):
                assert value.startswith("/run/secrets/") or re.fullmatch(r"\$\{\w+:\?.+\}", value), (name, variable)


def test_a_container_whose_root_is_only_read_gets_no_secret_but_files() -> None:
    """Compose copies others into the container, and refuses to start it where it cannot."""
    document = composition.raw()
    for name, service in document["services"].items():
        assert "configs" not in service, name
        assert all(set(document["secrets"][secret]) == {"file"} for secret in service.get("secrets", [])), name
    assert {s for service in document["services"].values() for s in service.get("secrets", [])} == set(
        document["secrets"]
    )


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_restrained_and_watched(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert service["healthcheck"]["test"][0] == "CMD"
    assert {need["condition"] for need in service.get("depends_on", {}).values()} <= {"service_healthy"}
    assert seconds(service["stop_grace_period"]) >= (DRAIN if name in OURS else 30)
    _, _, tag = service["image"].partition(":")
    assert "build" in service or re.match(r"v?\d+", tag), "an image of others has a version"
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_what_is_mounted_and_built_exists() -> None:
    targets = documents.targets(documents.ROOT / "Containerfile")
    for service in SERVICES.values():
        assert [path for path in composition.mounted(service) if not path.exists()] == []
        assert service.get("build", {"target": "server"})["target"] in targets


def test_prometheus_and_the_balancer_name_every_process() -> None:
    (job,) = yaml.safe_load((composition.FOLDER / "prometheus.yaml").read_text())["scrape_configs"]
    assert job["job_name"] == "penstock"
    assert {target.split(":")[0] for target in job["static_configs"][0]["targets"]} == set(OURS)
    balanced = set(re.findall(r"(api-\d+):8000", (composition.FOLDER / "balancer/Caddyfile").read_text()))
    assert balanced == {name for name in OURS if name.startswith("api")} == set(SERVICES["balancer"]["depends_on"])


def test_executors_see_the_folders_of_workers_and_have_the_same_spark() -> None:
    shared = {SERVICES[name]["volumes"][0] for name in ("worker-1", "worker-2", "spark-worker-1", "spark-worker-2")}
    assert shared == {"work:/data"}
    assert len({SERVICES[name]["command"][-1] for name in ("worker-1", "worker-2")}) == 2
    for name in ("spark-worker-1", "spark-worker-2"):
        places = {SERVICES[name]["environment"][at] for at in ("SPARK_LOCAL_DIRS", "SPARK_WORKER_DIR", "TMPDIR")}
        assert places == {f"/data/{name}"}, "what is spilled is on the disk: /tmp is memory"
    (client,) = re.findall(r"pyspark-client==([\d.]+)", (documents.ROOT / "pyproject.toml").read_text())
    assert set(re.findall(r"pyspark\[connect\]==([\d.]+)", (documents.ROOT / "Containerfile").read_text())) == {client}


@pytest.mark.services
def test_the_files_are_what_their_programs_read() -> None:
    tools = Path(os.environ[TOOLS])
    whole = json.dumps(composition.filled(SECRETS))
    code = "import sys, compose_spec; compose_spec.PyCompose.from_json(sys.stdin.read()).validate()"
    subprocess.run([tools / "python", "-c", code], input=whole, text=True, check=True)
    balancer = composition.FOLDER / "balancer/Caddyfile"
    subprocess.run(
        [tools / "caddy", "validate", "--config", balancer, "--adapter", "caddyfile"],
        env=clean_environment(PENSTOCK_SITE=":8080"), check=True, capture_output=True,
    )  # fmt: skip
    # Versions come from .ci/constraints.txt and from Debian's release.
    subprocess.run([tools / "hadolint", "--ignore", "DL3008", "--ignore", "DL3013", "Containerfile"],
                   cwd=documents.ROOT, check=True, capture_output=True)  # fmt: skip


class Installation:
    """The processes of the file, started one by one."""

    def __init__(self, folder: Path, database: str, store: int, stack: contextlib.ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self._places = {"postgresql://penstock@postgres/penstock": database, "store:8333": f"127.0.0.1:{store}"}
        self.ports = {name: free_port() for name in (*OURS, "balancer")}

    def start(self, name: str) -> Served:
        """An API or worker, ready."""
        data = self._folder / name
        own = {"/data": str(data), "0.0.0.0": "127.0.0.1", "8000": str(self.ports[name]), "172.30.16.0/24": "127.0.0.1"}
        found = composition.process(SERVICES[name], self._places | own)
        environment = found.environment | {"PENSTOCK_ADMIN_PASSWORD": PASSWORD}
        assert found.command[0] == "penstock"
        process = subprocess.Popen(
            [*documents.PENSTOCK, *found.command[1:]], cwd=self._folder, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=clean_environment(PYTHONPATH=str(documents.ROOT), **environment),
        )  # fmt: skip
        return self._stack.enter_context(listening_as(process, data))

    def balance(self) -> str:
        """The address of the balancer."""
        text = (composition.FOLDER / "balancer/Caddyfile").read_text().replace("8081", str(free_port()))
        for name in ("api-1", "api-2"):
            text = text.replace(f"{name}:8000", f"127.0.0.1:{self.ports[name]}")
        config = self._folder / "Caddyfile"
        config.write_text(text)
        command = [config if word.startswith("/etc") else word for word in SERVICES["balancer"]["command"]]
        address = f"http://127.0.0.1:{self.ports['balancer']}"
        with (self._folder / "balancer.log").open("wb") as log:
            process = subprocess.Popen(
                [Path(os.environ[TOOLS]) / command[0], *command[1:]], stdout=log, stderr=log, text=True,
                env=clean_environment(PENSTOCK_SITE=address, HOME=str(self._folder)),
            )  # fmt: skip
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        wait_for_port(process, self.ports["balancer"])
        return address


@pytest.fixture
def installation(cluster: Cluster, tmp_path: Path) -> Iterator[Installation]:
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(cluster.database())
        store = stack.enter_context(object_stores.s3())
        yield Installation(tmp_path, database, store.port, stack)


def metrics(port: int, key: str) -> str:
    """What Prometheus reads from another container, where the processes of APIs ask for its key."""
    headers = {"authorization": f"Bearer {key}", "via": "elsewhere"}
    return httpx.get(f"http://127.0.0.1:{port}/metrics", headers=headers, trust_env=False, timeout=PATIENCE).text


@pytest.mark.services
def test_the_processes_of_the_file_work_together(installation: Installation) -> None:
    apis = [installation.start("api-1"), installation.start("api-2")]
    with httpx.Client(base_url=f"{installation.balance()}/api/v1", timeout=PATIENCE, trust_env=False) as balanced:
        pair = balanced.post("/auth/token", json={"username": "admin", "password": PASSWORD}).json()
        authorization = {"authorization": f"Bearer {pair['access_token']}"}
        balanced.headers.update(authorization)
        key = balanced.post("/keys", json={"name": "prometheus", "role": "viewer"}).json()["key"]
        assert balanced.put("/files/cities.csv", content=CSV.encode()).status_code == 201
        document = {"name": "cities", "collectors": [{"type": "csv", "file_path": "cities.csv"}]}
        assert balanced.post("/pipeline/create", json=document).status_code == 201
        run = balanced.post("/pipeline/cities/execute?wait=0").json()["run_id"]
        for name in ("api-1", "api-2"):  # the queue of all is what alerts and scaling look at
            assert 'penstock_queue_length{queue="runs"} 1.0' in metrics(installation.ports[name], key), name
        for name in ("worker-1", "worker-2"):
            installation.start(name)
        with balanced.stream("GET", f"/runs/{run}/events") as events:
            assert "event: end" in events.iter_lines()
        for served in apis:  # both accept the token that one of them made
            served.http.headers.update(authorization)
            assert served.json("GET", f"/runs/{run}")["status"] == "completed"
            assert [row["city"] for row in served.json("GET", "/pipeline/cities/data")["data"]] == [
                "Bern",
                "Rome",
                None,
            ]
        for name in OURS:
            assert "penstock_build_info" in metrics(installation.ports[name], key), name
        apis[0].process.send_signal(signal.SIGTERM)  # as docker compose restart api-1
        assert apis[0].ended() == 0
        assert {balanced.get("/pipeline/cities/status").status_code for _ in range(8)} == {200}
