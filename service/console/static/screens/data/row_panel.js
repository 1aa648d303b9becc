/** One row with all its values, each as a whole: long ones when somebody asks. */

import { html, useEffect, useMemo, useRef, useState } from "preact";
import { exact, fetched } from "console/api";
import { cell, count } from "console/format";
import { Problem } from "console/parts/basics";
import { copy } from "console/parts/clipboard";
import { asTable } from "console/parts/grid/copied";
import { visibleLines } from "console/parts/grid/text";
import { saveText } from "console/parts/save";
import { canCompare, not, only } from "console/screens/data/conditions";
import { Panel } from "console/screens/data/panel";

const FIRST = 1000;
const MOST = 200_000; // what a page draws without standing still
const TALL = 12; // lines of a value that are not scrolled
const WIDE = 500;
const LINES = 400; // values that are drawn at once

/** Reads a row whole; what was read stays until the next one is there. */
function useRow(path, query, row) {
  const [state, setState] = useState({ row: null, values: null, error: null });
  useEffect(() => {
    const stop = new AbortController();
    fetched("GET", path, { query: { ...query, offset: row, limit: 1 }, signal: stop.signal }).then(async (answer) => exact(await answer.text()))
      .then((page) => setState({ row, page, error: null }), (error) => stop.signal.aborted || setState({ row, page: null, error }));
    return () => stop.abort();
  }, [path, JSON.stringify(query), row]);
  return state;
}

export function RowPanel({ path, query, row, cell: named, shown, total, add, go, close }) {
  const state = useRow(path, query, row);
  const [words, setWords] = useState("");
  const [told, setTold] = useState(null);
  const values = state.page?.data[0];
  const order = useMemo(() => {
    if (!state.page) return [];
    const first = shown.map((column) => column.name);
    return [...shown, ...state.page.columns.filter((column) => !first.includes(column.name))];
  }, [state.page, shown]);
  const found = order.filter((column) => column.name.toLowerCase().includes(words.toLowerCase()));
  const copyRow = async () => {
    await copy(asTable([order.map((column) => column.name), order.map((column) => values[column.name])]));
    setTold("Row copied.");
  };
  return html`<${Panel} title=${`Row ${count(row + 1)}`} detail=${`of ${count(total)}`} close=${close}>
    <div class="row"><button type="button" disabled=${row === 0} onClick=${() => go(row - 1)}>Before</button><button type="button" disabled=${row + 1 >= total} onClick=${() => go(row + 1)}>Next</button>
      <button type="button" disabled=${!values} onClick=${copyRow}>Copy row</button><span class="quiet" role="status">${told}</span></div>
    ${order.length > 20 && html`<input type="search" aria-label="Search columns" placeholder=${`Search ${count(order.length)} columns`} value=${words} onInput=${(event) => setWords(event.currentTarget.value)} />`}
    <${Problem} error=${state.error} />
    ${values && html`<dl class="record" aria-busy=${state.row !== row}>${found.slice(0, LINES).map((column) => html`<${Value} key=${`${column.name} ${state.row}`} column=${column} value=${values[column.name]} row=${row} named=${column.name === named} add=${add} />`)}</dl>`}
    ${found.length > LINES && html`<p class="quiet">${count(found.length - LINES)} more columns: search for them.</p>`}
  <//>`;
}

function Value({ column, value, row, named, add }) {
  const [all, setAll] = useState(false);
  const [told, setTold] = useState(null);
  const place = useRef(null);
  useEffect(() => { if (named) place.current.scrollIntoView({ block: "nearest" }); }, [named]);
  const text = useMemo(() => (typeof value === "object" && value !== null ? JSON.stringify(value, (_, inner) => (typeof inner === "bigint" ? (JSON.rawJSON?.(inner) ?? String(inner)) : inner), 1) : cell(value)), [value]);
  const shown = all ? text.slice(0, MOST) : text.slice(0, FIRST);
  const long = shown.length > WIDE || shown.split("\n", TALL + 1).length > TALL;
  const comparable = canCompare(column.type) && (value === null || typeof value !== "object") && text.length <= FIRST;
  const take = async () => {
    await copy(cell(value));
    setTold("Copied");
  };
  return html`<div class=${named ? "named" : ""} ref=${place}><dt>${column.name} <span class="quiet small">${column.type.toLowerCase().slice(0, 40)}</span></dt>
    <dd>${value === null ? html`<em class="quiet">null</em>` : text === "" ? html`<em class="quiet">empty text</em>` : html`<div class=${`value ${long ? "long" : ""}`} dir="auto" tabindex=${long ? 0 : null} role=${long ? "group" : null} aria-label=${long ? column.name : null}>${visibleLines(shown)}${shown.length < text.length ? "…" : ""}</div>`}
      <div class="row small">${text.length > FIRST && !all && html`<button type="button" class="plain" onClick=${() => setAll(true)}>${text.length > MOST ? `Show ${count(MOST)} of ${count(text.length)} characters` : `Show all ${count(text.length)} characters`}</button>`}
        ${text.length > FIRST && html`<button type="button" class="plain" onClick=${() => saveText(cell(value), `${column.name.replace(/[^\w.-]+/g, "_")}-${row + 1}.txt`)} aria-label=${`Save as a file: ${column.name}`}>Save as a file</button>`}
        ${comparable && html`<button type="button" class="plain" onClick=${() => add(only(column, value))} aria-label=${`Only this ${column.name}`}>Only this</button><button type="button" class="plain" onClick=${() => add(not(column, value))} aria-label=${`Not this ${column.name}`}>Not this</button>`}
        ${value !== null && value !== "" && html`<button type="button" class="plain" onClick=${take} aria-label=${`Copy ${column.name}`}>${told ?? "Copy"}</button>`}<span class="visually-hidden" role="status">${told}</span></div></dd></div>`;
}
