"""The files of the console, under names that change with their content, and the page that loads them.

Scripts name each other by bare names ("console/api", "preact"), which the page's import map leads to the files of this
release. So browsers may keep each file for ever, and no build step is needed. The import map is the only inline script
of the page; the policy allows it by its hash.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import sys
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ROOT = "/console"
_STATIC = Path(__file__).parent / "static"
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".txt": "text/plain"}
_STYLES = (
    *(f"styles/{name}.css" for name in ("base", "rows", "data", "making", "pipeline", "sql")),
    "vendor/uplot.css",
)
_FIRST = ("console/app", "console/screens/pipelines")
_IMPORT = re.compile(r'^import\b[^"]*"([^"]+)";?$', re.MULTILINE)
_POLICY = (
    "default-src 'none'; script-src 'self' 'sha256-{digest}'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Asset(msgspec.Struct, frozen=True):
    """A file as it is sent."""

    content: bytes
    media_type: str


class Page(msgspec.Struct, frozen=True):
    """The page and the policy that it is sent with."""

    content: bytes
    policy: str


@cache
def assets() -> dict[str, Asset]:
    """The files by the name under which they are asked for, with all styles as one. Reads all once."""
    files = {_name(path): Asset(path.read_bytes(), _TYPES[path.suffix]) for path in _files() if path.suffix != ".css"}
    return files | {_named("style.css", _style()): Asset(_style(), _TYPES[".css"])}


@cache
def compressed(name: str, coding: Literal["gzip", "zstd"]) -> bytes:
    """A file, as small as it gets; made once, when somebody asks for it. Raises ``KeyError``."""
    content = assets()[name].content
    return gzip.compress(content, 9, mtime=0) if coding == "gzip" else zstd.compress(content, level=19)


def modules(*specifiers: str) -> list[str]:
    """The scripts that a browser loads for these: what they import, and what that imports, except ``import()``."""
    found: dict[str, None] = {}
    waiting = [*specifiers]
    while waiting:
        one = waiting.pop(0)
        if one not in found:
            found[one] = None
            waiting += _IMPORT.findall(_scripts()[one].read_text())
    return [*found]


@cache
def page() -> Page:
    """The page that every address of the console answers."""
    imports = {specifier: f"{ROOT}/assets/{_name(path)}" for specifier, path in _scripts().items()}
    import_map = json.dumps({"imports": imports}, separators=(",", ":"))
    digest = base64.b64encode(hashlib.sha256(import_map.encode()).digest()).decode()
    lines = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        "<title>Penstock</title>",
        f'<link rel="icon" type="image/svg+xml" href="{ROOT}/assets/{_name(_STATIC / "icon.svg")}">',
        f'<link rel="stylesheet" href="{ROOT}/assets/{_named("style.css", _style())}">',
        f'<script type="importmap">{import_map}</script>',
        *(f'<link rel="modulepreload" href="{imports[name]}">' for name in modules(*_FIRST)),
        f'<script type="module" src="{imports["console/app"]}"></script>',
        "</head>",
        "<body>",
        '<div id="app"></div>',
        "<noscript>The console needs JavaScript; the API at /docs does not.</noscript>",
        "</body>",
        "</html>",
    ]
    return Page("\n".join(lines).encode(), _POLICY.format(digest=digest))


@cache
def _files() -> tuple[Path, ...]:
    return tuple(sorted(path for path in _STATIC.rglob("*") if path.suffix in _TYPES))


@cache
def _scripts() -> dict[str, Path]:
    return {_specifier(path): path for path in _files() if path.suffix == ".js"}


@cache
def _style() -> bytes:
    """The style sheets as one: a browser draws nothing before it has them."""
    return b"\n".join((_STATIC / name).read_bytes() for name in _STYLES)


@cache
def _name(path: Path) -> str:
    return _named(path.name, path.read_bytes())


def _named(name: str, content: bytes) -> str:
    stem, _, kind = name.rpartition(".")
    return f"{stem}.{hashlib.sha256(content).hexdigest()[:12]}.{kind}"


def _specifier(path: Path) -> str:
    """The name in an import statement: the file's own for a vendored one, else its path below "console/"."""
    place = path.relative_to(_STATIC).with_suffix("")
    return place.name if place.parts[0] == "vendor" else f"console/{place.as_posix()}"
