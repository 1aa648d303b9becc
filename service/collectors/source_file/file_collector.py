"""The settings shared by all collectors of files: which files, and which columns come from their paths."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import msgspec

from service.collectors.csv_file import type_inference
from service.collectors.records.misfits import TypedCollector
from service.collectors.source_file import paths
from service.collectors.source_file.paths import FilePath
from service.files.allowed_files import Files
from service.kit import errors, lazy
from service.kit.errors import Problem
from service.steps.context import CollectContext
from service.values import dtypes, parse

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

FILENAME = "filename"
_NULL = "__HIVE_DEFAULT_PARTITION__"
_FOLDER = re.compile(r"([^=]+)=(.*)")


class FileCollector(TypedCollector, frozen=True, kw_only=True):
    """Base of the collectors that read files below the uploads and the file roots."""

    local: ClassVar[bool] = True

    file_path: FilePath
    filename: Annotated[
        bool | Annotated[str, msgspec.Meta(min_length=1)],
        msgspec.Meta(
            description="Add a column with the path of each row's file: true ('filename') or the column's name."
        ),
    ] = False
    hive_partitioning: Annotated[
        bool | None,
        msgspec.Meta(
            description="Add the values of folder names such as year=2024 as columns. By default they are not read, "
            "with a warning. A column that a file has itself stays as it is."
        ),
    ] = None

    @property
    def samples_head(self) -> bool:
        """Whether a sample reads the beginning of a file and no more of it (``source_file.head``)."""
        return False

    def problems(self) -> Iterable[Problem]:
        yield from paths.problems(self.file_path)

    def excluded(self, files: Files) -> Iterable[Problem]:
        """Problems of paths that lead out of the roots of ``files``."""
        return paths.excluded(self.file_path, files)

    def missing(self, files: Files) -> Iterable[Problem]:
        """Paths that ``files`` does not find now."""
        return paths.missing(self.file_path, files)

    def outlook(self, ctx: CollectContext) -> dict[str, Any]:
        return paths.outlook(self.file_path, ctx)

    def path_columns(self, files: Sequence[Path], schema: Mapping[str, str], ctx: CollectContext) -> PathColumns:
        """The columns that come from the paths of ``files``, with types from ``schema`` or the values.

        Warns of folder names with values that are not read. Raises ``errors.Permanent`` for a value that does not fit
        ``schema``.
        """
        folders = {path: _folder_values(ctx.files.shown(path)) for path in files}
        texts = dict.fromkeys(name for values in folders.values() for name in values)
        if self.hive_partitioning is None and texts:
            example = next(iter(next(values for values in folders.values() if values).items()))
            ctx.warn(
                "path_values", f"folder names hold values ({'='.join(map(str, example))}) that are not read; set "
                "hive_partitioning to true to have them as columns, or to false", columns=list(texts),
            )  # fmt: skip
        if not self.hive_partitioning:
            folders, texts = {path: {} for path in files}, {}
        written = pl.DataFrame(
            [{n: v.get(n) for n in texts} for v in folders.values()], schema=dict.fromkeys(texts, pl.String())
        )
        types = type_inference.infer(written, dates=False, decimal_comma=False) if texts else {}
        types |= {name: dtypes.parse(schema[name]) for name in types if name in schema}
        values: dict[Path, dict[str, str | None]] = {path: {n: v.get(n) for n in texts} for path, v in folders.items()}
        if self.filename:
            name = FILENAME if self.filename is True else self.filename
            types[name] = pl.String()
            for path in files:
                values[path][name] = ctx.files.shown(path)
        columns = PathColumns(types, values, self.filename and name)
        columns.check(schema, ctx.step)
        return columns


@dataclass(frozen=True)
class PathColumns:
    """Columns from the paths of files: their types, and their values as text by file; one may be ``filename``."""

    types: dict[str, pl.DataType]
    texts: dict[Path, dict[str, str | None]]
    filename: str | bool = False

    def for_copies(self, copies: Mapping[Path, Path]) -> PathColumns:
        """The same columns for copies of the files: ``copies`` has the file of each."""
        texts = {copy: self.texts[original] for copy, original in copies.items()}
        return PathColumns(self.types, texts, self.filename)

    def check(self, schema: Mapping[str, str], step: str) -> None:
        """Raise ``errors.Permanent`` for a value in a folder name that does not fit its type."""
        for path, texts in self.texts.items():
            fitting = pl.select(self.values(path))
            for name, text in texts.items():
                if text is not None and fitting[name][0] is None:
                    kind = dtypes.name_of(self.types[name])
                    message = f"{path.name}: column '{name}': {text} in its path is not {kind}"
                    raise errors.Permanent(message, step=step, field=f"schema.{name}")

    def values(self, path: Path, present: Iterable[str] = ()) -> list[pl.Expr]:
        """The columns of one file, except those that it has itself."""
        texts, own = self.texts[path], set(present)
        return [
            parse.tolerantly(pl.lit(texts[name], dtype=pl.String), dtype).cast(dtype).alias(name)
            for name, dtype in self.types.items()
            if name not in own
        ]

    def refuse_clash(self, path: Path, present: Iterable[str], step: str) -> None:
        """Raise ``errors.Permanent`` if a file has the column that ``filename`` adds."""
        if self.filename and self.filename in set(present):
            message = f"{path.name}: the file has a column '{self.filename}' itself; give filename another name"
            raise errors.Permanent(message, step=step, field="filename")


def _folder_values(shown: str) -> dict[str, str | None]:
    """The values in the folder names of a path; percent escapes are decoded."""
    matches = (_FOLDER.fullmatch(part) for part in Path(shown).parts[:-1])
    pairs = [(urllib.parse.unquote(m[1]), urllib.parse.unquote(m[2])) for m in matches if m is not None]
    return {name: None if value in (_NULL, "") else value for name, value in pairs}
