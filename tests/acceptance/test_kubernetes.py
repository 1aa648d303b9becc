"""The manifests for Kubernetes: valid, restricted as the strictest Pod Security asks, and in step with the images."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.kit import settings
from tests.acceptance import documents

FOLDER = documents.ROOT / ".deploy/kubernetes"
FILES = sorted(path for path in FOLDER.rglob("*.yaml") if path.name != "kustomization.yaml")
RELEASES = ("1.30", "1.37")  # the oldest that has all of it, and the newest that the validator has
DRAIN = 45  # seconds: as the compose file gives a process, and the pause before
# What a validator without their definitions cannot read.
OTHERS = {"PodMonitor": "monitoring.coreos.com/v1", "ScaledObject": "keda.sh/v1alpha1"}
TARGETS = documents.targets(documents.ROOT / "Containerfile")


def read(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


ALL = [resource for path in FILES for resource in read(path)]
DEPLOYMENTS = {one["metadata"]["name"]: one for one in ALL if one["kind"] == "Deployment"}


@pytest.mark.services
@pytest.mark.parametrize("release", RELEASES)
def test_a_validator_accepts_every_resource(release: str) -> None:
    code = (
        "import json, sys, kubernetes_validate\n"
        "for one in json.load(sys.stdin): kubernetes_validate.validate(one, sys.argv[1], strict=True)"
    )
    known = [one for one in ALL if one["kind"] not in OTHERS]
    assert len(known) == len(ALL) - len(OTHERS)
    program = Path(os.environ["PENSTOCK_TEST_TOOLS"], "python")
    found = subprocess.run([program, "-c", code, release], input=json.dumps(known), text=True, capture_output=True)
    assert found.returncode == 0, found.stderr


def test_every_file_is_a_part_of_it() -> None:
    for folder in (FOLDER, FOLDER / "monitoring"):
        (kustomization,) = read(folder / "kustomization.yaml")
        assert {folder / name for name in kustomization["resources"]} == {p for p in FILES if p.parent == folder}
    assert {one["kind"]: one["apiVersion"] for one in ALL if one["kind"] in OTHERS} == OTHERS


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_pod_is_restricted(name: str) -> None:
    """The rules of the Pod Security Standard "restricted", a root that is only read, and no account of the cluster."""
    pod = DEPLOYMENTS[name]["spec"]["template"]["spec"]
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers", "ephemeralContainers"} & set(pod)
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    user = f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}"
    assert user in {i.text for i in TARGETS["server"] if i.name == "USER"}
    assert all(set(volume) == {"name", "emptyDir"} and volume["emptyDir"]["sizeLimit"] for volume in pod["volumes"])
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        }  # fmt: skip
        assert {"memory", "ephemeral-storage"} <= set(container["resources"]["limits"])
        assert set(container["resources"]["requests"]) == {"cpu", "memory", "ephemeral-storage"}
        assert not any("hostPort" in port for port in container["ports"])


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_pod_starts_what_its_image_starts_is_probed_and_may_drain(name: str) -> None:
    component = name.removeprefix("penstock-")
    pod = DEPLOYMENTS[name]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (command,) = [i.words for i in TARGETS[component] if i.name == "CMD"]
    assert container["image"] == name
    missing = [word for word in command if word not in container["args"]]
    assert missing == [], "the arguments take the place of the image's"
    (port,) = container["ports"]
    assert f"EXPOSE {port['containerPort']}" in {f"{i.name} {i.text}" for i in TARGETS[component]}
    paths = [container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")]
    assert paths == ["/health", "/health", "/health/ready"]
    pause = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    assert pod["terminationGracePeriodSeconds"] - pause >= DRAIN
    assert DEPLOYMENTS[name]["spec"]["replicas"] >= 2


def test_what_selects_pods_finds_them() -> None:
    labels = {name: one["spec"]["template"]["metadata"]["labels"] for name, one in DEPLOYMENTS.items()}

    def selected(selector: dict[str, str]) -> set[str]:
        return {name for name, found in labels.items() if selector.items() <= found.items()}

    for name, one in DEPLOYMENTS.items():
        assert selected(one["spec"]["selector"]["matchLabels"]) == {name}
    for one in ALL:
        name, spec = one["metadata"]["name"], one.get("spec", {})
        if one["kind"] == "PodDisruptionBudget":
            assert selected(spec["selector"]["matchLabels"]) == {name}
        if one["kind"] == "Service":
            assert selected(spec["selector"]) == {"penstock-server"}
        if one["kind"] in ("HorizontalPodAutoscaler", "ScaledObject"):
            assert spec["scaleTargetRef"]["name"] in DEPLOYMENTS
            assert spec.get("minReplicas", spec.get("minReplicaCount")) >= 2
        if one["kind"] == "NetworkPolicy" and name == "penstock":
            assert selected(spec["podSelector"]["matchLabels"]) == set(DEPLOYMENTS), "nothing is open by default"


def test_pods_reach_what_they_need_and_no_credentials_of_the_node() -> None:
    (policy,) = [one["spec"] for one in ALL if one["kind"] == "NetworkPolicy" and one["metadata"]["name"] == "penstock"]
    rules = [(port["port"], rule.get("to", [])) for rule in policy["egress"] for port in rule["ports"]]
    assert {port for port, _ in rules} == {53, 5432, 15002, 80, 443}
    blocks = {(port, to["ipBlock"]["cidr"]): to["ipBlock"] for port, tos in rules for to in tos if "ipBlock" in to}
    assert (53, "169.254.20.10/32") in blocks, "the cache of names of a node"
    for port in (80, 443):
        assert blocks[port, "0.0.0.0/0"]["except"] == ["169.254.0.0/16"]


def test_settings_are_known_and_secrets_are_elsewhere() -> None:
    (configuration,) = [one["data"] for one in ALL if one["kind"] == "ConfigMap"]
    assert settings.unknown(configuration) == []
    settings.load({k: v for k, v in configuration.items() if k.startswith("PENSTOCK_")})
    secret = re.compile("PASSWORD|SECRET|TOKEN|ACCESS_KEY")
    assert [name for name in configuration if secret.search(name)] == []
    assert not any(one["kind"] == "Secret" for one in ALL)
    for one in DEPLOYMENTS.values():
        (container,) = one["spec"]["template"]["spec"]["containers"]
        assert {"secretRef": {"name": "penstock"}} in container["envFrom"]
        assert "env" not in container
