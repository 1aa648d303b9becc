/** Saves the whole answer of a statement or saved query as a file. */

import { html, useRef, useState } from "preact";
import { fetched, useAction } from "console/api";
import { bytes } from "console/format";
import { Problem } from "console/parts/basics";
import { save } from "console/parts/save";
import { request } from "console/parts/sql/asked";

const FORMATS = [["csv", "CSV"], ["parquet", "Parquet"], ["arrow", "Arrow"], ["ndjson", "JSON lines"], ["json", "JSON"]];
const MOST_OF_JSON = 100_000;

export function Download({ asked, text = "Download" }) {
  const dialog = useRef(null);
  const stop = useRef(null);
  const [seen, setSeen] = useState(0);
  const action = useAction(async (format) => {
    setSeen(0);
    stop.current = new AbortController();
    const [method, path, options] = request({ ...asked, view: "rows" }, { format, limit: format === "json" ? MOST_OF_JSON : null });
    await save(await fetched(method, path, { ...options, signal: stop.current.signal }), `${asked.saved ?? "answer"}.${format === "ndjson" ? "jsonl" : format}`, setSeen);
    dialog.current.close();
  });
  return html`<button type="button" onClick=${() => { action.clear(); dialog.current.showModal(); }}>${text}</button>
    <dialog ref=${dialog} aria-label="Download the answer" onClose=${() => stop.current?.abort()}>
      <h2>Download the answer</h2>
      <div class="row">${FORMATS.map(([format, words]) => html`<button type="button" disabled=${action.busy} onClick=${() => action.run(format)}>${words}</button>`)}</div>
      <p class="quiet" role="status">${action.busy ? `${bytes(seen)} so far …` : "The statement runs again. JSON has 100,000 rows at most; the others have all."}</p>
      ${action.error?.name !== "AbortError" && html`<${Problem} error=${action.error} />`}
      <form method="dialog"><button>${action.busy ? "Stop" : "Close"}</button></form>
    </dialog>`;
}
