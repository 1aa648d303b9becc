"""Random scalar expressions over the columns of ``tables.SCHEMA``, well typed, as people write them."""

from __future__ import annotations

from random import Random

COLUMNS = {
    "int": ["i", "j", "k", "u"],
    "float": ["f", "g"],
    "text": ["s", "c"],
    "bool": ["b"],
    "date": ["d"],
    "time": ["t"],
    "dec": ["m"],
    "clock": ["h"],
    "list": ["l"],
}
LITERALS = {
    "int": ["0", "1", "2", "-3", "10", "7"],
    "float": ["0.5", "2.25", "1e3", "-0.1", "3.0"],
    "text": ["''", "'a'", "'x'", "'é'", "'ab'", "'%'"],
    "bool": ["true", "false", "NULL::BOOLEAN"],
    "date": ["DATE '2024-02-29'", "DATE '2023-12-31'"],
    "dec": ["1.25", "0.5", "-3.00", "100.0"],
    "clock": ["TIME '12:30:00'", "TIME '23:59:59.25'"],
    "list": ["[1, 2]", "[]::BIGINT[]", "[NULL, 3]"],
    "time": ["TIMESTAMP '2024-02-29 12:30:45'", "TIMESTAMP '1999-12-31 23:59:59.5'"],
}
ANY = ["int", "float", "text", "bool", "date", "time", "dec", "clock", "list"]
# Result type to patterns; each word in braces is an expression of that type.
PATTERNS = {
    "int": [
        "{int} + {int}", "{int} - {int}", "{int} * {int}", "{int} % 7", "{int} // 3", "-{int}", "abs({int})",
        "length({text})", "strpos({text}, {text})", "coalesce({int}, {int})", "year({date})", "month({time})",
        "date_diff('day', {date}, {date})", "if({bool}, {int}, {int})", "sign({int})", "greatest({int}, {int})",
        "least({int}, {int})", "nullif({int}, {int})", "CASE WHEN {bool} THEN {int} ELSE {int} END",
        "CAST({bool} AS INTEGER)", "extract(dow from {date})", "quarter({date})", "hour({time})", "isodow({date})",
        "TRY_CAST({text} AS BIGINT)", "ascii({text})", "len({list})", "list_sum({list})", "{list}[1]",
        "list_position({list}, {int})", "hour({clock})",
        "CAST({dec} AS BIGINT)", "xor({int}, 5)", "bit_count(CAST({int} AS BIGINT))", "list_max({list})",
        "CAST({int} AS UTINYINT)", "CAST({float} AS BIGINT)", "dayofyear({date})", "{int} & 6",
        "gcd({int}, {int})", "minute({time})", "second({time})", "weekofyear({date})", "CAST({int} AS SMALLINT)",
    ],
    "float": [
        "{float} + {int}", "{float} * {float}", "{int} / {int}", "{float} / {int}", "sqrt(abs({float}))",
        "round({float}, 1)",
        "floor({float})", "ceil({float})", "trunc({float})", "ln(abs({float}) + 1)", "log10(abs({float}) + 1)",
        "pow({int}, 2)", "coalesce({float}, {float})", "exp({float} / 5000)", "CAST({int} AS DOUBLE)", "sin({float})",
        "if({bool}, {float}, {float})", "greatest({float}, {float})", "TRY_CAST({text} AS DOUBLE)", "{float} - {float}",
        "log2(abs({int}) + 1)", "{dec} / 3", "CAST({dec} AS DOUBLE)", "{float} + {dec}", "list_avg({list})",
        "cbrt({float})", "radians({float})", "round({float})", "{float} % 3", "epoch({time})",
        "log(abs({float}) + 2)", "atan2({float}, {int})", "abs({float})",
    ],
    "text": [
        "upper({text})", "lower({text})", "{text} || {text}", "concat({text}, {text})", "substr({text}, 2, 2)",
        "left({text}, 2)", "right({text}, 2)", "replace({text}, {text}, '_')", "trim({text})", "reverse({text})",
        "coalesce({text}, {text})", "if({bool}, {text}, {text})", "CAST({int} AS VARCHAR)", "CAST({date} AS VARCHAR)",
        "lpad({text}, 4, '0')", "repeat({text}, 2)", "split_part({text}, ' ', 1)", "substr({text}, -2)",
        "CAST({bool} AS VARCHAR)", "CAST({time} AS VARCHAR)", "strftime({date}, '%d.%m.%Y')", "nullif({text}, '')",
        "regexp_replace({text}, '[a-z]', '*')", "CASE WHEN {bool} THEN {text} END", "CAST({float} AS VARCHAR)",
        "monthname({date})", "CAST({dec} AS VARCHAR)", "CAST({clock} AS VARCHAR)", "array_to_string({list}, '-')",
        "CAST({list} AS VARCHAR)",  "ltrim({text})", "concat_ws('-', {text}, {text})",
        "regexp_extract({text}, '([A-Z])', 1)",
        "greatest({text}, {text})", "md5({text})", "dayname({date})", "rpad({text}, 3, '*')",
    ],
    "bool": [
        "{int} > {int}", "{int} = {int}", "{float} <= {float}", "{text} = {text}", "{text} < {text}", "{int} <> {int}",
        "{bool} AND {bool}", "{bool} OR {bool}", "NOT {bool}", "{int} IS NULL", "{text} IS NOT NULL",
        "{int} IN (1, 2, 3)",
        "{text} LIKE '%a%'", "{int} BETWEEN -5 AND 5", "{date} > {date}", "{bool} IS TRUE",
        "{int} IS DISTINCT FROM {int}",
        "starts_with({text}, 'a')", "contains({text}, 'b')", "{text} NOT IN ('a', 'x')", "{time} >= {time}",
        "isnan({float})", "{text} ILIKE 'A%'", "regexp_matches({text}, '^[a-z]+$')", "{int} > {float}",
        "{dec} > {int}", "{dec} = {float}", "list_contains({list}, {int})", "{clock} < {clock}",
        "{list} = {list}",
        "{date} < {time}",
    ],
    "dec": [
        "{dec} + {dec}", "{dec} - {dec}", "{dec} * 2", "round({dec}, 1)", "abs({dec})", "-{dec}",
        "coalesce({dec}, {dec})",
        "CAST({int} AS DECIMAL(12, 3))", "{dec} + {int}", "if({bool}, {dec}, {dec})",
        "TRY_CAST({text} AS DECIMAL(8, 2))",
        "{dec} * {dec}", "greatest({dec}, {dec})", "floor({dec})", "{dec} % 3",
    ],
    "clock": [
        "CAST({time} AS TIME)", "coalesce({clock}, {clock})", "if({bool}, {clock}, {clock})",
        "{clock} + INTERVAL 5 MINUTE",
    ],
    "list": [
        "list_sort({list})", "list_reverse({list})", "list_concat({list}, {list})", "list_append({list}, {int})",
        "coalesce({list}, {list})", "list_distinct({list})", "{list}[1:2]", "list_transform({list}, x -> x + 1)",
        "list_filter({list}, x -> x > 0)",
    ],
    "date": [
        "CAST({time} AS DATE)", "last_day({date})", "coalesce({date}, {date})", "if({bool}, {date}, {date})",
        "make_date(2024, 2, 10)", "TRY_CAST({text} AS DATE)", "greatest({date}, {date})",
    ],
    "time": [
        "date_trunc('month', {time})", "date_trunc('hour', {time})", "{time} + INTERVAL 1 DAY",
        "CAST({date} AS TIMESTAMP)",
        "{date} + INTERVAL 1 MONTH", "coalesce({time}, {time})", "date_trunc('week', {date})::TIMESTAMP",
        "strptime('2024-03-01 10:11:12', '%Y-%m-%d %H:%M:%S')", "{time} - INTERVAL 90 MINUTE",
    ],
}  # fmt: skip
AGGREGATES = [
    "count(*)", "count({int})", "sum({int})", "min({int})", "max({text})", "avg({float})", "sum({float})",
    "count({text})",
    "count(DISTINCT {int})", "stddev({float})", "median({float})", "min({date})", "max({time})", "bool_or({bool})",
    "sum({int}) / count(*)", "avg({int})", "max({float}) - min({float})", "bool_and({bool})", "var_pop({float})",
    "sum({dec})", "avg({dec})", "max({clock})", "min({dec})", "sum(len({list}))", "max({list})",
    "sum({int}) FILTER (WHERE {bool})", "round(avg({float}), 2)",
]  # fmt: skip


class Expressions:
    """Draws expressions; ``depth`` is how deep they may nest, ``prefix`` is written before each column."""

    def __init__(self, random: Random, prefix: str = "") -> None:
        self._random, self._prefix = random, prefix

    def of(self, kind: str, depth: int = 2) -> str:
        """An expression of that type."""
        if depth <= 0 or self._random.random() < 0.25:
            if self._random.random() < 0.75:
                return self._prefix + self._random.choice(COLUMNS[kind])
            return self._random.choice(LITERALS[kind])
        return f"({self._filled(self._random.choice(PATTERNS[kind]), depth - 1)})"

    def any(self, depth: int = 2) -> str:
        """An expression of any type."""
        return self.of(self._random.choice(ANY), depth)

    def aggregate(self, depth: int = 1) -> str:
        """An aggregate over rows of a group."""
        return self._filled(self._random.choice(AGGREGATES), depth)

    def _filled(self, pattern: str, depth: int) -> str:
        for kind in PATTERNS:
            while f"{{{kind}}}" in pattern:
                pattern = pattern.replace(f"{{{kind}}}", self.of(kind, depth), 1)
        return pattern
