/**
 * A grid over any number of rows: only the cells in sight are in the page, and only the blocks in sight are read.
 *
 * `source` is `{key, total, columns, read(offset, limit, signal, places)}`; `read` resolves to rows as arrays of values.
 * Another `key` reads anew, other `rows` (the key, unless given) begin at the first one. With `span` at most so many columns are read at once, which `places` names; `whole(offset,
 * limit, places)` reads values that are cut otherwise; `sample` is rows by which columns are measured.
 *
 * `onCell(row, column, values)` is Enter or a double click, on the header with row −1; `onChoice(choice, tools)` tells
 * what is chosen, with `tools` that copy it and go to a cell; `onMenu(event, choice)` asks for a menu there.
 */

import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact";
import { Blocks } from "console/parts/blocks";
import { copy } from "console/parts/clipboard";
import { MOST_CELLS, textOf } from "console/parts/grid/copied";
import { Head } from "console/parts/grid/head";
import { Lines } from "console/parts/grid/lines";
import { useDrag } from "console/parts/grid/pointer";
import { at, cells, drawn, moved, rectangle } from "console/parts/grid/selection";
import { ROW } from "console/parts/grid/scale";
import { useSight } from "console/parts/grid/sight";
import { widths } from "console/parts/grid/sizes";
import { count } from "console/format";

const HEAD = 52;
const NARROW = 480; // a telephone has no room for the numbers of rows
const ASIDE = 8; // rows that are drawn beyond the edges

export function Grid({ source, label, sort, sorts = sort ? [sort] : [], onSort, frozen = 0, onCell, onChoice, onMenu, header, head = HEAD, numbers = false, start = null, empty = "No rows." }) {
  const box = useRef(null);
  const { columns, total } = source;
  const [choice, setChoice] = useState(() => at(start?.row ?? 0, start?.column ?? 0));
  const [told, setTold] = useState(null);
  const [, draw] = useState(0);
  const blocks = useMemo(() => new Blocks(source, () => draw((before) => before + 1)), [source.key]);
  useEffect(() => () => blocks.close(), [blocks]);
  const { view, scale, room, look, show, top, scrollBy } = useSight(box, total, head, source.rows ?? source.key, start?.row ?? 0);

  const gutter = numbers && view.width > NARROW ? 20 + String(total).length * 8 : 0;
  const begun = total > 0 && blocks.begun([0]);
  const sizes = useMemo(() => widths(columns, (row, place) => blocks.value(row, place) ?? source.sample?.[row]?.[place], ...(header ? [60, 136] : [36, 72])), [source.key, begun]);
  const starts = useMemo(() => sizes.reduce((all, size) => [...all, all.at(-1) + size], [gutter]), [sizes, gutter]);
  const fixed = starts[frozen] < view.width * 0.7 ? frozen : 0; // on a telephone frozen columns would leave no room
  const places = useMemo(() => columns.map((_, place) => place)
    .filter((place) => place < fixed || (starts[place + 1] > view.left + starts[fixed] - 200 && starts[place] < view.left + view.width + 200)), [source.key, view.left, view.width, starts, fixed]);
  const from = Math.max(0, Math.floor(view.first) - ASIDE);
  const last = Math.min(total, Math.ceil(view.first + room / ROW) + ASIDE);
  blocks.wanted(from, last, places);

  const choose = (next, visibly = true) => {
    setChoice(next);
    setTold(null);
    if (visibly) bring(next.row, next.column);
  };
  const bring = (row, column) => {
    if (row >= 0) show(row);
    if (column < fixed) return;
    const element = box.current;
    if (starts[column] < element.scrollLeft + starts[fixed]) element.scrollLeft = starts[column] - starts[fixed];
    else if (starts[column + 1] > element.scrollLeft + view.width) element.scrollLeft = starts[column + 1] - view.width;
  };
  const copyChoice = async (named = false, area = rectangle(choice)) => {
    const many = (area.bottom - area.top + 1) * (area.right - area.left + 1);
    if (area.top < 0) return;
    if (many > MOST_CELLS) return setTold(`A copy holds ${count(MOST_CELLS)} cells, these are ${count(many)}. Choose fewer, or download the rows.`);
    try {
      await copy(textOf(source, blocks, area, named));
      setTold(many === 1 ? "Copied." : `${count(many)} cells copied.`);
    } catch (error) {
      setTold(error.message);
    }
  };
  const line = ({ row }) => ({ top: row, bottom: row, left: 0, right: columns.length - 1 });
  const tools = { copy: copyChoice, copyRow: (named) => copyChoice(named, line(choice)), go: (row, column) => { choose(at(row, column)); box.current.focus({ preventScroll: true }); }, focus: () => box.current?.focus({ preventScroll: true }) };
  const value = choice.row < 0 ? undefined : blocks.value(choice.row, choice.column);
  useEffect(() => { if (columns[choice.column]) onChoice?.(choice, tools, value); }, [choice, source.key, value]);
  const was = useRef({ rows: source.rows ?? source.key, name: null });
  useLayoutEffect(() => { // the same column of other rows; the same row of other columns
    const rows = source.rows ?? source.key;
    const same = columns.findIndex((column) => column.name === was.current.name);
    const column = same < 0 ? Math.max(Math.min(choice.column, columns.length - 1), 0) : same;
    const row = rows === was.current.rows ? Math.max(Math.min(choice.row, total - 1), -1) : Math.min(choice.row, 0);
    was.current.rows = rows;
    if (row !== choice.row || column !== choice.column || cells(choice) > 1) setChoice(at(row, column));
  }, [source.key]);
  useLayoutEffect(() => { was.current.name = columns[choice.column]?.name; }, [choice.column]);

  const open = (row, column) => onCell?.(row, column, blocks.row(row));
  const key = (event) => {
    if (event.target !== box.current) return;
    const held = event.ctrlKey || event.metaKey;
    const next = moved(event, choice, { total, columns: columns.length, page: Math.max(Math.floor(room / ROW) - 1, 1), header: onSort !== undefined });
    const acts = {
      Enter: () => open(choice.row, choice.column),
      Escape: () => setChoice(at(choice.row, choice.column)),
      ContextMenu: () => onMenu?.(placed(event), choice),
      F10: () => event.shiftKey && onMenu?.(placed(event), choice),
      a: () => held && total > 0 && choose({ row: total - 1, column: columns.length - 1, fromRow: 0, fromColumn: 0 }, false),
      c: () => held && copyChoice(),
      " ": () => (choice.row < 0 ? onSort(columns[choice.column].name, event.shiftKey) : event.shiftKey ? choose({ ...choice, fromRow: choice.row, column: columns.length - 1, fromColumn: 0 }, false) : held && choose({ row: total - 1, fromRow: 0, column: choice.column, fromColumn: choice.column }, false)),
    };
    if (next) choose(event.shiftKey && next.row >= 0 && choice.row >= 0 ? drawn(choice, next.row, next.column) : at(next.row, next.column));
    else if (!acts[event.key] || ((event.key === "a" || event.key === "c") && !held) || (event.key === "F10" && !event.shiftKey) || (event.key === "Escape" && cells(choice) === 1)) return;
    else acts[event.key]();
    event.preventDefault();
  };
  /** Where a menu belongs that was asked for by key: at the cell. */
  const placed = () => {
    const cell = box.current.querySelector(".active")?.getBoundingClientRect() ?? box.current.getBoundingClientRect();
    return { x: cell.left + 8, y: Math.min(cell.bottom, innerHeight - 80) };
  };
  const pointer = useDrag({ box, head, starts, fixed, gutter, total, first: view.first, room, columns: columns.length, choice, choose, open, scrollBy, onMenu });

  const name = useMemo(() => `cell-${Math.random().toString(36).slice(2)}`, []);
  const inSight = choice.row < 0 || (choice.row >= from && choice.row < last);
  const style = (place) => (place < fixed
    ? { width: `${sizes[place]}px`, position: "sticky", left: `${starts[place]}px` }
    : { width: `${sizes[place]}px`, position: "absolute", left: `${starts[place]}px` });
  const shared = { columns, places, fixed, style, choice, name, gutter };
  return html`<div class="grid-box"><div class="grid" ref=${box} onScroll=${look} onKeyDown=${key} ...${pointer} tabindex="0" role="grid" aria-label=${label} aria-multiselectable="true"
      aria-rowcount=${total + 1} aria-colcount=${columns.length} aria-activedescendant=${inSight && places.includes(choice.column) ? name : null}>
    <${Head} ...${shared} width=${starts.at(-1)} height=${head} sorts=${sorts} onSort=${onSort} header=${header} onOpen=${onCell && header ? (place) => open(-1, place) : null} />
    ${total === 0 && html`<p class="quiet grid-empty">${empty}</p>`}
    <div class="grid-rows" role="presentation" style=${{ width: `${starts.at(-1)}px`, height: `${scale.tall}px` }}>
      <${Lines} ...${shared} blocks=${blocks} from=${from} last=${last} top=${scale.whole ? from * ROW : Math.min(top + (from - view.first) * ROW, scale.tall - (last - from) * ROW)} />
    </div>
    ${blocks.error && html`<p class="grid-error" role="alert">${blocks.error.message} <button type="button" onClick=${() => blocks.again()}>Try again</button></p>`}
  </div><p class="grid-told" role="status">${told}</p></div>`;
}
