"""``penstock demo``: the whole product in a few seconds, on an empty machine.

``demo_site`` makes up a shop and serves it on loopback. The rest is the product: the same collectors, child processes,
commit and query workers as behind the REST API.
"""

from __future__ import annotations

import tempfile
from contextlib import nullcontext
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET

from service.cli import demo_site, errors, output, query, session
from service.cli import run as execution
from service.cli.output import OUT
from service.model import pipeline as pipelines
from service.model.answers import TableSchema
from service.runs.core import Core
from service.values.profile import ColumnProfile, Profile


def show(data_dir: str | None) -> None:
    """Make the shop, run the pipeline over it, show the result. Raises ``errors.Ended`` where that fails."""
    folders = nullcontext(data_dir) if data_dir is not None else tempfile.TemporaryDirectory(prefix="penstock-demo-")
    with folders as folder, demo_site.serve() as address:
        chosen = session.settings(data_dir=str(folder), allowed_private_hosts=(urlsplit(address).netloc,))
        session.with_core(chosen, lambda core: _tour(core, address))
    if data_dir is not None:
        OUT.print(f"\nEverything is in {data_dir}. Continue with", soft_wrap=True)
        OUT.print(f"  penstock query --data-dir {data_dir} 'FROM {demo_site.NAME} LIMIT 5'", soft_wrap=True)
        OUT.print(f"  penstock serve --data-dir {data_dir}", soft_wrap=True)


async def run(core: Core, address: str) -> None:
    """Run the pipeline over the shop at ``address``. Raises ``errors.Ended`` where that fails."""
    demo_site.make_csv(core.layout.uploads / demo_site.CSV_FILE)
    OUT.print(
        f"[bold]A small shop[/bold]: {demo_site.CSV_FILE} (untidy on purpose), its JSON API at "
        f"{address}/api/products, its catalogue at {address}/catalogue/1\n"
        "collect → clean → validate → analyze → transform → Parquet + DuckDB\n"
    )
    pipeline = pipelines.decode(demo_site.pipeline(address), core.registry)
    run = await execution.execute(core, pipeline, show=True)
    if run.error is not None:
        errors.print_error(run.error, as_json=False)
        raise errors.Ended
    execution.print_summary(run, core.layout.root)


async def _tour(core: Core, address: str) -> None:
    await run(core, address)
    schema = msgspec.json.decode(await core.engine.schema(core.sources.of_name(demo_site.NAME)), type=TableSchema)
    _show_schema(schema)
    found = core.history.table(demo_site.NAME)
    if found is not None:
        _show_profile(found.version.profiles[0])
    OUT.print(f"\n[bold]{demo_site.QUESTION}[/bold]\n[dim]{demo_site.SQL}[/dim]")
    query.show(await query.ask(core, demo_site.SQL))


def _show_schema(schema: TableSchema) -> None:
    columns = ["name", "type", "missing", "unique", "min", "max", "mean"]
    rows = [
        {**msgspec.structs.asdict(column), "unique": column.unique_values, "missing": column.missing_values}
        for column in schema.columns
    ]
    OUT.print(f"\n[bold]The stored schema, from DuckDB[/bold]: {schema.row_count:,} rows")
    OUT.print(output.table(columns, rows))


def _show_profile(shown: Profile) -> None:
    OUT.print(
        f"\n[bold]The profile before the last step[/bold]: {shown.row_count:,} rows, "
        f"{shown.column_count} columns, {shown.duplicate_rows:,} duplicate rows"
    )
    rows = [
        {
            "column": column.name,
            "type": column.type,
            "missing": f"{column.missing_share:.1%}",
            "distinct": column.distinct or None,
            "in short": _summary(column),
        }
        for column in shown.columns
    ]
    OUT.print(output.table(["column", "type", "missing", "distinct", "in short"], rows))
    for warning in shown.warnings:
        OUT.print(f"  [yellow]•[/yellow] {output.escape(warning.message)}")


def _summary(column: ColumnProfile) -> str:
    """One column in a few words: the spread of numbers and dates, the most frequent texts."""
    if column.histogram and column.mean is not UNSET:
        return f"{_bars(column.histogram.counts)}  mean {output.text(column.mean)}"
    if column.histogram:
        return f"{_bars(column.histogram.counts)}  {column.min} to {column.max}"
    if column.top:
        return ", ".join(f"{top.value} ({top.count:,})" for top in column.top[:3])
    return f"{column.true_share:.0%} true" if column.true_share else ""


def _bars(counts: list[int]) -> str:
    highest = max(counts, default=0) or 1
    return "".join("▁▂▃▄▅▆▇█"[min(7, count * 8 // highest)] for count in counts)
