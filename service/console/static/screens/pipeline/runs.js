/** Runs of a pipeline: bars by duration and status, and a table; page by page back to the first. */

import { html, useState } from "preact";
import { useApi } from "console/api";
import { count, counted, duration, instant } from "console/format";
import { Empty, Loaded, Status, Time } from "console/parts/basics";
import { useFresh } from "console/parts/fresh";
import { Pages } from "console/parts/pages";
import { Snippet } from "console/parts/snippet";
import { Link, setQuery, to } from "console/router";

const STATUSES = ["completed", "failed", "held", "cancelled", "interrupted", "running", "queued", "retrying"];
const SIZE = 50;
const HEIGHT = 96;

export default function Runs({ name, query }) {
  const offset = Number(query.get("offset") ?? 0);
  const status = query.get("status");
  const path = `/pipeline/${name}/runs`;
  const asked = { limit: SIZE, offset, status };
  const request = useApi(path, asked);
  useFresh(request, { pipeline: name, parts: ["runs"] });
  return html`<${Loaded} request=${request}>${(data) => (data.total === 0 && !status
    ? html`<${Empty} title="No runs yet"><p>“Run” above starts the first one.</p><//>`
    : html`
      <section class="card" aria-label="Durations"><header class="row spread"><h2>Durations <span class="quiet">oldest first</span></h2>
        <div class="row"><label class="inline">Status <select value=${status ?? ""} onChange=${(event) => setQuery({ status: event.currentTarget.value, offset: null })}>
          <option value="">all</option>${STATUSES.map((one) => html`<option>${one}</option>`)}</select></label>
          <${Snippet} request=${{ path, query: asked }} /></div></header>
        ${data.items.length > 0 ? html`<${Bars} runs=${data.items.toReversed()} />` : html`<p class="quiet">No run has this status.</p>`}</section>
      <div class="scroll" tabindex="0" role="region" aria-label="Runs"><table class="cards"><caption class="visually-hidden">Runs, newest first</caption>
        <thead><tr><th>Run</th><th>Status</th><th class="number">Took</th><th class="number">Collected</th><th class="number">Stored</th><th class="number">Refused</th><th>Version</th><th>Configuration</th><th>By</th></tr></thead>
        <tbody>${data.items.map((run) => html`<${Line} key=${run.run_id} name=${name} run=${run} />`)}</tbody></table></div>
      <${Pages} total=${data.total} offset=${offset} size=${SIZE} />`)}<//>`;
}

function Line({ name, run }) {
  return html`<tr>
    <td class="whole"><${Link} href=${to(["runs", run.run_id])}><${Time} at=${run.start_time ?? run.queued_at} /><//>
      ${run.replay_of !== null && html` <span class="tag">replay of ${run.replay_of}</span>`}
      ${run.error && html`<div class="quiet clip" title=${run.error.message}>${run.error.message}</div>`}
      ${run.waiting_for && html`<div class="late">waits for ${run.waiting_for}</div>`}</td>
    <td><${Status} status=${run.status} />${run.warnings.length > 0 && html`<div class="late">${run.warnings.length} ${run.warnings.length === 1 ? "warning" : "warnings"}</div>`}</td>
    <td class="number" data-label="Took">${duration(run.duration)}</td><td class="number" data-label="Collected">${count(run.rows_collected)}</td>
    <td class="number" data-label="Stored">${count(run.rows_stored)}</td>
    <td class="number" data-label="Refused">${run.rows_rejected > 0 && run.version !== null ? html`<${Link} href=${to(["pipelines", name, "quarantine"], { version: run.version })}>${count(run.rows_rejected)}<//>` : count(run.rows_rejected)}</td>
    <td data-label="Version">${run.version === null ? "–" : html`<${Link} href=${to(["data", name], { version: run.version })}>${run.version}<//>`}${run.unchanged && html` <span class="quiet">unchanged</span>`}</td>
    <td><${Link} href=${to(["pipelines", name, "configuration"], { revision: run.revision })}>revision ${run.revision}<//></td>
    <td data-label="By">${run.requested_by ?? html`<span class="quiet">schedule</span>`}</td></tr>`;
}

const told = (run) => `${run.status}, ${duration(run.duration)}, ${counted(run.rows_stored, "row")}, ${instant(run.start_time ?? run.queued_at)}`;

/** One stop for the tab key; the arrows go from bar to bar, and each is a link to its run. */
function Bars({ runs }) {
  const [chosen, setChosen] = useState(null);
  const [stop, setStop] = useState(runs.length - 1);
  const longest = Math.max(...runs.map((run) => run.duration ?? 0), 0.001);
  const present = [...new Set(runs.map((run) => run.status))];
  const key = (event) => {
    const next = { ArrowLeft: stop - 1, ArrowRight: stop + 1, Home: 0, End: runs.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    event.currentTarget.children[Math.min(Math.max(next, 0), runs.length - 1)].querySelector("a").focus();
  };
  return html`<figure class="durations">
    <ol aria-label="Runs by duration" onKeyDown=${key} onPointerLeave=${() => setChosen(null)}>${runs.map((run, place) => html`<li key=${run.run_id}>
      <${Link} href=${to(["runs", run.run_id])} aria-label=${told(run)} tabindex=${place === Math.min(stop, runs.length - 1) ? 0 : -1}
        onPointerEnter=${() => setChosen(place)} onFocus=${() => { setChosen(place); setStop(place); }} onBlur=${() => setChosen(null)}>
        <svg width="100%" height=${HEIGHT} aria-hidden="true"><${Bar} run=${run} size=${Math.max(4, ((run.duration ?? 0) / longest) * HEIGHT)} /></svg><//></li>`)}</ol>
    <figcaption class="row spread"><span>${chosen !== null && runs[chosen] ? told(runs[chosen]) : html`<span class="quiet">up to ${duration(longest)}</span>`}</span>
      <span class="legend">${present.map((status) => html`<${Status} status=${status} />`)}</span></figcaption>
  </figure>`;
}

const Bar = ({ run, size }) => html`<rect class=${`bar-${run.status}`} x="8%" y=${HEIGHT - size} width="84%" height=${size} rx="2" />`;
