/** The rows as a file: those that are shown, in one of five formats. */

import { html, useRef, useState } from "preact";
import { fetched, useAction } from "console/api";
import { bytes, count, counted } from "console/format";
import { Problem } from "console/parts/basics";
import { save } from "console/parts/save";

const MOST_JSON = 100_000;
const FORMATS = [
  ["csv", "CSV", "csv", "for spreadsheets"], ["parquet", "Parquet", "parquet", "keeps the types"], ["arrow", "Arrow", "arrow", "a stream with types"],
  ["ndjson", "JSON lines", "jsonl", "a record on each line"], ["json", "JSON", "json", `one document, ${count(MOST_JSON)} rows at most`],
];

export function Download({ name, path, query, page, columns }) {
  const dialog = useRef(null);
  const stop = useRef(null);
  const [state, setState] = useState({ format: null, bytes: 0, done: null });
  const [all, setAll] = useState(false);
  const action = useAction(async ([format, , ending]) => {
    stop.current = new AbortController();
    const limit = format === "json" ? MOST_JSON : null;
    setState({ format, bytes: 0, done: null });
    const file = `${name}-v${query.version}.${ending}`;
    const ask = () => fetched("GET", path, { query: { ...query, columns: columns && !all ? columns.join(",") : null, format, limit }, signal: stop.current.signal });
    const size = await save(ask, file, (seen) => setState({ format, bytes: seen, done: null }));
    if (size !== null) setState({ format, bytes: size, done: file });
  });
  const rows = page.total_rows;
  const open = () => {
    action.clear();
    setState({ format: null, bytes: 0, done: null });
    dialog.current.showModal();
  };
  return html`<button type="button" onClick=${open}>Download</button>
    <dialog ref=${dialog} aria-label="Download" onClose=${() => stop.current?.abort()}>
      <h2>Download ${counted(rows, "row")}</h2>
      <p>Version ${query.version}${query.filter ? ", the rows that fit the filter" : ""}${query.sort ? ", sorted as shown" : ""}, ${columns && !all ? `${counted(columns.length, "column")} of ${count(page.columns.length)}` : "all columns"}.</p>
      ${columns && html`<label class="inline"><input type="checkbox" checked=${all} onChange=${() => setAll(!all)} /> Also the columns that are not shown</label>`}
      <div class="formats">${FORMATS.map((one) => html`<button type="button" disabled=${action.busy} aria-label=${one[1]} aria-describedby=${`as-${one[0]}`} onClick=${() => action.run(one)}><strong>${one[1]}</strong> <span class="quiet small" id=${`as-${one[0]}`}>${one[3]}</span></button>`)}</div>
      ${rows > MOST_JSON && html`<p class="quiet">As JSON you get the first ${count(MOST_JSON)} rows of ${count(rows)}; the other formats have all.</p>`}
      <div role="status">${action.busy ? html`<p>${bytes(state.bytes)} so far … <button type="button" onClick=${() => stop.current?.abort()}>Stop</button></p>` : state.done && html`<p>${state.done} is saved: ${bytes(state.bytes)}.</p>`}</div>
      ${action.error?.name === "AbortError" ? html`<p class="quiet">Stopped; nothing is saved.</p>` : html`<${Problem} error=${action.error} />`}
      <form method="dialog"><button>Close</button></form>
    </dialog>`;
}
