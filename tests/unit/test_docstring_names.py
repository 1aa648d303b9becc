"""What docstrings put into double backticks exists: a dotted name resolves, and an identifier occurs in the code."""

from __future__ import annotations

import ast
import builtins
import functools
import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples

SERVICE = Path(__file__).resolve().parent.parent.parent / "service"
QUOTED = re.compile(r"``([^`]+)``")
IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
FILE_ENDINGS = {
    "json",
    "toml",
    "yaml",
    "csv",
    "parquet",
    "duckdb",
    "txt",
    "sql",
    "log",
    "key",
    "md",
    "py",
    "lock",
    "wal",
    "gz",
}
# Words of others: HTTP, SQL, Python, Linux, and what users write.
FOREIGN = {
    "penstock", "python", "main", "null", "true", "false", "rel", "next", "prev", "href", "RateLimit", "replace_strict",
    "json_decode", "union_by_name", "v9", "v10", "a_Yes", "a_yes",
}  # fmt: skip
# Paths in documents and columns of tables, as users write them.
PATHS = {
    "a.b", "a.b.c", "config.cast.price", "css_selectors.container", "details.errors", "field.name", "table.column",
}  # fmt: skip
Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Names:
    """What a tree of files defines and mentions."""

    modules: dict[str, set[str]] = field(default_factory=dict)
    classes: dict[str, set[str]] = field(default_factory=dict)
    bases: dict[str, set[str]] = field(default_factory=dict)
    mentioned: set[str] = field(default_factory=set)

    def add(self, module: str, tree: ast.Module) -> None:
        """Index one module."""
        self.mentioned |= set(module.split("."))
        self.modules[module] = set(_bound(tree.body))
        documented = {
            id(statement.value) for node in _documented(tree) if isinstance(statement := node.body[0], ast.Expr)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                self.classes.setdefault(node.name, set()).update(_members(node))
                self.bases.setdefault(node.name, set()).update(_named(base) for base in node.bases)
            if id(node) not in documented:
                self.mentioned |= set(_words(node))

    def _of(self, name: str) -> set[str]:
        """What a class has, inherited or its own."""
        inherited = self.bases.get(name, set()) - {name}
        return self.classes.get(name, set()).union(*map(self._of, inherited))

    def knows(self, name: str, imported: dict[str, str]) -> bool:
        """Whether an identifier occurs, or a dotted name leads somewhere from a module that imports these."""
        first, *rest = name.split(".")
        if not rest:
            return first in self.mentioned or first in FOREIGN or hasattr(builtins, first)
        if rest[-1] in FILE_ENDINGS or name in self.mentioned or name in PATHS:
            return True
        head, last = ".".join([first, *rest[:-1]]), rest[-1]
        ends = tuple(f".{part}" for part in (head, imported.get(first, head)))
        if any(last in names for module, names in self.modules.items() if f".{module}".endswith(ends)):
            return True
        if any(f".{module}".endswith(f".{name}") for module in self.modules):
            return True
        owner = rest[-2] if len(rest) > 1 else first
        return any(last in self._of(name) for name in self._like(owner)) or _is_foreign(
            imported.get(first, first), rest
        )

    def _like(self, name: str) -> list[str]:
        """The classes that a name means: itself, or what a variable of that name holds."""
        plain = name.replace("_", "")
        return [c for c in self.classes if c == name or c.lower() == plain or (name == "ctx" and c.endswith("Context"))]


def _is_foreign(module: str, rest: list[str]) -> bool:
    if hasattr(builtins, module):
        return hasattr(getattr(builtins, module), rest[0])
    try:
        found = importlib.import_module(module)
    except ImportError:
        return False
    for part in rest:
        if not hasattr(found, part):
            return False
        found = getattr(found, part)
    return True


def _named(base: ast.expr) -> str:
    """The class that an entry of the bases names: ``Base``, ``module.Base``, ``Base[T]``."""
    inner = base.value if isinstance(base, ast.Subscript) else base
    return inner.attr if isinstance(inner, ast.Attribute) else getattr(inner, "id", "")


def _bound(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name))
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)


def _members(node: ast.ClassDef) -> Iterator[str]:
    yield from _bound(node.body)
    for inner in ast.walk(node):
        if isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name) and inner.value.id == "self":
            yield inner.attr


def _words(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Name(id=name) | ast.arg(arg=name) | ast.ClassDef(name=name) | ast.alias(name=name):
            yield name
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            yield name
        case ast.Attribute(attr=name):
            yield name
        case ast.keyword(arg=str(name)):
            yield name
        case ast.Constant(value=str(text)):
            yield from IDENTIFIER.findall(text)
            yield from (match[0] for match in DOTTED.finditer(text))


def _documented(tree: ast.Module) -> Iterator[Documented]:
    for node in ast.walk(tree):
        if isinstance(node, Documented) and ast.get_docstring(node, clean=False):
            yield node


def _imported(tree: ast.Module) -> dict[str, str]:
    """Local name of each import to the dotted name behind it."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return found


def unresolved(names: Names, tree: ast.Module) -> list[str]:
    """The names in the docstrings of a module that lead nowhere."""
    imported, found = _imported(tree), []
    for node in _documented(tree):
        for match in QUOTED.finditer(ast.get_docstring(node) or ""):
            name = match[1].removesuffix("()")
            if (IDENTIFIER.fullmatch(name) or DOTTED.fullmatch(name)) and not names.knows(name, imported):
                found.append(name)
    return found


@functools.cache  # by the first test, since importing this module is a part of every collection
def _trees() -> dict[str, ast.Module]:
    paths = sorted(SERVICE.rglob("*.py"))
    dotted = (".".join(path.relative_to(SERVICE.parent).with_suffix("").parts) for path in paths)
    return {
        name.removesuffix(".__init__"): ast.parse(path.read_text(encoding="utf-8"))
        for name, path in zip(dotted, paths, strict=True)
    }


@functools.cache
def _names() -> Names:
    names = Names()
    for module, tree in _trees().items():
        names.add(module, tree)
    return names


def test_every_name_in_double_backticks_leads_somewhere() -> None:
    found = {module: unresolved(_names(), tree) for module, tree in _trees().items()}
    assert {module: left for module, left in found.items() if left} == {}


@examples(40)
@given(st.from_regex(r"[a-z]{3,8}_gone[0-9]{3}", fullmatch=True), st.sampled_from(["", "kit.errors.", "Layout."]))
def test_a_name_that_is_gone_is_found(name: str, before: str) -> None:
    tree = ast.parse(f'"""Uses ``{before}{name}``."""')
    assert unresolved(_names(), tree) == [f"{before}{name}"]
