/** An answer as rows, as a chart or as a plan. */

import { html, useEffect, useMemo, useRef, useState } from "preact";
import { cell, count, counted, duration } from "console/format";
import { ofRows } from "console/parts/blocks";
import { Grid } from "console/parts/grid";
import { Download } from "console/parts/sql/download";
import { QuickChart } from "console/parts/sql/quick_chart";
import { explains, PLANS } from "console/parts/sql/asked";
import { setQuery } from "console/router";

const VIEWS = [["rows", "Rows"], ["chart", "Chart"], ["plan", "Plan"], ["timed", "Plan with times"]];

/** What a person hears and reads of how it went. */
export function summary(answer) {
  const isPlan = Object.hasOwn(PLANS, answer.asked.view);
  const rows = isPlan ? "The plan" : answer.truncated ? `The first ${count(answer.rows.length)} rows` : counted(answer.rows.length, "row");
  return `${rows} in ${duration(answer.milliseconds / 1000)}`;
}

export function Answer({ answer, view }) {
  const isPlan = Object.hasOwn(PLANS, answer.asked.view) || (answer.columns.length === 1 && answer.columns[0].name === "plan" && explains(answer.asked.sql ?? ""));
  return html`<section class="stack" aria-label="Answer">
    <div class="row spread"><div class="row choice" role="group" aria-label="Show as">${VIEWS.map(([name, words]) => html`<button type="button" aria-pressed=${view === name} onClick=${() => setQuery({ view: name === "rows" ? null : name }, { replace: false })}>${words}</button>`)}</div>
      ${!isPlan && html`<${Download} asked=${answer.asked} />`}</div>
    ${isPlan ? html`<${Plan} lines=${answer.rows.map((row) => cell(row.at(-1)))} timed=${view === "timed"} />` : html`
      ${answer.truncated && html`<p class="cut" role="note">There are more rows than the ${count(answer.rows.length)} here. Narrow the statement or group its rows to see all of the answer, or <${Download} asked=${answer.asked} text="download all of them" />.</p>`}
      ${view === "chart" ? html`<${QuickChart} answer=${answer} />` : html`<${Rows} answer=${answer} />`}`}
  </section>`;
}

const Plan = ({ lines, timed }) => html`<p class="quiet">${timed ? "How DuckDB answered it, with the rows and the time of each step." : "How DuckDB would answer it; numbers with ~ are estimates. Read it from the bottom up."}</p>
  <pre class="explained" tabindex="0" role="region" aria-label="Plan">${lines.join("\n")}</pre>`;

function Rows({ answer }) {
  const [open, setOpen] = useState(null);
  const source = useMemo(() => ofRows(answer.key, answer.columns, answer.rows), [answer.key]);
  if (answer.rows.length === 0) return html`<p class="empty-answer">No row fits. The columns would be ${answer.columns.map((column, place) => html`${place > 0 && ", "}<code>${column.name}</code> <span class="quiet small">${column.type}</span>`)}.</p>`;
  return html`<div class="answer" style=${{ height: `${Math.min(answer.rows.length * 28 + 70, 560)}px` }}>
      <${Grid} source=${source} label="Rows of the answer" onCell=${(row, place, values) => values && setOpen({ row, values })} /></div>
    <p class="quiet small">Enter or a double click shows a row whole; Ctrl+C copies a cell.</p>
    ${open && html`<${Row} open=${open} columns=${answer.columns} close=${() => setOpen(null)} />`}`;
}

/** A row with all its values whole. */
function Row({ open, columns, close }) {
  const dialog = useRef(null);
  useEffect(() => dialog.current.showModal(), []);
  return html`<dialog ref=${dialog} onClose=${close} aria-label=${`Row ${open.row + 1}`}>
    <header class="row spread"><h2>Row ${count(open.row + 1)}</h2><form method="dialog"><button>Close</button></form></header>
    <table><tbody>${columns.map((column, place) => html`<tr><th scope="row">${column.name}<br /><span class="quiet small">${column.type}</span></th>
      <td class="whole-text">${open.values[place] === null ? html`<span class="quiet">null</span>` : cell(open.values[place])}</td></tr>`)}</tbody></table>
  </dialog>`;
}
