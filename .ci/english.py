"""Phrases that read as translated, in code and prose of the product; the list is in ``.github/CONTRIBUTING.md``.

python .ci/english.py [FOLDER …]     # "service" without a folder; exit status 1 above the bound
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

MOST = 10  # lines of "service" that may match
KINDS = {".py", ".sql", ".md", ".html"}
PHRASES = re.compile(
    r"(?<!there )(?<!There )\b(is|are|was|were) no (?!longer\b|more than\b|less than\b)[a-z`]"  # is no number
    r"|\bof whose\b|\bwhat is none\b|\bwhere there (is|are) none\b|\b(stand|stands|stood) there\b|\bso many\b"
    r"|\bit (is|was) said\b|\b(is|are|was|were) told\b"
    r"|\b(knows|says|tells)(?=[.,;:)])",  # knows what?
)


def found(folders: list[str]) -> Iterator[tuple[Path, int, str]]:
    """Every line with such a phrase: file, number, phrase."""
    for path in sorted(path for folder in folders for path in Path(folder).rglob("*") if path.suffix in KINDS):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            match = PHRASES.search(line.rstrip(' "'))
            if match:
                yield path, number, match[0]


def main(folders: list[str]) -> int:
    """Report them. Returns the exit status."""
    lines = list(found(folders or ["service"]))
    print(*(f"{path}:{number}: {phrase}" for path, number, phrase in lines), sep="\n")
    print(f"{len(lines)} lines read as translated; at most {MOST} may")
    return int(len(lines) > MOST)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
