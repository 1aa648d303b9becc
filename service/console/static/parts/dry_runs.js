/** What a configuration would do: rows after each step of a few, and the plan of all. */

import { html, useEffect, useMemo, useState } from "preact";
import { post } from "console/api";
import { cell, count } from "console/format";
import { Facts, Problem } from "console/parts/basics";
import { ofRows } from "console/parts/blocks";
import { Grid } from "console/parts/grid";

/**
 * What a route answers of a document, again when it is another: `{data, last, error, busy}`; `last` is the answer before
 * while there is no newer one. `wait` milliseconds pass before it is asked, so that typing asks once.
 */
export function useAsked(path, document, wait = 0) {
  const key = JSON.stringify(document, (_, value) => (typeof value === "bigint" ? String(value) : value));
  const [state, setState] = useState({ data: null, last: null, error: null, busy: true });
  useEffect(() => {
    const stop = new AbortController();
    setState((before) => ({ data: null, last: before.data ?? before.last, error: before.error, busy: true }));
    const timer = setTimeout(() => post(path, document, { signal: stop.signal }).then(
      (data) => setState({ data, last: null, error: null, busy: false }),
      (error) => stop.signal.aborted || setState((before) => ({ ...before, error, busy: false })),
    ), wait);
    return () => { clearTimeout(timer); stop.abort(); };
  }, [path, key]);
  return state;
}

/** Rows after a step, of at most 200 rows of each source; nothing is stored. */
export function Previewed({ document }) {
  const steps = document.processors ?? [];
  const [after, setAfter] = useState(steps.length);
  const until = Math.min(after, steps.length);
  const request = useAsked("/pipeline/preview?rows=200", useMemo(() => ({ ...document, processors: steps.slice(0, until) }), [document, until]));
  const found = request.data;
  const source = useMemo(() => found && ofRows(`${Math.random()}`, found.columns, found.data.map((row) => found.columns.map((column) => row[column.name]))), [found]);
  const choose = (place, text) => html`<button type="button" aria-pressed=${until === place} onClick=${() => setAfter(place)}>${text}</button>`;
  return html`<section class="stack" aria-label="Preview" aria-busy=${request.busy}>
    <div class="row choice" role="group" aria-label="After step">${choose(0, "As collected")}${steps.map((step, place) => choose(place + 1, `${place + 1}. ${step.type}`))}</div>
    <p class="quiet" role="status">${request.busy ? "Reading a few rows …" : found ? `${count(found.row_count)} rows of ${count(found.rows_collected)} read${found.rows_rejected ? `, ${count(found.rows_rejected)} refused` : ""}` : ""}</p>
    <${Problem} error=${request.error} />
    ${found?.warnings.map((one) => html`<div class="warning">${one.step && html`<code>${one.step}</code> `}${one.message}</div>`)}
    ${source && html`<div class="answer"><${Grid} source=${source} label="Rows of the preview" /></div>`}
  </section>`;
}

/** What a run would do, from the settings and the schemas of the sources. */
export function Planned({ document }) {
  const request = useAsked("/pipeline/plan", document);
  const plan = request.data;
  if (!plan) return html`<p class="quiet" role="status">${request.busy ? "Planning …" : ""}</p><${Problem} error=${request.error} />`;
  const columns = (list) => (list ? list.map((column) => `${column.name} ${column.type ?? "?"}`).join(", ") : "–");
  return html`<section class="stack" aria-label="Plan">
    ${plan.problems.map((one) => html`<div class="problem">${one.field && html`<code>${one.field}</code>`}<p>${one.message}</p></div>`)}
    ${plan.warnings.map((one) => html`<div class="warning">${one.step && html`<code>${one.step}</code> `}${one.message}</div>`)}
    <${Facts} facts=${[["Rows are read", plan.passes === null ? "–" : `${plan.passes} times at most`], ["Kept between steps", count(plan.stages)], ["Columns", plan.columns?.length ?? "–"], ["Compared with version", plan.compared_with ?? "–"]]} />
    ${plan.changes?.length > 0 && html`<div class="warning">Schema changes: ${plan.changes.map((one) => Object.values(one).filter(Boolean).map(cell).join(" ")).join("; ")}</div>`}
    <div class="scroll" tabindex="0" role="region" aria-label="Steps"><table><thead><tr><th>Step</th><th>Columns after it</th><th>Of each row alone</th></tr></thead>
      <tbody>${plan.sources.map((one) => html`<tr><td><code>${one.step}</code> ${one.type}</td><td>${columns(one.columns)} ${one.why && html`<div class="quiet">${one.why}</div>`}</td><td></td></tr>`)}
        ${plan.steps.map((one) => html`<tr><td><code>${one.step}</code> ${one.type}</td><td>${columns(one.output)} ${one.why && html`<div class="quiet">${one.why}</div>`}</td><td>${one.row_local === null ? "–" : one.row_local ? "yes" : `no: ${one.operations.join(", ") || "measures all rows"}`}</td></tr>`)}</tbody></table></div>
    ${plan.plan && html`<details><summary>Plan of the engine</summary><pre tabindex="0">${plan.plan}</pre></details>`}
  </section>`;
}
