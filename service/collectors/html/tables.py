"""HTML tables as rows: names from the header; a cell that spans columns or rows is repeated in each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.collectors.html.page import Page

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

MAX_COLUMNS = 2000
MAX_HEADER_ROWS = 5
_TO_THE_END = 65_534
Cells = list[str | None]
_Reaching = dict[int, tuple[int, str]]
"""By column: into how many more rows a cell reaches, and its text."""


def read(table: LexborNode, page: Page) -> tuple[list[str], list[Cells]]:
    """The column names and the rows of a table, without the rows of nested tables and of its footer.

    The header is ``thead``, else the first row, the rows that its cells span and the following rows that are all
    ``th``; several header rows are joined. Hidden rows and cells are left out, as a browser does. Every row has a cell
    for each name, None if the table has no such cell.
    """
    rows = page.shown([row for row in table.css("tr") if _nearest(row, "table") == table.mem_id], inside=table)
    in_head = [_nearest(row, "thead", until="table") is not None for row in rows]
    body = [
        r for r, head in zip(rows, in_head, strict=True) if not head and _nearest(r, "tfoot", until="table") is None
    ]
    heads = [r for r, head in zip(rows, in_head, strict=True) if head]
    if not heads:
        size = _header_rows(body)
        heads, body = body[:size], body[size:]
    header, data = _grid(heads, page), [row for row in _grid(body, page) if row]
    width = max((len(row) for row in (*header, *data)), default=0)
    names = _names(header, width)
    return names, [row + [None] * (width - len(row)) for row in data]


def _header_rows(rows: list[LexborNode]) -> int:
    """The number of header rows of a table without ``thead``."""
    if not rows:
        return 0
    size = place = 1 if _reach(rows[0]) > MAX_HEADER_ROWS else 0
    while place < len(rows) and (place < max(size, 1) or (_all_heads(rows[0]) and _all_heads(rows[place]))):
        size = max(size, place + _reach(rows[place]))
        place += 1
    return size if size < len(rows) else 1


def _reach(row: LexborNode) -> int:
    """The number of rows that its longest cell spans."""
    return max((_span(cell, "rowspan") for cell in _cells(row)), default=1)


def _all_heads(row: LexborNode) -> bool:
    cells = _cells(row)
    return bool(cells) and all(cell.tag == "th" for cell in cells)


def _cells(row: LexborNode) -> list[LexborNode]:
    return [cell for cell in row.iter() if cell.tag in ("td", "th")]


def _nearest(node: LexborNode, tag: str, until: str | None = None) -> int | None:
    """The ``mem_id`` of the closest ancestor with that tag; None if there is none before ``until``."""
    here = node.parent
    while here is not None:
        if here.tag == tag:
            return here.mem_id
        if here.tag == until:
            return None
        here = here.parent
    return None


def _grid(rows: list[LexborNode], page: Page) -> list[Cells]:
    grid: list[Cells] = []
    above: _Reaching = {}
    group: int | None = None
    for row in rows:
        inside = row.parent.mem_id if row.parent is not None else None
        if inside != group:
            group, above = inside, {}  # a cell does not reach beyond its row group
        cells: Cells = []
        below: _Reaching = {}
        for cell in _cells(row):
            if page.is_out_of_the_flow(cell):
                continue
            _fill(cells, above, below)
            content = page.text(cell)
            across, down = _span(cell, "colspan"), _span(cell, "rowspan")
            for _ in range(min(across, MAX_COLUMNS - len(cells))):
                if down > 1:
                    below[len(cells)] = (down - 1, content)
                cells.append(content)
        above = {column: cell for column, cell in above.items() if column >= len(cells)}  # the rest is overlapped
        while above:  # cells from above to the right of this row's own cells
            _fill(cells, above, below)
            if above:
                cells.append(None)
        grid.append(cells)
        above = below
    return grid


def _fill(cells: Cells, above: _Reaching, below: _Reaching) -> None:
    """Insert the cells that reach down from the rows above at the next position."""
    while len(cells) in above:
        left, content = above.pop(len(cells))
        if left > 1:
            below[len(cells)] = (left - 1, content)
        cells.append(content)


def _span(cell: LexborNode, name: str) -> int:
    given = (cell.attributes.get(name) or "").strip()
    size = int(given) if given.isascii() and given.isdigit() and len(given) < 6 else 1
    return size or (_TO_THE_END if name == "rowspan" else 1)


def _names(header: list[Cells], width: int) -> list[str]:
    names: list[str] = []
    taken: set[str] = set()
    for index in range(width):
        parts = [row[index] for row in header if index < len(row) and row[index]]
        name = " ".join(dict.fromkeys(p for p in parts if p)) or f"column_{index + 1}"
        unique, number = name, 1
        while unique in taken:
            number += 1
            unique = f"{name}_{number}"
        taken.add(unique)
        names.append(unique)
    return names
