"""Rows of Parquet files, lazily: one scan per file, united by column name with types that lose nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import msgspec

from service.collectors.records import schema as record_schema
from service.collectors.records.spool import unite
from service.collectors.source_file import paths
from service.collectors.source_file.paths import FilePath
from service.kit import errors, lazy
from service.kit.errors import Problem
from service.steps.collector import Collector, Declared
from service.steps.context import CollectContext
from service.steps.frame import Frame
from service.values import dtypes, type_names

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

_MOST_DIGITS = 38
"""The most digits of a decimal in Polars and DuckDB."""


class ParquetCollector(Collector, frozen=True, kw_only=True, tag="parquet"):
    """Rows of one or several Parquet files; files with differing columns unite by name."""

    local: ClassVar[bool] = True
    EXAMPLE: ClassVar[dict[str, Any]] = {
        "type": "parquet",
        "file_path": "exports/*.parquet",
        "columns": ["id", "total"],
    }

    file_path: FilePath
    columns: Annotated[
        Annotated[list[Annotated[str, msgspec.Meta(min_length=1)]], msgspec.Meta(min_length=1)] | None,
        msgspec.Meta(description="Keep these columns, in this order; the others are not read."),
    ] = None
    schema: Annotated[
        dict[str, str],
        msgspec.Meta(
            description="Cast columns to these types; a value that does not fit, or would lose a fraction, fails."
        ),
    ] = {}

    def problems(self) -> Iterable[Problem]:
        yield from paths.problems(self.file_path)
        yield from record_schema.repeated("columns", self.columns or ())
        for column, text in self.schema.items():
            try:
                type_names.read(text)
            except ValueError as error:
                yield Problem(f"schema.{column}", str(error))

    def declared(self) -> Declared | None:
        return record_schema.declared(self.columns, self.schema)

    def outlook(self, ctx: CollectContext) -> dict[str, Any]:
        return paths.outlook(self.file_path, ctx)

    async def collect(self, ctx: CollectContext) -> Frame:
        """A scan of the files. Raises ``errors.Permanent`` naming the file, or the setting to blame."""
        return await asyncio.to_thread(self._collect, ctx)

    def _collect(self, ctx: CollectContext) -> Frame:
        files = [_ParquetFile.read(path, ctx) for path in paths.resolve(self.file_path, ctx)]
        for file in files:
            file.check(self.columns, ctx)
        ctx.collected(sum(f.rows for f in files))
        ctx.add_evidence({"files": len(files), "rows": sum(f.rows for f in files)})
        ctx.progress(1.0, f"{len(files)} files")
        lf = _scan_all(files, ctx)
        present = lf.collect_schema().names()
        record_schema.require_columns(present, self.columns, self.schema, ctx.step)
        if self.columns is not None:
            lf = lf.select(self.columns)
        kept = set(self.columns or present)
        lf = record_schema.cast_columns(lf, {name: text for name, text in self.schema.items() if name in kept}, ctx)
        plain = self.columns is None and not self.schema and all(f.schema == files[0].schema for f in files)
        return ctx.frame(lf, expensive=False, files=[f.path for f in files] if plain else ())


class _ParquetFile(msgspec.Struct, frozen=True):
    path: Path
    schema: pl.Schema
    rows: int

    @classmethod
    def read(cls, path: Path, ctx: CollectContext) -> _ParquetFile:
        """Read the schema and the row count from the footer; nothing else is read."""
        lf = pl.scan_parquet(path, glob=False)
        try:
            return cls(path, lf.collect_schema(), int(lf.select(pl.len()).collect().item()))
        except (pl.exceptions.PolarsError, OSError) as error:
            cause = str(error).split("\n\n", 1)[0].replace(str(path), path.name)
            raise errors.Permanent(
                f"{path.name}: this is not a Parquet file that can be read ({cause})", step=ctx.step, field="file_path"
            ) from None

    def check(self, columns: list[str] | None, ctx: CollectContext) -> None:
        """Raise ``errors.Permanent`` if one of ``columns`` (None: any) has decimals that are too long to read."""
        wanted = self.schema if columns is None else [name for name in columns if name in self.schema]
        wide = next((name for name in wanted if _is_too_wide(self.schema[name])), None)
        if wide is not None:
            raise errors.Permanent(
                f"{self.path.name}: the decimals of column '{wide}' have more than {_MOST_DIGITS} digits, the most "
                "that can be read; name the other columns in 'columns', or store it as text",
                step=ctx.step, field="file_path",
            )  # fmt: skip


def _is_too_wide(dtype: Any) -> bool:
    if isinstance(dtype, pl.Struct):
        return any(_is_too_wide(field.dtype) for field in dtype.fields)
    if isinstance(dtype, pl.List | pl.Array):
        return _is_too_wide(dtype.inner)
    return isinstance(dtype, pl.Decimal) and (dtype.precision or 0) > _MOST_DIGITS


def _scan_all(files: list[_ParquetFile], ctx: CollectContext) -> pl.LazyFrame:
    first = files[0].schema
    if all(f.schema == first for f in files):
        return pl.scan_parquet([f.path for f in files], glob=False)
    types: dict[str, pl.DataType] = {}
    homes: dict[str, str] = {}
    for file in files:
        for name, dtype in file.schema.items():
            known = types.get(name)
            types[name] = dtype if known is None else _wider(known, dtype)
            both = (known if known is not None else dtype, dtype)
            lists = len({isinstance(d, pl.List) for d in both}) > 1 and pl.Null not in both
            if lists or (types[name] == pl.String and pl.String not in both):
                raise errors.Permanent(
                    f"column '{name}' is {dtypes.name_of(known or dtype)} in {homes[name]} and {dtypes.name_of(dtype)} "
                    f"in {file.path.name}, and no type holds both; read them with two collectors",
                    step=ctx.step, field="file_path",
                )  # fmt: skip
            homes.setdefault(name, file.path.name)
    scans = []
    for file in files:
        columns = [pl.col(n).cast(t) if n in file.schema else pl.lit(None, dtype=t).alias(n) for n, t in types.items()]
        scans.append(pl.scan_parquet(file.path, glob=False).select(columns))
    return pl.concat(scans)


def _wider(one: pl.DataType, other: pl.DataType) -> pl.DataType:
    both = (one, other)
    if all(isinstance(d, pl.Date | pl.Datetime) for d in both) and one != other:
        zones = {d.time_zone for d in both if isinstance(d, pl.Datetime)}
        return pl.Datetime("us", zones.pop()) if len(zones) == 1 else pl.String()
    if pl.String in both and any(isinstance(d, pl.Categorical | pl.Enum) for d in both):
        return pl.String()
    return unite(one, other)
