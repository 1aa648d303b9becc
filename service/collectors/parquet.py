"""Rows of Parquet files, lazily: one scan per file, united by column name with types that lose nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import msgspec

from service.collectors.records import schema as record_schema
from service.collectors.records.misfits import Misfits
from service.collectors.source_file import parquet_types, paths
from service.collectors.source_file.file_collector import FileCollector, PathColumns
from service.kit import errors, lazy
from service.kit.errors import Problem
from service.steps.collector import Declared
from service.steps.context import CollectContext
from service.steps.frame import Frame
from service.values import cast, common_type, dtypes, type_names
from service.values.losses import plain_values

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")


_PART_ROWS = 983_040
"""About a million, in whole row groups of most writers."""
_ORIGINAL = "\x01original "
"""Begins the names of the columns with values before a cast; no file has such columns."""


class ParquetCollector(FileCollector, frozen=True, kw_only=True, tag="parquet"):
    """Rows of one or several Parquet files; files with differing columns unite by name."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "type": "parquet",
        "file_path": "exports/*.parquet",
        "columns": ["id", "total"],
    }

    columns: Annotated[
        Annotated[list[Annotated[str, msgspec.Meta(min_length=1)]], msgspec.Meta(min_length=1)] | None,
        msgspec.Meta(description="Keep these columns, in this order; the others are not read."),
    ] = None
    schema: Annotated[
        dict[str, str],
        msgspec.Meta(
            description="Cast columns to these types; a value that does not fit, or would lose a fraction, fails (see "
            "on_error)."
        ),
    ] = {}

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        yield from record_schema.repeated("columns", self.columns or ())
        for column, text in self.schema.items():
            try:
                type_names.read(text)
            except ValueError as error:
                yield Problem(f"schema.{column}", str(error))

    def declared(self) -> Declared | None:
        return record_schema.declared(self.columns, self.schema)

    async def collect(self, ctx: CollectContext) -> Frame:
        """A scan of the files. Raises ``errors.Permanent`` naming the file, or the setting to blame."""
        return await asyncio.to_thread(self._collect, ctx)

    def _collect(self, ctx: CollectContext) -> Frame:
        found = paths.resolve(self.file_path, ctx)
        added = self.path_columns(found, self.schema, ctx)
        files = [_ParquetFile.read(path, self.columns, ctx) for path in found]
        for file in files:
            added.refuse_clash(file.path, file.schema, ctx.step)
        ctx.collected(sum(f.rows for f in files))
        ctx.add_evidence({"files": len(files), "rows": sum(f.rows for f in files)})
        ctx.progress(1.0, f"{len(files)} files")
        present = list(dict.fromkeys([*(name for f in files for name in f.schema), *added.types]))
        record_schema.require_columns(present, self.columns, self.schema, ctx.step)
        kept = set(self.columns or present)
        schema = {name: text for name, text in self.schema.items() if name in kept}
        plain = not (self.columns or self.schema or added.types) and all(f.types == files[0].schema for f in files)
        if plain:
            return ctx.scan_parquet([f.path for f in files])
        frame = _all_rows(files, kept, schema, added, ctx, self.misfits(ctx))
        selected = self.columns
        return frame if selected is None else frame.rows(lambda lf: lf.select(selected))


class _ParquetFile(msgspec.Struct, frozen=True):
    path: Path
    schema: pl.Schema
    texts: Mapping[str, str]
    rows: int

    @classmethod
    def read(cls, path: Path, columns: Sequence[str] | None, ctx: CollectContext) -> _ParquetFile:
        """Read the schema and the row count from the footer; nothing else is read."""
        parquet_types.accept_every_zone()
        lf = pl.scan_parquet(path, glob=False)
        try:
            schema, rows = lf.collect_schema(), int(lf.select(pl.len()).collect().item())
        except pl.exceptions.PanicException:
            views = parquet_types.list_views(path)
            if views:
                raise errors.Permanent(
                    f"{path.name}: column '{views[0]}' is a list view, which cannot be read; write it as a list",
                    step=ctx.step, field="file_path",
                ) from None  # fmt: skip
            if not (names := parquet_types.intervals(path)):
                raise
            raise errors.Permanent(
                f"{path.name}: column '{names[0]}' is an INTERVAL of months, days and milliseconds, which cannot be "
                "read; write the file without it, or with a number of seconds or a text instead",
                step=ctx.step, field="file_path",
            ) from None  # fmt: skip
        except (pl.exceptions.PolarsError, OSError) as error:
            cause = str(error).split("\n\n", 1)[0].replace(str(path), path.name)
            raise errors.Permanent(
                f"{path.name}: this is not a Parquet file that can be read ({cause})", step=ctx.step, field="file_path"
            ) from None
        for name, dtype in schema.items():
            if _digits(dtype) > common_type.DECIMAL_DIGITS and (columns is None or name in columns):
                raise errors.Permanent(
                    f"{path.name}: column '{name}' is {dtypes.name_of(dtype)}, which has more than "
                    f"{common_type.DECIMAL_DIGITS} digits, the most that can be read; name the other columns in "
                    "'columns', or store it as text",
                    step=ctx.step, field="columns",
                )  # fmt: skip
        return cls(path, schema, parquet_types.texts(path, schema), rows)

    def scan(self) -> pl.LazyFrame:
        return self._read(pl.scan_parquet(self.path, glob=False))

    def scans(self) -> list[pl.LazyFrame]:
        """The rows of ``scan`` in scans of at most ``_PART_ROWS`` rows."""
        whole = pl.scan_parquet(self.path, glob=False)
        return [self._read(whole.slice(at, _PART_ROWS)) for at in range(0, max(1, self.rows), _PART_ROWS)]

    def _read(self, lf: pl.LazyFrame) -> pl.LazyFrame:
        return parquet_types.readable(lf, self.schema, self.texts)

    @property
    def types(self) -> dict[str, pl.DataType]:
        """The types of ``scan``."""
        return parquet_types.types(self.schema, self.texts)


def _digits(dtype: Any) -> int:
    if isinstance(dtype, pl.List | pl.Array):
        return _digits(dtype.inner)
    if isinstance(dtype, pl.Struct):
        return max((_digits(f.dtype) for f in dtype.fields), default=0)
    return (dtype.precision or 0) if isinstance(dtype, pl.Decimal) else 0


def _all_rows(
    files: list[_ParquetFile],
    kept: Collection[str],
    schema: Mapping[str, str],
    added: PathColumns,
    ctx: CollectContext,
    misfits: Misfits,
) -> Frame:
    first = files[0]
    if all((f.schema, f.texts) == (first.schema, first.texts) for f in files) and not added.types:
        lf = pl.scan_parquet([f.path for f in files], glob=False)
        lf = parquet_types.readable(lf, first.schema, first.texts)
        frame = ctx.frame(lf, expensive=False, parts=lambda: [scan for file in files for scan in file.scans()])
        return record_schema.cast_columns(frame, schema, ctx, misfits)
    types = _common_types(files, kept, schema, ctx)
    types |= {name: dtype for name, dtype in added.types.items() if name not in types}
    counted = [name for name in schema if misfits.become_null and any(name in f.schema for f in files)]
    originals = {name: f"{_ORIGINAL}{place}" for place, name in enumerate(counted)}

    def parts(*, divided: bool = True) -> list[pl.LazyFrame]:
        return [
            _scan_as(file, scan, types, schema, originals, added, ctx)
            for file in files
            for scan in (file.scans() if divided else [file.scan()])
        ]

    frame = ctx.frame(pl.concat(parts(divided=False)), expensive=False, parts=parts)
    if not originals:
        return frame
    made = [
        record_schema.misfit(name, pl.col(name), pl.col(text), types[name], misfits) for name, text in originals.items()
    ]
    return frame.convert(ctx.step, made).rows(lambda lf: lf.drop(list(originals.values())))


def _scan_as(
    file: _ParquetFile,
    scan: pl.LazyFrame,
    types: Mapping[str, pl.DataType],
    schema: Mapping[str, str],
    originals: Mapping[str, str],
    added: PathColumns,
    ctx: CollectContext,
) -> pl.LazyFrame:
    """A ``scan`` of a file in the columns and types of all, and with the texts of ``originals``, which have misfits."""
    own = {name: text for name, text in schema.items() if name in file.schema}
    try:
        made = record_schema.casts_of(file.types, own, ctx, Misfits(become_null=bool(originals)))
    except record_schema.Misfit as error:
        raise errors.Permanent(str(error), step=ctx.step, field=error.field) from None
    why = f"in {file.path.name}, beside other files"
    casts = [
        common_type.exact(name, dtype, types[name], why, (ctx.step, f"schema.{name}"))
        for name, dtype in file.types.items()
        if name not in own
    ]
    from_path = [e.cast(types[e.meta.output_name()], strict=False) for e in added.values(file.path, file.schema)]
    missing = [pl.lit(None, dtype=dtype).alias(n) for n, dtype in types.items() if n not in file.schema]
    texts = [
        (cast.error_text(pl.col(n), file.types[n]) if n in own else pl.lit(None, dtype=pl.String)).alias(text)
        for n, text in originals.items()
    ]
    known = [
        pl.when(pl.col(n).is_not_null()).then(pl.col(text)).alias(text) for n, text in originals.items() if n in own
    ]
    lf = scan.with_columns(texts).with_columns(known)
    lf = lf.with_columns([*plain_values(made), *casts, *missing]).with_columns(from_path)
    return lf.select([*types, *originals.values()])


def _common_types(
    files: list[_ParquetFile], kept: Collection[str], schema: Mapping[str, str], ctx: CollectContext
) -> dict[str, pl.DataType]:
    """The types of all columns in which the files are united, with a warning for each ``kept`` one of mixed types.

    Raises ``errors.Permanent`` if there is none.
    """
    types: dict[str, pl.DataType] = {}
    homes: dict[str, str] = {}
    first: dict[str, dict[pl.DataType, str]] = {}
    for file in files:
        for name, dtype in file.types.items():
            if name in schema:
                types[name] = dtypes.parse(schema[name])
                continue
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
            if dtype != pl.Null and name in kept:
                first.setdefault(name, {}).setdefault(dtype, file.path.name)
    record_schema.warn_of_kinds(first, types, ctx)
    return types


def _wider(one: pl.DataType, other: pl.DataType) -> pl.DataType:
    both = (one, other)
    if all(isinstance(d, pl.Date | pl.Datetime) for d in both) and one != other:
        zones = {d.time_zone for d in both if isinstance(d, pl.Datetime)}
        return pl.Datetime("us", zones.pop()) if len(zones) == 1 else pl.String()
    if pl.String in both and any(isinstance(d, pl.Categorical | pl.Enum) for d in both):
        return pl.String()
    return common_type.unite(one, other)
