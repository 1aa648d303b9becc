"""Commands out of the repository's documents, as values that a test can run."""

from __future__ import annotations

import json
import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PENSTOCK = [sys.executable, "-m", "service"]  # the program of an image that the tests start here
_FENCE = re.compile(r"^```(?:bash|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(document: Path) -> list[str]:
    """Every fenced shell block of a Markdown document, in order."""
    return _FENCE.findall(document.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Instruction:
    """One line of a container file after continuation lines are joined: ``RUN``, and what follows it."""

    name: str
    text: str

    @property
    def words(self) -> list[str]:
        """The command as a list, from its JSON form where it has one, without ``--flags`` of the instruction."""
        text = re.sub(r"^(--\S+\s+)+", "", self.text)
        if text.startswith("["):
            return [str(word) for word in json.loads(text)]
        return shlex.split(text)


def stages(containerfile: Path) -> list[list[Instruction]]:
    """The instructions of each stage; every stage begins with its ``FROM``."""
    lines = [line for line in containerfile.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    found: list[list[Instruction]] = []
    for line in filter(str.strip, joined.splitlines()):
        name, _, text = line.strip().partition(" ")
        if name == "FROM":
            found.append([])
        found[-1].append(Instruction(name, " ".join(text.split()) if "[" not in text else text.strip()))
    return found


def targets(containerfile: Path) -> dict[str, list[Instruction]]:
    """The instructions of each stage by its name, after those of the stage of this file that it builds on."""
    found: dict[str, list[Instruction]] = {}
    for stage in stages(containerfile):
        origin, _, name = stage[0].text.partition(" AS ")
        found[name] = [*found.get(origin, []), *stage]
    return found
