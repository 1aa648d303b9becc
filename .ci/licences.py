"""Look at a bill of materials: each package has its pinned version and a licence that lets anybody run and ship it.

``python .ci/licences.py BILL`` prints a line a package and ends with 1 where one does not fit.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

ALLOWED = {
    "0BSD", "Apache-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "CNRI-Python", "ISC", "MIT", "MIT-0",
    "MPL-2.0", "PSF-2.0", "Unlicense", "Zlib",
}  # fmt: skip
# Packages whose metadata name no licence, or in words of their own, with the one that their source has.
READ = {"pandas": "BSD-3-Clause", "protobuf": "BSD-3-Clause", "rich-click": "MIT", "swagger-ui-py": "Apache-2.0"}
# Libraries that anybody may exchange for others: they are in an image as they were published, beside our code.
EXCHANGEABLE = {"psycopg": "LGPL-3.0-only", "psycopg-binary": "LGPL-3.0-only", "psycopg-pool": "LGPL-3.0-only"}
_CLASSIFIED = {"BSD License": "BSD", "MIT License": "MIT", "Apache Software License": "Apache-2.0"}
_PINS = Path(__file__).parent / "constraints.txt"


def licences(component: dict[str, Any]) -> list[str]:
    """The licences that a package states; where it has an SPDX name its classifiers say nothing more."""
    if (read := READ.get(component["name"])) is not None:
        return [read]
    stated = [entry.get("expression") or _named(entry["license"]) for entry in component.get("licenses", [])]
    by_name = [text for text in stated if not text.startswith("License ::")]
    return by_name or [_classified(text) for text in stated] or [""]


def _named(licence: dict[str, str]) -> str:
    return licence.get("id") or licence.get("name", "")


def _classified(text: str) -> str:
    last = text.rpartition(" :: ")[2]
    return _CLASSIFIED.get(last, last)


def is_allowed(licence: str) -> bool:
    """Whether an SPDX expression asks for nothing but allowed licences, or offers one."""
    return any(
        all(part in ALLOWED for part in re.findall(r"[\w.+-]+", choice.replace(" AND ", " "))) and bool(choice.strip())
        for choice in licence.split(" OR ")
    )


def pins(text: str) -> dict[str, set[str]]:
    """The versions of ``constraints.txt`` by name: a package may have one for each Python."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)(?:\[[^]]*\])?==([^\s;]+)", text, re.MULTILINE):
        found.setdefault(_canonical(name), set()).add(version)
    return found


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def problems(bill: dict[str, Any], pinned: dict[str, set[str]]) -> list[str]:
    """What does not fit, a line each."""
    found = []
    for component in bill["components"]:
        name, version = component["name"], component["version"]
        if version not in pinned.get(_canonical(name), ()):
            found.append(f"{name} {version} is not what .ci/constraints.txt has")
        known = EXCHANGEABLE.get(_canonical(name))
        if not all(is_allowed(licence) or licence == known for licence in licences(component)):
            found.append(f"{name} has the licence {' and '.join(licences(component)) or 'of nobody'}")
    return found


def main(path: str) -> int:
    bill = json.loads(Path(path).read_text())
    for component in bill["components"]:
        print(f"{component['name']:24} {component['version']:16} {', '.join(licences(component))}")
    wrong = problems(bill, pins(_PINS.read_text()))
    print(*wrong, f"{len(bill['components'])} packages, {len(wrong)} that do not fit", sep="\n")
    return 1 if wrong or not bill["components"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
