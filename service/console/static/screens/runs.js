/** Runs of all pipelines, newest first, by what the system tables hold; they follow what happens. */

import { html, useEffect, useState } from "preact";
import { post, useAction } from "console/api";
import { count, duration, instant } from "console/format";
import { ActionButton, Empty, Loaded, Problem, Status, Time, Title } from "console/parts/basics";
import { useFresh } from "console/parts/fresh";
import { Snippet } from "console/parts/snippet";
import { Link, setQuery, to, useLocation } from "console/router";
import { may } from "console/session";

const SIZE = 100;
const COLUMNS = "run_id, pipeline, status, start_time, queued_at, duration, rows_stored, rows_rejected, version, unchanged, warnings, error_code, error_message, requested_by";
const SQL = `SELECT ${COLUMNS} FROM penstock.runs
WHERE ($status IS NULL OR status = $status) AND ($pipeline IS NULL OR contains(pipeline, $pipeline))
  AND ($hours IS NULL OR queued_at >= now() - to_hours($hours))
ORDER BY queued_at DESC, run_id DESC LIMIT $rows`;
const STATUSES = ["completed", "failed", "held", "cancelled", "interrupted", "running", "queued", "retrying"];
const GOING = ["running", "queued", "retrying"];
const TIMES = [["", "ever"], [1, "the last hour"], [24, "the last day"], [168, "the last 7 days"], [720, "the last 30 days"]];
const utc = (time) => (time ? `${time.replace(" ", "T")}Z`.replace(/Z+$/, "Z") : null);

export default function Runs() {
  const { query } = useLocation();
  const [rows, setRows] = useState(SIZE);
  const hours = Number(query.get("hours")) || null;
  const parameters = { status: query.get("status"), pipeline: query.get("q"), hours, rows };
  const body = { sql: SQL, parameters };
  const request = useQuery(body);
  useFresh(request, { parts: ["runs"] });
  const filtered = query.get("status") || query.get("q") || hours;
  const all = html`<button type="button" class="plain" onClick=${() => setQuery({ status: null, q: null, hours: null })}>Show all</button>`;
  return html`<main id="main" aria-busy=${request.data === null && !request.error}>
    <${Title} text="Runs"><${Snippet} request=${{ method: "POST", path: "/query", body }} /><//>
    <div class="row">
      <input type="search" aria-label="Search by pipeline" aria-keyshortcuts="/" placeholder="Search by pipeline ( / )" value=${query.get("q") ?? ""} onInput=${(event) => setQuery({ q: event.currentTarget.value })} />
      <${Choice} text="Status" name="status" value=${query.get("status")} choices=${[["", "all"], ...STATUSES.map((one) => [one, one])]} />
      <${Choice} text="Asked for in" name="hours" value=${hours} choices=${TIMES} />
      ${filtered && all}
    </div>
    <${Loaded} request=${request}>${({ data }) => (data.length === 0
      ? html`<${Empty} title="No runs">${filtered ? html`<p>None fits what you look for.</p>${all}` : html`<p>Runs of all pipelines will be here.</p><${Link} class="button" href=${to([])}>See the pipelines<//>`}<//>`
      : html`<div class="scroll" tabindex="0" role="region" aria-label="Runs"><table class="cards runs"><caption class="visually-hidden">Runs, newest first</caption>
        <thead><tr><th>Run</th><th>Pipeline</th><th>Status</th><th class="number">Took</th><th class="number">Rows</th><th class="number">Refused</th><th>Version</th><th>Asked for by</th><th><span class="visually-hidden">Actions</span></th></tr></thead>
        <tbody>${data.map((run) => html`<${Row} key=${run.run_id} run=${run} />`)}</tbody></table></div>
        ${data.length === rows && html`<div><button type="button" disabled=${rows >= 1000} onClick=${() => setRows(Math.min(rows * 2, 1000))}>Show older runs</button>
          ${rows >= 1000 && html` <span class="quiet">A pipeline's own page has all of its runs.</span>`}</div>`}`)}<//>
  </main>`;
}

const Choice = ({ text, name, value, choices }) => html`<label class="inline">${text} <select value=${value ?? ""} onChange=${(event) => setQuery({ [name]: event.currentTarget.value })}>
  ${choices.map(([one, shown]) => html`<option value=${one}>${shown}</option>`)}</select></label>`;

function Row({ run }) {
  const cancel = useAction(() => post(`/runs/${run.run_id}/cancel`));
  const at = utc(run.start_time ?? run.queued_at);
  return html`<tr>
    <td data-label="Run"><${Link} href=${to(["runs", run.run_id])}><${Time} at=${at} /><//><div class="quiet small">${instant(at)}</div></td>
    <td data-label="Pipeline"><${Link} class="name" href=${to(["pipelines", run.pipeline])}>${run.pipeline}<//></td>
    <td class="whole"><${Status} status=${run.status} />${run.warnings > 0 && html` <span class="late">${count(run.warnings)} ${run.warnings === 1 ? "warning" : "warnings"}</span>`}
      ${run.error_message && html`<div class="quiet small clip" title=${`${run.error_code}: ${run.error_message}`}>${run.error_message}</div>`}
      <${Problem} error=${cancel.error} /></td>
    <td class="number" data-label="Took">${duration(run.duration)}</td><td class="number" data-label="Rows">${count(run.rows_stored)}</td><td class="number" data-label="Refused">${run.rows_rejected ? count(run.rows_rejected) : html`<span class="quiet">–</span>`}</td>
    <td data-label="Version">${run.version === null ? html`<span class="quiet">–</span>` : html`<${Link} href=${to(["data", run.pipeline], { version: run.version })}>${run.version}<//>`}${run.unchanged && html` <span class="quiet small">unchanged</span>`}</td>
    <td data-label="By">${run.requested_by ?? "–"}</td>
    <td><div class="row actions">${may("operator") && GOING.includes(run.status) && html`<${ActionButton} action=${cancel} aria-label=${`Cancel the run of ${run.pipeline}`}>Cancel<//>`}</div></td></tr>`;
}

/** As `useApi`, of a query. */
function useQuery(body) {
  const key = JSON.stringify(body);
  const [state, setState] = useState({ data: null, error: null });
  const [round, setRound] = useState(0);
  const [reload] = useState(() => () => setRound((before) => before + 1));
  useEffect(() => {
    const stop = new AbortController();
    post("/query", body, { signal: stop.signal }).then((data) => setState({ data, error: null }), (error) => stop.signal.aborted || setState((before) => ({ ...before, error })));
    return () => stop.abort();
  }, [key, round]);
  return { ...state, reload };
}
