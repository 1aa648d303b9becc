"""Random SELECTs over ``input``: projections, filters, groups, windows, joins, CTEs, unions, orders with limits."""

from __future__ import annotations

from random import Random

from tests.differential.expressions import Expressions

WINDOWS = [
    "row_number() OVER (ORDER BY k)", "sum(i) OVER (PARTITION BY c ORDER BY k)", "lag(s) OVER (ORDER BY k)",
    "rank() OVER (PARTITION BY b ORDER BY k DESC)", "avg(f) OVER (PARTITION BY c)", "first_value(i) OVER (ORDER BY k)",
    "count(*) OVER (ORDER BY k ROWS BETWEEN 2 PRECEDING AND CURRENT ROW)", "lead(d, 2) OVER (ORDER BY k)",
]  # fmt: skip


def query(random: Random) -> str:
    """One SELECT. Where rows are cut off the order is total, so that there is one right answer."""
    make = random.choice([_plain, _plain, _grouped, _grouped, _windowed, _joined, _cte, _union, _distinct])
    return make(random, Expressions(random))


def _where(random: Random, draw: Expressions) -> str:
    return f" WHERE {draw.of('bool')}" if random.random() < 0.5 else ""


def _tail(random: Random, key: str) -> str:
    limit = random.choice(["", f" LIMIT {random.randint(0, 9)}", f" LIMIT 4 OFFSET {random.randint(0, 4)}"])
    return f" ORDER BY {key}{random.choice(['', ' DESC', ' ASC NULLS FIRST'])}{limit}"


def _plain(random: Random, draw: Expressions) -> str:
    items = ", ".join(f"{draw.any()} AS c{n}" for n in range(random.randint(1, 4)))
    return f"SELECT k, {items} FROM input{_where(random, draw)}{_tail(random, 'k')}"


def _grouped(random: Random, draw: Expressions) -> str:
    key = random.choice(["c", "b", "j", "year(d)", "i % 3", "c, b"])
    items = ", ".join(f"{draw.aggregate()} AS c{n}" for n in range(random.randint(1, 3)))
    having = " HAVING count(*) > 1" if random.random() < 0.3 else ""
    return f"SELECT {key}, {items} FROM input{_where(random, draw)} GROUP BY {key}{having}"


def _windowed(random: Random, draw: Expressions) -> str:
    items = ", ".join(f"{random.choice(WINDOWS)} AS c{n}" for n in range(random.randint(1, 3)))
    return f"SELECT k, {items} FROM input{_where(random, draw)}{_tail(random, 'k')}"


def _joined(random: Random, draw: Expressions) -> str:
    how = random.choice(["JOIN", "LEFT JOIN", "FULL JOIN"])
    on = random.choice(["a.k = b.i", "a.i = b.j", "a.k = b.k + 1", "a.c = b.c AND a.k < b.k"])
    order = " ORDER BY a.k, b.k LIMIT 7" if random.random() < 0.5 else ""
    return f"SELECT a.k AS ak, b.k AS bk, a.s, b.f FROM input a {how} input b ON {on}{order}"


def _cte(random: Random, draw: Expressions) -> str:
    inner = f"SELECT c, {draw.aggregate()} AS v FROM input GROUP BY c"
    return f"WITH w AS ({inner}) SELECT input.k, w.v, {draw.of('int', 1)} AS e FROM input JOIN w USING (c)".replace(
        " input.k", " k"
    )


def _union(random: Random, draw: Expressions) -> str:
    kind = random.choice(["int", "float", "text", "date"])
    how = random.choice(["UNION", "UNION ALL", "EXCEPT", "INTERSECT"])
    return f"SELECT {draw.of(kind)} AS v FROM input {how} SELECT {draw.of(kind)} FROM input{_where(random, draw)}"


def _distinct(random: Random, draw: Expressions) -> str:
    return f"SELECT DISTINCT {draw.any(1)} AS v, {random.choice('cbj')} AS w FROM input{_where(random, draw)}"
