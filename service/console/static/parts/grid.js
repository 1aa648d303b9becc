/**
 * A grid over any number of rows: only the cells in sight are in the page, and only the blocks in sight are read.
 *
 * `source` is `{key, total, columns, read(offset, limit, signal)}`; `read` resolves to rows as arrays of values. Another
 * `key` begins anew. Browsers bound the height of an element, so that beyond `TALLEST` pixels the scroll bar stands for
 * a share of the rows, and the wheel moves by rows.
 */

import { html, useEffect, useMemo, useRef, useState } from "preact";
import { cell } from "console/format";
import { Blocks } from "console/parts/blocks";

const ROW = 28;
const HEAD = 52;
const TALLEST = 8_000_000;
const LONGEST_TEXT = 300;
const NUMBER = /INT|DOUBLE|FLOAT|DECIMAL|HUGEINT/;

const isNumber = (column) => NUMBER.test(column.type.toUpperCase()) && !column.type.includes("[");

/** Widths in pixels by the names and the first rows, so that most cells show whole. */
function widths(columns, rows) {
  return columns.map((column, place) => {
    const longest = rows.slice(0, 60).reduce((most, row) => Math.max(most, Math.min(cell(row[place]).length, 40)), 0);
    return Math.round(Math.min(Math.max(column.name.length * 8.6 + 48, longest * 7.6 + 24, 72), 340));
  });
}

export function Grid({ source, label, sort, onSort, frozen = 0, onCell, header, empty = "No rows." }) {
  const box = useRef(null);
  const [view, setView] = useState({ top: 0, left: 0, height: 480, width: 1000 });
  const [active, setActive] = useState({ row: 0, column: 0 });
  const [, drawn] = useState(0);
  const blocks = useMemo(() => new Blocks(source, () => drawn((before) => before + 1)), [source.key]);
  useEffect(() => () => blocks.close(), [blocks]);
  const first = blocks.rows(0, 1) ? blocks.block(0) : [];
  const sizes = useMemo(() => widths(source.columns, first), [source.key, first.length > 0]);
  const starts = useMemo(() => sizes.reduce((all, size) => [...all, all.at(-1) + size], [0]), [sizes]);
  const total = source.total;
  const tall = Math.min(total * ROW, TALLEST);
  const room = Math.max(view.height - HEAD, ROW);
  const scale = total * ROW > TALLEST ? Math.max(total - room / ROW, 1) / (TALLEST - room) : 1 / ROW;
  const from = Math.max(0, Math.floor(view.top * scale));
  const shown = Math.ceil(room / ROW) + 1;
  const last = Math.min(total, from + shown);
  blocks.wanted(from, last);

  const look = () => {
    const element = box.current;
    if (element === null) return; // a last call of the observer
    setView({ top: element.scrollTop, left: element.scrollLeft, height: element.clientHeight, width: element.clientWidth });
  };
  useEffect(() => {
    const observer = new ResizeObserver(look);
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    const element = box.current;
    element.scrollTop = 0;
    if (scale === 1 / ROW) return undefined;
    const wheel = (event) => {
      if (event.ctrlKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) return;
      event.preventDefault();
      element.scrollTop += (event.deltaMode === 1 ? event.deltaY : event.deltaY / ROW) / scale;
    };
    element.addEventListener("wheel", wheel, { passive: false });
    return () => element.removeEventListener("wheel", wheel);
  }, [source.key, scale]);

  const columnsInSight = useMemo(() => {
    const right = view.left + view.width;
    return source.columns.map((_, place) => place).filter((place) => place < frozen || (starts[place + 1] > view.left - 200 && starts[place] < right + 200));
  }, [source.key, view.left, view.width, starts, frozen]);

  const show = (row, column) => {
    const element = box.current;
    if (row < from) element.scrollTop = row / scale;
    else if (row >= from + Math.floor(room / ROW)) element.scrollTop = (row - Math.floor(room / ROW) + 1) / scale;
    if (column >= frozen) {
      if (starts[column] - starts[frozen] < element.scrollLeft) element.scrollLeft = starts[column] - starts[frozen];
      else if (starts[column + 1] > element.scrollLeft + view.width) element.scrollLeft = starts[column + 1] - view.width;
    }
  };
  const key = (event) => {
    const page = Math.max(Math.floor(room / ROW) - 1, 1);
    const end = event.ctrlKey || event.metaKey;
    const moves = {
      ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], PageUp: [-page, 0], PageDown: [page, 0],
      Home: [end ? -total : 0, -source.columns.length], End: [end ? total : 0, source.columns.length],
    };
    if (end && event.key === "c") {
      navigator.clipboard?.writeText(cell(blocks.row(active.row)?.[active.column]));
    } else if (event.key === "Enter") {
      onCell?.(active.row, active.column, blocks.row(active.row));
    } else if (moves[event.key]) {
      event.preventDefault();
      const [down, right] = moves[event.key];
      const next = {
        row: Math.min(Math.max(active.row + down, 0), Math.max(total - 1, 0)),
        column: Math.min(Math.max(active.column + right, 0), source.columns.length - 1),
      };
      setActive(next);
      show(next.row, next.column);
    }
  };

  const style = (place) => (place < frozen
    ? { width: `${sizes[place]}px`, position: "sticky", left: `${starts[place]}px` }
    : { width: `${sizes[place]}px`, position: "absolute", left: `${starts[place]}px` });
  return html`<div class="grid" ref=${box} onScroll=${look} onKeyDown=${key} tabindex="0" role="grid" aria-label=${label}
      aria-rowcount=${total + 1} aria-colcount=${source.columns.length} aria-activedescendant=${`${source.key}-cell`.replace(/\W+/g, "-")}>
    <div class="grid-head" role="row" aria-rowindex="1" style=${{ width: `${starts.at(-1)}px`, height: `${HEAD}px` }}>
      ${columnsInSight.map((place) => html`<${Head} key=${place} column=${source.columns[place]} style=${style(place)} frozen=${place < frozen}
        place=${place} sort=${sort} onSort=${onSort} header=${header} />`)}
    </div>
    ${total === 0 && html`<p class="quiet grid-empty">${empty}</p>`}
    <div class="grid-rows" role="presentation" style=${{ width: `${starts.at(-1)}px`, height: `${tall}px` }}>
      <div role="presentation" class="grid-sight" style=${{ top: `${Math.min(scale === 1 / ROW ? from * ROW : view.top, Math.max(tall - (last - from) * ROW, 0))}px` }}>
        ${Array.from({ length: Math.max(last - from, 0) }, (_, line) => {
          const row = from + line;
          const values = blocks.row(row);
          return html`<div class="grid-row" role="row" aria-rowindex=${row + 2} key=${row} style=${{ height: `${ROW}px` }}>
            ${columnsInSight.map((place) => html`<${Cell} key=${place} value=${values?.[place]} loading=${values === undefined} number=${isNumber(source.columns[place])}
              id=${active.row === row && active.column === place ? `${source.key}-cell`.replace(/\W+/g, "-") : null} place=${place} style=${style(place)} frozen=${place < frozen}
              onClick=${() => { setActive({ row, column: place }); }} onOpen=${() => onCell?.(row, place, values)} />`)}
          </div>`;
        })}
      </div>
    </div>
    ${blocks.error && html`<p class="grid-error" role="alert">${blocks.error.message} <button type="button" onClick=${() => blocks.again()}>Try again</button></p>`}
  </div>`;
}

function Head({ column, style, frozen, place, sort, onSort, header }) {
  const direction = sort?.column === column.name ? (sort.down ? "descending" : "ascending") : null;
  const mark = direction === "ascending" ? "▲" : direction === "descending" ? "▼" : "";
  return html`<div class=${`grid-title ${frozen ? "frozen" : ""}`} role="columnheader" aria-colindex=${place + 1} aria-sort=${direction ?? "none"} style=${style}>
    ${onSort
      ? html`<button type="button" class="plain" tabindex="-1" onClick=${() => onSort(column.name)} title=${`${column.name} (${column.type}): sort`}>${column.name} ${mark}</button>`
      : html`<span title=${column.type}>${column.name}</span>`}
    ${header ? header(column) : html`<span class="quiet type">${column.type}</span>`}
  </div>`;
}

function Cell({ value, loading, number, id, place, style, frozen, onClick, onOpen }) {
  const kind = value === null ? "null" : number ? "number" : "";
  const text = cell(value);
  return html`<div class=${`grid-cell ${kind} ${id ? "active" : ""} ${frozen ? "frozen" : ""}`} role="gridcell" id=${id} aria-colindex=${place + 1}
    style=${style} onClick=${onClick} onDblClick=${onOpen}>${loading ? html`<span class="quiet">…</span>` : value === null ? "null" : text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT)}…` : text}</div>`;
}
