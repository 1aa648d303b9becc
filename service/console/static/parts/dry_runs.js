/** What a configuration would do: rows after each step of a few, and the plan of all. */

import { html, useEffect, useMemo, useState } from "preact";
import { call } from "console/api";
import { bytes, cell, count, counted } from "console/format";
import { Facts, Problem } from "console/parts/basics";
import { asJson, mediaType } from "console/parts/document";
import { SampleTable } from "console/parts/making/sample_table";
import { typeWord } from "console/parts/making/types";

const ROWS = 200;
const [BUSY, TRIES] = [1000, 10]; // milliseconds between questions to a service that is busy, and how many more

/**
 * What a route answers of a configuration, a text or a document, again when it is another: `{data, last, error, busy}`;
 * `last` is the answer before while there is no newer one. `wait` milliseconds pass first, so that typing asks once.
 */
export function useAsked(path, configuration, wait = 0) {
  const text = useMemo(() => (typeof configuration === "string" ? configuration : asJson(configuration)), [configuration]);
  const [state, setState] = useState({ data: null, last: null, error: null, busy: true });
  useEffect(() => {
    const stop = new AbortController();
    setState((before) => ({ data: null, last: before.data ?? before.last, error: before.error, busy: true }));
    let timer = null;
    const ask = (left) => call("POST", path, { body: new Blob([text]), headers: { "content-type": mediaType(text) }, signal: stop.signal }).then(
      (data) => setState({ data, last: null, error: null, busy: false }),
      (error) => {
        if (stop.signal.aborted) return;
        if (error.status === 503 && left > 0) timer = setTimeout(ask, BUSY, left - 1); // those that were asked before still run
        else setState((before) => ({ ...before, error, busy: false }));
      },
    );
    timer = setTimeout(ask, wait, TRIES);
    return () => { clearTimeout(timer); stop.abort(); };
  }, [path, text]);
  return state;
}

/** Rows after each step, of a few of each source; nothing is stored. */
export function Previewed({ text, document, onColumns }) {
  const types = (document.processors ?? []).map((step) => step.type);
  const [after, setAfter] = useState(null);
  const request = useAsked(`/pipeline/preview?rows=${ROWS}&each_step=true`, text, 300);
  const found = request.data ?? request.last;
  useEffect(() => { if (found) onColumns(found.after_steps.flatMap((step) => step.columns.map((column) => column.name))); }, [found]);
  const steps = found?.after_steps ?? [];
  const place = Math.min(after ?? steps.length - 1, steps.length - 1);
  const counts = Object.fromEntries((found?.steps ?? []).map((step) => [step.step, step]));
  const before = useMemo(() => renames(document, place - 1), [document, place]);
  return html`<section class="stack" aria-label="Preview" aria-busy=${request.busy}>
    <p class="quiet" role="status">${request.busy ? "Reading a few rows …" : found ? `${counted(found.total_rows, "row")} remain of ${count(found.rows_collected)} that were read${found.rows_rejected ? `, ${count(found.rows_rejected)} go to quarantine` : ""}. Cells that the step changed are marked.` : ""}</p>
    <${Problem} error=${request.error} />
    ${steps.length > 0 && html`<ol class="step-choice" aria-label="After step">${steps.map((step, number) => html`<li key=${step.step}><button type="button" aria-pressed=${number === place} onClick=${() => setAfter(number)}>
      <strong>${number === 0 ? "As collected" : `${number}. ${types[number - 1] ?? ""}`}</strong><span class="quiet">${flow(number === 0 ? { rows_out: step.total_rows } : counts[step.step])}</span></button></li>`)}</ol>
      <${SampleTable} label="Rows of the preview" rows=${steps[place]} earlier=${place > 0 ? steps[place - 1] : null} before=${before} profile=${place === steps.length - 1 ? found.profile.columns : []} />`}
    ${found?.warnings.map((one) => html`<div class="warning" key=${one.message}>${one.step && html`<code>${one.step}</code> `}${one.message}</div>`)}
  </section>`;
}

function flow(step) {
  if (!step) return "";
  const lost = (step.rows_in ?? step.rows_out) - step.rows_out;
  return `${counted(step.rows_out, "row")}${lost > 0 ? `, ${count(lost)} fewer` : lost < 0 ? `, ${count(-lost)} more` : ""}`;
}

/** The earlier name of a column, by the names that a step changes. */
function renames(document, step) {
  const config = document.processors?.[step]?.config ?? {};
  const back = new Map(Object.entries(config.rename_columns ?? {}).map(([from, to]) => [to, from]));
  return (name) => back.get(name) ?? name;
}

/** What a run would do, from the settings and the schemas of the sources. */
export function Planned({ text, onColumns }) {
  const request = useAsked("/pipeline/plan", text, 300);
  const plan = request.data ?? request.last;
  useEffect(() => { if (plan) onColumns([...plan.sources, ...plan.steps].flatMap((one) => (one.columns ?? one.output ?? []).map((column) => column.name))); }, [plan]);
  if (!plan) return html`<p class="quiet" role="status">${request.busy ? "Planning …" : ""}</p><${Problem} error=${request.error} />`;
  const passes = plan.passes === null ? null : plan.passes === 1 ? "once" : `${plan.passes} times at most`;
  const held = Math.max(0, ...plan.steps.map((one) => one.held_bytes ?? 0));
  return html`<section class="stack" aria-label="Plan" aria-busy=${request.busy}>
    <${Problem} error=${request.error} />
    ${plan.problems.map((one) => html`<div class="problem">${one.field && html`<code>${one.field}</code>`}<p>${one.message}</p></div>`)}
    ${plan.warnings.map((one) => html`<div class="warning">${one.step && html`<code>${one.step}</code> `}${one.message}</div>`)}
    <${Facts} facts=${[
      ["Columns", plan.columns?.length ?? "known when it has run"], passes && ["Rows are read", passes], plan.stages > 0 && ["Kept between steps", count(plan.stages)],
      plan.engine && ["Engine", plan.engine.name], ["Memory", html`${held ? bytes(held) : "small"} <span class="quiet">${plan.memory_limit_bytes ? `of ${bytes(plan.memory_limit_bytes)}` : ""}</span>`],
      plan.compared_with && ["Compared with", `version ${plan.compared_with}`],
    ]} />
    ${plan.changes?.length > 0 && html`<div class="warning"><strong>Other columns than version ${plan.compared_with}</strong>: ${plan.changes.map((one) => Object.values(one).filter(Boolean).map(cell).join(" ")).join("; ")}</div>`}
    <ol class="plan">${plan.sources.map((one) => html`<li class="card"><h3>${one.id} <span class="quiet">${one.type}${one.rows !== null ? `, ${counted(one.rows, "row")}` : ""}</span></h3>
        ${one.columns ? html`<${Columns} now=${one.columns} />` : html`<p class="quiet">${one.why}</p>`}</li>`)}
      ${plan.steps.map((one, place) => html`<li class="card"><h3>${place + 1}. ${one.type} <span class="quiet">${one.row_local === null ? "" : one.row_local ? (one.measured ? "measures all rows, then goes row by row" : "row by row") : `over all rows: ${one.operations.join(", ")}`}${one.held_bytes ? `, holds about ${bytes(one.held_bytes)}` : ""}</span></h3>
        ${one.output ? html`<${Columns} now=${one.output} before=${one.input} />` : html`<p class="quiet">${one.why}</p>`}</li>`)}</ol>
    ${plan.plan && html`<details><summary>Plan of the engine</summary><pre tabindex="0">${plan.plan}</pre></details>`}
  </section>`;
}

/** Columns with their types; against those before, only what is new, gone or of another type. */
function Columns({ now, before }) {
  const word = (column) => (column.type === null ? "type by its rows" : typeWord(column.type));
  const earlier = Object.fromEntries((before ?? []).map((column) => [column.name, column]));
  const names = new Set(now.map((column) => column.name));
  const changes = before === undefined || before === null ? null : [
    ...now.filter((column) => !(column.name in earlier)).map((column) => html`<ins>+ ${column.name} <span>${word(column)}</span></ins>`),
    ...before.filter((column) => !names.has(column.name)).map((column) => html`<del>− ${column.name}</del>`),
    ...now.filter((column) => column.name in earlier && earlier[column.name].type !== column.type).map((column) => html`<span>${column.name}: ${word(earlier[column.name])} → ${word(column)}</span>`),
  ];
  const all = html`<ul class="columns">${now.map((column) => html`<li>${column.name} <span class="quiet">${word(column)}</span></li>`)}</ul>`;
  if (changes === null) return all;
  return html`${changes.length ? html`<ul class="columns">${changes.map((one) => html`<li>${one}</li>`)}</ul>` : html`<p class="quiet">The columns stay as they are.</p>`}
    <details><summary class="plainly">All ${now.length} columns after it</summary>${all}</details>`;
}
