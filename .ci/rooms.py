"""The picture of the rooms in the architecture page, made from the imports of ``service``.

python .ci/rooms.py             # rewrite the picture
python .ci/rooms.py --check     # exit status 1 where it is not what the imports say
"""

from __future__ import annotations

import ast
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / ".decisions" / "0011-architecture.md"
BEGIN, END = "<!-- made by .ci/rooms.py -->", "<!-- end -->"


def floors() -> list[list[str]]:
    """The rooms of each floor, from the top, as import-linter enforces them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (layers,) = (c["layers"] for c in project["tool"]["importlinter"]["contracts"] if c["type"] == "layers")
    return [[room.strip(" ()") for room in line.split("|")] for line in layers]


def _files(room: str) -> list[Path]:
    path = ROOT / "service" / room
    return sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]


def imports(room: str, rooms: set[str]) -> set[str]:
    """The other rooms that a room imports, wherever in its files."""
    names: set[str] = set()
    for path in _files(room):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("service.")} & rooms - {room}


def picture() -> str:
    """A Mermaid graph of the rooms, without the arrows that others imply."""
    order = [room for floor in floors() for room in floor if _files(room) and _files(room)[0].exists()]
    direct = {room: imports(room, set(order)) for room in order}
    reach: dict[str, set[str]] = {}
    for room in reversed(order):  # from the ground up, so that what lies below is known
        reach[room] = direct[room].union(*(reach[below] for below in direct[room]))
    lines = ["```mermaid", "flowchart TD"]
    for room in order:
        implied = set().union(*(reach[below] for below in direct[room]))
        shown = [below for below in order if below in direct[room] - implied]
        lines += [f"    {room} --> {' & '.join(shown)}"] if shown else []
    return "\n".join([BEGIN, *lines, "```", END])


def main(*arguments: str) -> int:
    """Rewrite the page, or compare it. Returns the exit status."""
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    wanted = before + picture() + rest.split(END)[1]
    if "--check" in arguments:
        if text != wanted:
            print(f"{PAGE.name} does not show today's imports; run python .ci/rooms.py")
        return int(text != wanted)
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
