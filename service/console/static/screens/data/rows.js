/** The grid of a table with what belongs to it: figures in the header, the chosen cell, and a panel beside. */

import { html, useCallback, useEffect, useMemo, useRef, useState } from "preact";
import { Grid } from "console/parts/grid";
import { cells, rectangle } from "console/parts/grid/selection";
import { Menu } from "console/parts/menu";
import { setQuery } from "console/router";
import { nextSorts, plain, setFilters, setSorts } from "console/screens/data/address";
import { CellBar } from "console/screens/data/cell_bar";
import { ColumnPanel } from "console/screens/data/column_panel";
import { ColumnsPanel } from "console/screens/data/columns_panel";
import { canCompare, not, only, present, missing } from "console/screens/data/conditions";
import { Figure } from "console/screens/data/figure";
import { useFigures } from "console/screens/data/figures";
import { RowPanel } from "console/screens/data/row_panel";
import { sourceOf } from "console/screens/data/windows";

const HEAD = 76;
const REMEMBERED = 400;

export function Rows({ name, table, path, asked, filters, wanted, page, pageKey, busy, info }) {
  const shown = useMemo(() => {
    const known = new Map(page.columns.map((column) => [column.name, column]));
    const found = (wanted.columns ?? []).filter((one) => known.has(one)).map((one) => known.get(one));
    return found.length ? found : page.columns;
  }, [page, wanted.columns?.join("\n")]);
  const query = useMemo(() => JSON.parse(pageKey)[1], [pageKey]); // that of the page, which may be behind the address
  const source = useMemo(() => sourceOf(pageKey, path, query, shown, page), [pageKey, shown, page]);
  const figures = useFigures(name, table, info, page.columns);
  const [told, setChosen] = useState(null); // {choice, tools, value}
  const chosen = told && shown[told.choice.column] && told.choice.row < page.total_rows ? told : null; // of these rows and columns
  const [menu, setMenu] = useState(null);
  const start = useRef({ row: Math.min(wanted.row, Math.max(page.total_rows - 1, 0)), column: Math.max(shown.findIndex((column) => column.name === wanted.cell), 0) });
  const panelColumn = wanted.panel === "column" ? page.columns.find((column) => column.name === wanted.column) : null;

  useEffect(() => { // where somebody is belongs to the address, a moment after they came there
    if (!chosen) return undefined;
    const { row, column } = chosen.choice;
    const cell = row > 0 || column > 0 ? shown[column].name : null;
    if (Math.max(row, 0) === wanted.row && cell === wanted.cell) return undefined;
    const timer = setTimeout(() => setQuery({ row: row > 0 ? row + 1 : null, cell }), REMEMBERED);
    return () => clearTimeout(timer);
  }, [chosen?.choice.row, chosen?.choice.column, source.key]);

  const onChoice = useCallback((choice, tools, value) => setChosen({ choice, tools, value }), []);
  const open = (row, column) => (row < 0
    ? setQuery({ panel: "column", column: shown[column].name }, { replace: false })
    : setQuery({ panel: "row", row: row + 1, cell: shown[column].name }, { replace: false }));
  const close = () => {
    setQuery({ panel: null, column: null });
    chosen?.tools.focus();
  };
  const onSort = (column, also) => plain(column) && setSorts(nextSorts(wanted.sorts, column, also));
  const add = (condition) => { if (!filters.includes(condition)) setFilters([...filters, condition]); };
  const header = (column) => html`<${Figure} column=${column} figures=${figures} open=${() => setQuery({ panel: "column", column: column.name }, { replace: false })} />`;
  const act = chosen ? acts({ chosen, shown, add, open }) : [];
  const wide = wanted.panel === "row" || panelColumn || wanted.panel === "columns";
  return html`<div class=${`data-rows ${wide ? "with-aside" : ""} ${busy ? "busy" : ""}`}>
    <div class="rows-grid">
      <${Grid} source=${source} label=${`Rows of ${name}`} sorts=${wanted.sorts} onSort=${onSort} frozen=${Math.min(wanted.freeze, shown.length)} header=${header} head=${HEAD} numbers start=${start.current}
        empty=${filters.length ? "No row fits the conditions." : "This version has no rows."} onCell=${open} onChoice=${onChoice} onMenu=${(place) => setMenu(place)} />
      <${CellBar} chosen=${chosen} total=${page.total_rows} columns=${shown} all=${page.columns.length} add=${add} open=${open} panel=${wanted.panel} />
    </div>
    ${panelColumn && html`<${ColumnPanel} key=${panelColumn.name} name=${name} table=${table} column=${panelColumn} page=${page} shown=${shown} filters=${filters} wanted=${wanted} figures=${figures} info=${info} busy=${busy} close=${close} />`}
    ${wanted.panel === "columns" && html`<${ColumnsPanel} columns=${page.columns} shown=${shown} freeze=${wanted.freeze} close=${close} />`}
    ${wanted.panel === "row" && page.total_rows > 0 && html`<${RowPanel} path=${path} query=${query} row=${Math.min(chosen?.choice.row >= 0 ? chosen.choice.row : start.current.row, page.total_rows - 1)} cell=${shown[chosen?.choice.column ?? start.current.column]?.name} shown=${shown} total=${page.total_rows}
      add=${add} go=${(row) => chosen?.tools.go(row, chosen.choice.column)} close=${close} />`}
    ${menu && chosen && html`<${Menu} place=${menu} label="Cell" items=${act} close=${() => { setMenu(null); chosen.tools.focus(); }} />`}
  </div>`;
}

/** What can be done with the chosen cells, as `[text, act]`. */
function acts({ chosen: { choice, tools, value }, shown, add, open }) {
  const column = shown[choice.column];
  const { top, bottom } = rectangle(choice);
  const whole = value === null || ["string", "number", "bigint", "boolean"].includes(typeof value);
  const byValue = cells(choice) === 1 && value !== undefined && whole && canCompare(column.type);
  return [
    byValue && ["Only this value", () => add(only(column, value))],
    byValue && ["Not this value", () => add(not(column, value))],
    cells(choice) === 1 && value !== null && [`Only where ${column.name} is null`, () => add(missing(column))],
    cells(choice) === 1 && value !== null && [`Only where ${column.name} is not null`, () => add(present(column))],
    [cells(choice) === 1 ? "Copy" : "Copy the cells", () => tools.copy()],
    ["Copy with the names of the columns", () => tools.copy(true)],
    [top === bottom ? "Copy the row" : null, () => tools.copyRow(true)],
    ["Show the row", () => open(Math.max(choice.row, 0), choice.column)],
    [`Column ${column.name}`, () => open(-1, choice.column)],
  ].filter((one) => one && one[0]);
}
