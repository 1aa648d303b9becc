/** Runs of all pipelines, newest first, by what the system tables hold. */

import { html, useEffect, useState } from "preact";
import { post } from "console/api";
import { count, duration, instant } from "console/format";
import { Empty, Loaded, Status, Time, Title } from "console/parts/basics";
import { useFresh } from "console/parts/fresh";
import { Snippet } from "console/parts/snippet";
import { Link, setQuery, to, useLocation } from "console/router";

const MOST = 200;
const COLUMNS = "run_id, pipeline, status, start_time, queued_at, duration, rows_stored, rows_rejected, version, error_code, error_message, requested_by";
const SQL = `SELECT ${COLUMNS} FROM penstock.runs WHERE ($status IS NULL OR status = $status) AND ($pipeline IS NULL OR contains(pipeline, $pipeline)) ORDER BY queued_at DESC LIMIT ${MOST}`;
const STATUSES = ["completed", "failed", "held", "cancelled", "interrupted", "running", "queued", "retrying"];

export default function Runs() {
  const { query } = useLocation();
  const parameters = { status: query.get("status"), pipeline: query.get("q") };
  const body = { sql: SQL, parameters };
  const request = useQuery(body);
  useFresh(request);
  return html`<main id="main" aria-busy=${request.data === null && !request.error}>
    <${Title} text="Runs"><${Snippet} request=${{ method: "POST", path: "/query", body }} /><//>
    <div class="row"><input type="search" aria-label="Search by pipeline" placeholder="Search by pipeline" value=${query.get("q") ?? ""} onChange=${(event) => setQuery({ q: event.currentTarget.value })} />
      <label class="inline">Status <select value=${query.get("status") ?? ""} onChange=${(event) => setQuery({ status: event.currentTarget.value })}><option value="">all</option>${STATUSES.map((one) => html`<option>${one}</option>`)}</select></label></div>
    <${Loaded} request=${request}>${(data) => (data.data.length === 0
      ? html`<${Empty} title="No runs"><p>${query.get("status") || query.get("q") ? "None fits what you look for." : "Runs of all pipelines will be here."}</p><//>`
      : html`<div class="scroll"><table class="cards"><caption class="visually-hidden">Runs, newest first</caption>
        <thead><tr><th>Run</th><th>Pipeline</th><th>Status</th><th class="number">Took</th><th class="number">Rows</th><th class="number">Refused</th><th>Version</th><th>Asked for by</th></tr></thead>
        <tbody>${data.data.map((run) => html`<tr key=${run.run_id}>
          <td><${Link} href=${to(["runs", run.run_id])}><${Time} at=${run.start_time ?? run.queued_at} /><//></td>
          <td><${Link} class="name" href=${to(["pipelines", run.pipeline])}>${run.pipeline}<//></td>
          <td><${Status} status=${run.status} />${run.error_message && html`<div class="quiet clip" title=${run.error_message}>${run.error_message}</div>`}</td>
          <td class="number" data-label="Took">${duration(run.duration)}</td><td class="number" data-label="Rows">${count(run.rows_stored)}</td><td class="number" data-label="Refused">${count(run.rows_rejected)}</td>
          <td data-label="Version">${run.version ?? "–"}</td><td data-label="By">${run.requested_by ?? "–"}</td></tr>`)}</tbody></table></div>
        ${data.data.length === MOST && html`<p class="quiet">The newest ${MOST}; a pipeline's own page has all of its runs.</p>`}`)}<//>
  </main>`;
}

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
