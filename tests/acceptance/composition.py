"""The compose file as a value: its variables filled in as the Compose Specification says, services as commands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.acceptance import documents

FOLDER = documents.ROOT / ".deploy"
FILE = FOLDER / "compose.yaml"
_VARIABLE = re.compile(r"\$\{(\w+)(?:(:[-?])([^}]*))?\}")
SECRETS = (
    "PENSTOCK_ADMIN_PASSWORD",
    "PENSTOCK_DATABASE_PASSWORD",
    "PENSTOCK_STORE_KEY_ID",
    "PENSTOCK_STORE_SECRET_KEY",
)


def raw() -> dict[str, Any]:
    """The document as it is written."""
    found: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return found


def filled(environment: Mapping[str, str]) -> dict[str, Any]:
    """The document for an environment. Raises ``LookupError`` with the message of a variable that must be there."""

    def value(match: re.Match[str]) -> str:
        name, how, text = match.groups()
        if found := environment.get(name):
            return found
        if how == ":?":
            raise LookupError(f"{name} {text}")
        return text or ""

    def walk(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: walk(one) for key, one in node.items()}
        if isinstance(node, list):
            return [walk(one) for one in node]
        return _VARIABLE.sub(value, node) if isinstance(node, str) else node

    found: dict[str, Any] = walk(raw())
    return found


class Process(NamedTuple):
    """What a container of a service starts, in terms of this machine."""

    command: list[str]
    environment: dict[str, str]


def process(service: Mapping[str, Any], places: Mapping[str, str]) -> Process:
    """The process of a service that the Containerfile builds; texts of ``places`` are replaced by their values."""
    target = documents.targets(documents.ROOT / "Containerfile")[service["build"]["target"]]
    (entry,) = [i.words for i in target if i.name == "ENTRYPOINT"]
    (default,) = [i.words for i in target if i.name == "CMD"]

    def here(text: str) -> str:
        for name, place in places.items():
            text = text.replace(name, place)
        return text

    command = [here(word) for word in [*entry, *service.get("command", default)]]
    return Process(command, {name: here(value) for name, value in service["environment"].items()})


def mounted(service: Mapping[str, Any]) -> list[Path]:
    """The files and folders of the repository that a service gets."""
    sources = [volume.split(":")[0] for volume in service.get("volumes", []) if isinstance(volume, str)]
    return [FOLDER / source for source in sources if source.startswith("./")]
