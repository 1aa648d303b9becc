"""Tables of HTML beside a grid that was there first: rectangles that fill it are written as cells, and read again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from service.collectors.html import tables
from service.collectors.html.page import Page
from tests.examples import examples

TEXTS = ["", "x", "a b", "é", "0", "1,5"]
INNER = ["{}", "<b>{}</b>", " {}\n", "<p>{}</p>", "{}<script>x</script>", "<!-- c -->{}"]


@dataclass(frozen=True)
class Cell:
    """A rectangle of the grid, and what it says."""

    row: int
    column: int
    across: int
    down: int
    text: str


@st.composite
def grids(draw: st.DrawFn, width: int, most: int) -> tuple[list[list[str]], list[Cell]]:
    """Rows of texts, and the cells that they are made of."""
    height = draw(st.integers(1, most))
    taken: dict[tuple[int, int], str] = {}
    cells: list[Cell] = []
    for row in range(height):
        for column in range(width):
            if (row, column) in taken:
                continue
            across, down = draw(st.sampled_from([(1, 1), (1, 1), (2, 1), (1, 2), (2, 2), (3, 1), (1, 3)]))
            while column + across > width or any((row, column + i) in taken for i in range(across)):
                across -= 1
            down = min(down, height - row)
            said = draw(st.sampled_from(TEXTS))
            text = f"{said}{len(cells)}" if said else ""
            cells.append(Cell(row, column, across, down, text))
            taken |= {(row + d, column + a): text for d in range(down) for a in range(across)}
    return [[taken[row, column] for column in range(width)] for row in range(height)], cells


def written(draw: Callable[[st.SearchStrategy[str]], str], cells: list[Cell], height: int, tag: str) -> str:
    html = ""
    for row in range(height):
        html += "<tr>"
        for cell in sorted((c for c in cells if c.row == row), key=lambda c: c.column):
            spans = f" colspan={cell.across}" if cell.across > 1 else ""
            spans += f' rowspan="{cell.down}"' if cell.down > 1 else ""
            html += (
                f"<{tag}{spans}>"
                + draw(st.sampled_from(INNER)).format(cell.text)
                + draw(st.sampled_from(["", f"</{tag}>"]))
            )
        html += draw(st.sampled_from(["", "</tr>"]))
    return html


@examples(150)
@given(st.data())
def test_a_grid_comes_back(data: st.DataObject) -> None:
    width = data.draw(st.integers(1, 4))
    header, heads = data.draw(grids(width, 3))
    body, cells = data.draw(grids(width, 6))
    said = data.draw(st.booleans())  # whether thead says so, or th alone
    html = written(data.draw, heads, len(header), "th")
    html = f"<thead>{html}</thead><tbody>" if said else html
    html += written(data.draw, cells, len(body), "td") + data.draw(st.sampled_from(["", "<tfoot><tr><td>sum"]))
    parsed = Page(LexborHTMLParser(f"<table>{html}</table>".encode()), "")
    table = parsed.tree.css_first("table")
    assert table is not None
    names, rows = tables.read(table, parsed)
    wanted: list[str] = []
    for column in range(width):
        parts = dict.fromkeys(row[column] for row in header if row[column])
        name = unique = " ".join(parts) or f"column_{column + 1}"
        while unique in wanted:
            unique = f"{name}_{int(unique.removeprefix(name + '_')) + 1 if unique != name else 2}"
        wanted.append(unique)
    assert (names, rows) == (wanted, body)
