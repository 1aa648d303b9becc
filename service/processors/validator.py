"""Validator: rules over the data, and the treatment of rows that break them.

Every rule marks its rows in a separate column, so that one ``measure`` counts them all and later steps read the
marks from the stage. A row is rejected once, however many rules it breaks. Rules about the whole (``row_count``,
``freshness``) reject no row: broken, they fail the run for every ``on_fail`` but ``warn``. A replay of quarantined
rows leaves out shares and rules about the whole, which mean nothing there.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import msgspec

from service.files import quarantine
from service.kit import errors, lazy
from service.kit.errors import Problem
from service.processors.settings import columns
from service.processors.settings.json_value import json_value
from service.processors.validation import foreign_keys, originals, rules
from service.processors.validation.row_source import row_source
from service.processors.validation.rules import Rule
from service.steps.collector import Upstream
from service.steps.context import ProcessContext
from service.steps.frame import Frame, RowLocal
from service.steps.metric import Metric, Values
from service.steps.processor import Processor
from service.values import dtypes

if TYPE_CHECKING:
    import polars as pl

    from service.engine import row_sql
    from service.engine.row_sql import Place, RowSql
    from service.values import polars_errors
else:
    row_sql = lazy.module("service.engine.row_sql")
    pl = lazy.module("polars")
    polars_errors = lazy.module("service.values.polars_errors")

_EXAMPLES = 3
_MOST_IN_A_FILE = 1_000_000
"""The approximate number of quarantined rows in one file."""


@dataclass
class RuleFinding:
    """The result of a rule: its name and path, the column that marks its rows, their number and examples."""

    rule: Rule
    name: str
    at: str
    mark: str
    broken: int = 0
    seen: str | None = None
    examples: list[dict[str, Any]] = field(default_factory=list)

    @property
    def serious(self) -> bool:
        return bool(self.broken) and self.rule.severity == "error"

    def summary(self) -> str:
        """One line for an error or a warning."""
        if self.rule.whole:
            return f"'{self.name}' ({self.seen})"
        often = ", ".join(f"{e['value']!r} ({e['count']}×)" for e in self.examples)
        rows = "1 row" if self.broken == 1 else f"{self.broken} rows"
        return f"'{self.name}' in {rows}" + (f", most often {often}" if often else "")

    def report(self) -> dict[str, Any]:
        """The finding as the version keeps it."""
        report: dict[str, Any] = {"name": self.name, "severity": self.rule.severity, "broken": self.broken}
        return report | ({"seen": self.seen} if self.rule.whole else {"examples": self.examples})


class Validator(Processor, frozen=True, kw_only=True, tag="validator"):
    """Checks rules, and fails, warns, drops or quarantines. Missing values break only not_null."""

    idempotent: ClassVar[bool] = True
    read_only: ClassVar[bool] = True
    static: ClassVar[bool] = True
    EXAMPLE: ClassVar[dict[str, Any]] = {
        "type": "validator",
        "config": {
            "rules": [
                {"column": "order_id", "check": "unique"},
                {"column": "price", "check": "in_range", "min": 0, "max": 10000},
                {"name": "shipped after order", "expression": "shipped_at >= ordered_at", "severity": "warning"},
                {"row_count": {"min": 1}},
            ],
            "on_fail": "quarantine",
            "max_rejected_share": 0.1,
        },
    }

    rules: Annotated[list[Rule], msgspec.Meta(min_length=1, max_length=500, description="What must hold.")]
    on_fail: Annotated[
        Literal["fail", "warn", "drop", "quarantine"],
        msgspec.Meta(description="Broken rules fail the run, are only reported, or take their rows out of the data."),
    ] = "fail"
    max_rejected_share: Annotated[
        Annotated[float, msgspec.Meta(ge=0, le=1)] | None,
        msgspec.Meta(
            description="drop, quarantine: a greater share of rejected rows fails the run. Checked twice: the rows "
            "rejected here of the rows of this step, and all rejected so far (malformed too) of all collected rows."
        ),
    ] = None

    @property
    def carries_originals(self) -> bool:
        return True

    @property
    def shows_originals(self) -> bool:
        return self.on_fail == "quarantine"

    def problems(self) -> Iterable[Problem]:
        seen: dict[str, int] = {}
        for place, rule in enumerate(self.rules):
            yield from rule.problems(f"rules[{place}]")
            if rule.name is not None and seen.setdefault(rule.name, place) != place:
                yield Problem(f"rules[{place}].name", f"rules[{seen[rule.name]}] has the same name")
        if self.max_rejected_share is not None and self.on_fail not in ("drop", "quarantine"):
            yield Problem("max_rejected_share", f"on_fail '{self.on_fail}' rejects no rows")

    def upstreams(self) -> Iterable[Upstream]:
        for place, rule in enumerate(self.rules):
            if rule.pipeline is not None:
                at = f"config.rules[{place}]"
                yield Upstream(rule.pipeline, rule.version, f"{at}.pipeline", rule.to, f"{at}.to")

    def apply(self, frame: Frame, ctx: ProcessContext) -> Frame:
        with polars_errors.attributed(ctx.step):
            findings = self._findings(frame.schema)
            marked = _mark_rows(frame, findings, ctx)
            self._count(marked, findings, ctx)
            ctx.record("rules", [f.report() for f in findings])
            ctx.record("on_fail", self.on_fail)
            remaining = self._judge(marked, findings, ctx)
            marks = [f.mark for f in findings if not f.rule.whole]
            return originals.settle(remaining.rows(lambda lf: lf.drop(marks)), wanted=ctx.keep_originals)

    def _findings(self, schema: pl.Schema) -> list[RuleFinding]:
        names: list[str] = []
        for place, rule in enumerate(self.rules):
            name, count = rule.label(place), 1
            while name in names:
                count += 1
                name = f"{rule.label(place)}_{count}"
            names.append(name)
        free = columns.unused_name("_broken", schema)
        return [RuleFinding(r, names[i], f"rules[{i}]", f"{free}_{i}") for i, r in enumerate(self.rules)]

    def _count(self, marked: Frame, findings: list[RuleFinding], ctx: ProcessContext) -> None:
        counts = [Metric(f.mark, "true") for f in findings if not f.rule.whole]
        newest = [Metric(f.rule.freshness.column, "max") for f in findings if f.rule.freshness is not None]
        answers = marked.measure([Metric("", "rows"), *counts, *newest])
        for finding in findings:
            if finding.rule.whole:
                finding.seen = None if ctx.partial else _whole_problem(finding.rule, answers, ctx)
                finding.broken = int(finding.seen is not None)
            else:
                finding.broken = answers[Metric(finding.mark, "true")] or 0
        _illustrate(marked, [f for f in findings if f.broken and len(f.rule.names) == 1])

    def _judge(self, marked: Frame, findings: list[RuleFinding], ctx: ProcessContext) -> Frame:
        rows = marked.measure([Metric("", "rows")])[Metric("", "rows")]
        serious = [f for f in findings if f.serious]
        whole = [f for f in serious if f.rule.whole]
        for finding in findings:
            if finding.broken and (self.on_fail == "warn" or not finding.serious):
                ctx.warn("rule_broken", f"broken: {finding.summary()}", rule=finding.name, rows=finding.broken)
        judging = [f for f in findings if f.rule.severity == "error" and not f.rule.whole]
        if self.on_fail == "warn":
            ctx.set_row_counts(rows, rows)
            return marked
        if serious and (self.on_fail == "fail" or whole):
            raise _validation_error(whole if self.on_fail != "fail" else serious, ctx)
        if not serious:
            self._check_share(0, rows, [], ctx)
            ctx.set_row_counts(rows, rows)
        if not judging:
            return marked
        bad = pl.any_horizontal([pl.col(f.mark) for f in judging])
        if not serious:  # no row of this data is rejected, but a later record may be (apply)
            return marked.rows(lambda lf: lf.filter(~bad))
        total = Metric("_", "true")
        rejected = marked.rows(lambda lf: lf.select(bad.alias("_"))).measure([total])[total]
        self._check_share(rejected, rows, serious, ctx)
        if self.on_fail == "quarantine":
            self._quarantine(marked, serious, bad, ctx, rows, rejected)
        else:
            ctx.reject(rejected)
        ctx.set_row_counts(rows, rows - rejected)
        ctx.warn("rows_rejected", f"{rejected} of {rows} rows were taken out: {_summary(serious)}", rows=rejected)
        return marked.rows(lambda lf: lf.filter(~bad))

    def _check_share(self, rejected: int, rows: int, serious: list[RuleFinding], ctx: ProcessContext) -> None:
        """Raise ``errors.Permanent`` where too many rows are rejected: here, or so far in the run."""
        most = self.max_rejected_share
        if most is None or ctx.replay:
            return
        if rejected > most * rows:
            raise _validation_error(
                serious, ctx, f"{rejected} of {rows} rows are rejected, more than a share of {most:g}: "
            )
        malformed = sum(r.rows for r in ctx.rejected_before if r.step.startswith("collectors"))
        earlier = sum(r.rows for r in ctx.rejected_before) - malformed
        every, total = rejected + earlier + malformed, (ctx.source_rows or rows + earlier) + malformed
        if every > most * total:
            share = f"{every} of {total} rows are rejected, more than a share of {most:g}: {malformed} malformed"
            raise errors.Permanent(
                f"{share}, {earlier} by earlier steps, {rejected} here", code="VALIDATION_FAILED", step=ctx.step,
                field="config.max_rejected_share", rules=[f.report() for f in serious],
            )  # fmt: skip

    def _quarantine(
        self, marked: Frame, serious: list[RuleFinding], bad: pl.Expr, ctx: ProcessContext, rows: int, rejected: int
    ) -> None:
        """Write the broken rows with the rules they broke and their position in the data of this step.

        Many rows go into several files, which bounds the memory.
        """
        number, reasons = (columns.unused_name(n, marked.schema) for n in ("_number", "_reasons"))
        marks = [f.mark for f in serious]
        own = [n for n in originals.visible(marked.schema) if n not in marks and not n.startswith(_prefix(marks[0]))]
        texts = originals.restored(marked, bad)
        unknown = originals.unknown(marked, ctx.untraced_by)
        made = {
            "_rules": pl.col(reasons), "_step": pl.lit(ctx.step), "_source": row_source(ctx, pl.col(number), rows),
            "_row": pl.col(number) + 1,
        }  # fmt: skip
        with_row_index = marked.with_row_index(number)
        restored = [e.alias(c) for c, e in texts.items()]
        size = -(-rows // -(-rejected // _MOST_IN_A_FILE))
        for part, start in enumerate(range(0, rows, size)):
            here = bad if size >= rows else bad & pl.col(number).is_between(start, start + size, closed="left")
            taken = with_row_index.rows(_filter(here))
            # one row per reason, then grouped: building lists of structs row by row takes ten times as long
            first, *others = (taken.rows(_reasons(f, marked.schema, texts, number, reasons, unknown)) for f in serious)
            gathered = first.union(others).group([number], [pl.col(reasons)])
            joined = taken.join(gathered, [number], how="left")
            arranged = joined.rows(lambda lf: quarantine.arrange(lf.with_columns(restored), own, made))
            file = quarantine.file_of(ctx.step, part)
            written = arranged.write(ctx.folder / file, compression="zstd", compression_level=3, row_group_size=None)
            if written:
                ctx.reject(written, file)


def _filter(condition: pl.Expr) -> RowLocal:
    return lambda lf: lf.filter(condition)


def _reasons(
    finding: RuleFinding,
    schema: pl.Schema,
    restored: Mapping[str, pl.Expr],
    number: str,
    name: str,
    unknown: tuple[str, frozenset[str] | None] | None,
) -> RowLocal:
    """A row-local step: for each row that breaks the rule its number and, as ``name``, the reason."""
    names = finding.rule.names
    texts = [restored[n] if n in restored else quarantine.shown(n, schema[n]) for n in names]
    value = pl.concat_str(texts, separator=", ") if texts else pl.lit(None)
    expected = finding.rule.expected
    message = pl.lit(expected)
    if unknown is not None:
        text, among = unknown
        missing = [pl.col(n).is_null() for n in names if n not in restored and (among is None or n in among)]
        message = pl.when(pl.any_horizontal(missing or False)).then(pl.lit(f"{expected}; {text}")).otherwise(message)
    reason = quarantine.reason(finding.name, ", ".join(names) or None, value, message)
    return lambda lf: lf.filter(pl.col(finding.mark)).select(number, reason.alias(name))


def _prefix(mark: str) -> str:
    return mark.rpartition("_")[0] + "_"


def _mark_rows(frame: Frame, findings: list[RuleFinding], ctx: ProcessContext) -> Frame:
    """The frame with a column for each rule on rows: whether the row breaks it."""
    schema = frame.schema
    marks: list[pl.Expr] = []
    for finding in findings:
        rule, at = finding.rule, finding.at
        for name in rule.names or ([rule.freshness.column] if rule.freshness else []):
            if name not in schema:
                where = "freshness.column" if rule.freshness else "columns" if name != rule.column else "column"
                raise columns.missing_column(ctx, f"{at}.{where}", name, schema)
        if rule.freshness is not None and not isinstance(schema[rule.freshness.column], pl.Date | pl.Datetime):
            kind = dtypes.name_of(schema[rule.freshness.column])
            raise columns.setting_error(
                ctx, f"{at}.freshness.column", f"a date or datetime is needed, and it is {kind}"
            )
        if rule.check not in (None, "unique", "foreign_key"):
            marks.append(rules.breaks(rule, at, schema, ctx).alias(finding.mark))
    marked = frame.rows(lambda lf: lf.with_columns(marks)) if marks else frame
    for finding in findings:
        if finding.rule.expression is not None:
            marked = _by_expression(marked, schema, finding, ctx)
        elif finding.rule.check == "unique":
            keys = finding.rule.names
            twice = (pl.len() > 1) & pl.all_horizontal([pl.col(k).is_not_null() for k in keys])
            marked = marked.per_group(keys, [], [twice.alias(finding.mark)])
        elif finding.rule.check == "foreign_key":
            marked = foreign_keys.mark_rows(marked, finding.rule, finding.at, finding.mark, ctx)
    return marked


def _by_expression(frame: Frame, schema: pl.Schema, finding: RuleFinding, ctx: ProcessContext) -> Frame:
    field_ = f"{finding.at}.expression"
    try:
        condition = row_sql.compiled(str(finding.rule.expression), schema)
    except ValueError as error:
        raise columns.setting_error(ctx, field_, str(error)) from error
    if not isinstance(condition.dtype, pl.Boolean):
        raise columns.setting_error(
            ctx, field_, f"a condition must be boolean; this is {dtypes.name_of(condition.dtype)}"
        )
    at = (ctx.step, f"config.{field_}")
    return frame.rows(lambda lf: _judging(lf, finding.mark, condition, at, schema))


def _judging(lf: pl.LazyFrame, mark: str, condition: RowSql, at: Place, schema: pl.Schema) -> pl.LazyFrame:
    """``lf`` and whether each row breaks the condition, to which NaN is missing."""
    numbers = {name: f"{mark}_{place}" for place, name in enumerate(condition.columns) if schema[name].is_float()}
    without = lf.with_columns(pl.col(name).fill_nan(None).alias(other) for name, other in numbers.items())
    holds = condition.expr(at, numbers).fill_null(value=True)
    return without.with_columns((~holds).alias(mark)).drop(list(numbers.values()))


def _whole_problem(rule: Rule, answers: Values, ctx: ProcessContext) -> str | None:
    """How the data as a whole breaks the rule, or None."""
    if rule.row_count is not None:
        rows, least, most = answers[Metric("", "rows")], rule.row_count.min, rule.row_count.max
        low = least is not None and rows < least
        high = most is not None and rows > most
        return (
            f"{rows} rows, {'at least' if low else 'at most'} {least if low else most} expected"
            if low or high
            else None
        )
    assert rule.freshness is not None
    newest = answers[Metric(rule.freshness.column, "max")]
    if newest is None:
        return f"no value in '{rule.freshness.column}'"
    if not isinstance(newest, datetime.datetime):
        newest = datetime.datetime.combine(newest, datetime.time())
    if newest.tzinfo is None:
        newest = newest.replace(tzinfo=datetime.UTC)
    age = (ctx.now - newest).total_seconds()
    if age <= rule.freshness.max_age_seconds:
        return None
    return (
        f"the newest is {json_value(newest)}, {age:.0f} seconds old; at most {rule.freshness.max_age_seconds:g} allowed"
    )


def _illustrate(marked: Frame, findings: list[RuleFinding]) -> None:
    """Add to each finding the values that break its rule most often."""
    shown = [f for f in findings if not marked.schema[f.rule.names[0]].is_nested() and f.rule.check != "not_null"]
    if not shown:
        return
    picked = [pl.when(pl.col(f.mark)).then(pl.col(f.rule.names[0])).alias(f.mark) for f in shown]
    wanted = {f.mark: Metric(f.mark, "top", _EXAMPLES) for f in shown}
    answers = marked.rows(lambda lf: lf.select(picked)).measure(wanted.values())
    for finding in shown:
        finding.examples = [{"value": json_value(v), "count": n} for v, n in answers[wanted[finding.mark]]]


def _summary(findings: list[RuleFinding]) -> str:
    return "; ".join(f.summary() for f in findings[:5]) + ("; and more" if len(findings) > 5 else "")


def _validation_error(findings: list[RuleFinding], ctx: ProcessContext, why: str = "") -> errors.Permanent:
    many = f"{len(findings)} rules are broken" if len(findings) > 1 else "a rule is broken"
    return errors.Permanent(
        f"{why}{many}: {_summary(findings)}",
        code="VALIDATION_FAILED", step=ctx.step, field=f"config.{findings[0].at}", rules=[f.report() for f in findings],
    )  # fmt: skip
