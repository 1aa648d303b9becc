/** Runs of a pipeline: bars of the newest by duration and status, and all in a table. */

import { html } from "preact";
import { useApi } from "console/api";
import { count, duration, instant } from "console/format";
import { Empty, Loaded, Status, Time } from "console/parts/basics";
import { RunBars } from "console/parts/drawings";
import { useFresh } from "console/parts/fresh";
import { Pages } from "console/parts/pages";
import { Link, setQuery, to } from "console/router";

const STATUSES = ["completed", "failed", "held", "cancelled", "interrupted", "running"];
const SIZE = 50;

export default function Runs({ name, query }) {
  const offset = Number(query.get("offset") ?? 0);
  const status = query.get("status");
  const request = useApi(`/pipeline/${name}/runs`, { limit: SIZE, offset, status });
  useFresh(request, { pipeline: name, parts: ["runs"] });
  return html`<${Loaded} request=${request}>${(data) => (data.total === 0 && !status
    ? html`<${Empty} title="No runs yet"><p>“Run” above starts the first one.</p><//>`
    : html`
      <div class="row spread"><${RunBars} runs=${data.items.toReversed()} />
        <label class="inline">Status <select value=${status ?? ""} onChange=${(event) => setQuery({ status: event.currentTarget.value, offset: null })}>
          <option value="">all</option>${STATUSES.map((one) => html`<option>${one}</option>`)}</select></label></div>
      <div class="scroll"><table class="cards"><caption class="visually-hidden">Runs, newest first</caption>
        <thead><tr><th>Run</th><th>Status</th><th class="number">Took</th><th class="number">Collected</th><th class="number">Stored</th><th class="number">Refused</th><th>Version</th><th>Asked for by</th></tr></thead>
        <tbody>${data.items.map((run) => html`<tr key=${run.run_id}>
          <td class="whole"><${Link} href=${to(["runs", run.run_id])}><${Time} at=${run.start_time ?? run.queued_at} /><//> <span class="quiet">${instant(run.start_time)}</span>
            ${run.error && html`<div class="quiet clip" title=${run.error.message}>${run.error.message}</div>`}</td>
          <td><${Status} status=${run.status} />${run.warnings.length > 0 && html` <span class="late">${run.warnings.length} ${run.warnings.length === 1 ? "warning" : "warnings"}</span>`}</td>
          <td class="number" data-label="Took">${duration(run.duration)}</td><td class="number" data-label="Collected">${count(run.rows_collected)}</td>
          <td class="number" data-label="Stored">${count(run.rows_stored)}</td><td class="number" data-label="Refused">${count(run.rows_rejected)}</td>
          <td data-label="Version">${run.version === null ? "–" : html`<${Link} href=${to(["data", name], { version: run.version })}>${run.version}<//>`}${run.unchanged && html` <span class="quiet">unchanged</span>`}</td>
          <td data-label="By">${run.requested_by ?? "–"}</td></tr>`)}</tbody></table></div>
      <${Pages} total=${data.total} offset=${offset} size=${SIZE} />`)}<//>`;
}
