"""How does a run grow with the columns of its table: is its time per cell the same for 1 000 and 5 000?

CSV of numbers, texts and missing values, profiled and stored as Parquet under the memory that ``--memory`` allows;
100 000 rows where none are given. Rows and sums of what is stored are compared before the times are. The best of the
repetitions counts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from benchmarks import limited_run, measure
from benchmarks.options import Options
from benchmarks.table import figure, markdown

COMPARES_FIRST = True
ONLY_BY_NAME = True
DEFAULT_ROWS = 100_000
WIDTHS = (1_000, 2_500, 5_000)
CELLS = 5_000_000  # made at once
KINDS = 4
NAME = "wide"
HEAD = ("columns", "wall s", "CPU s", "peak MiB", "ns a cell", "× the first")


def _value(column: int, row: pl.Expr) -> pl.Expr:
    """A whole number, a number with a decimal, a text, or a number that one row in twenty lacks."""
    number = (row * 31 + column * 17) % 1_000
    forms = [number, number / 10, "t" + (number % 50).cast(pl.String), pl.when(number % 20 > 0).then(number)]
    return forms[column % KINDS].alias(f"c{column}")


def _rows(start: int, count: int, columns: int) -> pl.DataFrame:
    places = pl.DataFrame({"row": pl.int_range(start, start + count, eager=True)})
    return places.select(_value(column, pl.col("row")) for column in range(columns))


def write_csv(path: Path, rows: int, columns: int) -> Path:
    """The file, made in chunks; one that is there is kept."""
    if not path.exists():
        partial, chunk = path.with_suffix(".partial"), max(CELLS // columns, 1)
        with partial.open("wb") as out:
            for start in range(0, rows, chunk):
                _rows(start, min(chunk, rows - start), columns).write_csv(out, include_header=start == 0)
        partial.replace(path)
    return path


def _checked(columns: int) -> list[int]:
    """Some of the columns that are numbers."""
    return [column for column in range(0, columns, columns // 20) if column % KINDS != 2] + [columns - 1]


def _expected(rows: int, columns: int) -> list[float]:
    places = pl.LazyFrame({"row": pl.int_range(rows, eager=True)})
    sums = places.select(_value(column, pl.col("row")).sum().cast(pl.Float64) for column in set(_checked(columns)))
    found = sums.collect().row(0, named=True)
    return [float(rows), *(round(found[f"c{column}"], 3) for column in _checked(columns))]


def ask(options: Options) -> dict[str, Any]:
    """Seconds, peak and nanoseconds a cell by number of columns, and what differed."""
    table: dict[str, Any] = {}
    failed: dict[str, str] = {}
    for columns in WIDTHS:
        path = write_csv(options.folder / f"wide-{columns}-{options.rows}.csv", options.rows, columns)
        entry = table[str(columns)] = {"differs": []}
        for _ in range(options.repeat):
            try:
                cost, found = _run(path, options, columns)
            except measure.Failed as error:
                failed[str(columns)] = str(error)
                break
            expected = _expected(options.rows, columns)
            entry["differs"] = [] if found == expected else [f"{found} and not {expected}"]
            if not entry["differs"] and cost.wall < entry.get("wall", 1e18):
                entry |= {"wall": cost.wall, "cpu": cost.cpu, "peak_mib": cost.peak_mib}
                entry["ns_per_cell"] = cost.wall / columns / options.rows * 1e9
    first = table[str(WIDTHS[0])].get("ns_per_cell")
    for entry in table.values():
        if first and "ns_per_cell" in entry:
            entry["growth"] = entry["ns_per_cell"] / first
    return {"rows": options.rows, "contestants": table, "failed": failed}


def _run(path: Path, options: Options, columns: int) -> tuple[measure.Cost, list[float]]:
    document = {
        "name": NAME, "collectors": [{"type": "csv", "file_path": path.name}],
        "processors": [{"type": "analyzer"}], "storage": [{"type": "parquet"}],
    }  # fmt: skip
    sums = ", ".join(f"round(sum(c{column})::DOUBLE, 3) AS s{place}" for place, column in enumerate(_checked(columns)))
    return limited_run.measured(document, options, f"count(*)::DOUBLE AS rows, {sums}")


def show(answer: dict[str, Any]) -> str:
    """The answer for people."""
    rows, below = [], []
    for columns, entry in answer["contestants"].items():
        values = map(entry.get, ("wall", "cpu", "peak_mib", "ns_per_cell", "growth"))
        cells = [figure(value, places) for value, places in zip(values, (2, 2, 0, 0, 2), strict=True)]
        rows.append([f"{int(columns):,}", *cells])
        below += [f"{columns} differs, no time: {problem}" for problem in entry["differs"]]
    below += [f"{columns} failed: {why.splitlines()[-1]}" for columns, why in answer["failed"].items()]
    return "\n".join([f"{answer['rows']:,} rows", "", markdown(HEAD, rows), *below])
