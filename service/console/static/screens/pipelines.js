/** All pipelines: what failed first, then by name; one request, however many there are. */

import { html } from "preact";
import { post, useAction, useApi } from "console/api";
import { compact, count } from "console/format";
import { ActionButton, Empty, Loaded, Problem, Status, Time, Title } from "console/parts/basics";
import { RunBars, Sparkline } from "console/parts/drawings";
import { useFresh } from "console/parts/fresh";
import { Snippet } from "console/parts/snippet";
import { Link, setQuery, to, useLocation } from "console/router";
import { may } from "console/session";

const BAD = ["failed", "interrupted", "held"];
const GOING = ["running", "queued", "retrying"];
const KINDS = [
  ["", "All", () => true],
  ["bad", "Need a look", (item) => BAD.includes(item.status) || item.late_since !== null],
  ["going", "Running", (item) => GOING.includes(item.status)],
  ["scheduled", "Scheduled", (item) => item.cron !== null],
];

export default function Pipelines() {
  const { query } = useLocation();
  const request = useApi("/overview");
  useFresh(request);
  return html`<main id="main" aria-busy=${request.data === null && !request.error}>
    <${Title} text="Pipelines">
      <div class="row">
        <${Snippet} request=${{ path: "/overview" }} />
        ${may("operator") && html`<${Link} class="button primary" href=${to(["new"])}>New pipeline<//>`}
      </div>
    <//>
    <${Loaded} request=${request}>${(data) => (data.total === 0 ? html`<${First} />` : html`<${List} items=${data.items} query=${query} reload=${request.reload} />`)}<//>
  </main>`;
}

const First = () => html`<${Empty} title="No pipelines yet">
  <p>A pipeline collects rows from files, APIs or web pages, cleans them, and keeps each result as a version.</p>
  ${may("operator")
    ? html`<${Link} class="button primary" href=${to(["new"])}>Make the first one from a file or an address<//>`
    : html`<p>Ask an operator or an admin to make one, or to share one with you.</p>`}
<//>`;

function List({ items, query, reload }) {
  const words = (query.get("q") ?? "").toLowerCase();
  const kind = KINDS.find(([name]) => name === (query.get("show") ?? "")) ?? KINDS[0];
  const found = items.filter((item) => kind[2](item) && `${item.name} ${item.description ?? ""}`.toLowerCase().includes(words));
  const worst = (item) => (BAD.includes(item.status) ? 0 : item.late_since !== null ? 1 : 2);
  const shown = found.toSorted((a, b) => worst(a) - worst(b) || a.name.localeCompare(b.name));
  return html`
    <div class="row spread">
      <input type="search" placeholder="Search pipelines" aria-label="Search pipelines" value=${query.get("q") ?? ""}
        onInput=${(event) => setQuery({ q: event.currentTarget.value })} />
      <div class="row choice" role="group" aria-label="Show">
        ${KINDS.map(([name, text, fits]) => html`<button type="button" aria-pressed=${kind[0] === name} onClick=${() => setQuery({ show: name })}>
          ${text} <span class="quiet">${items.filter(fits).length}</span></button>`)}
      </div>
    </div>
    ${shown.length === 0 && html`<p class="quiet">No pipeline matches. <button type="button" class="plain" onClick=${() => setQuery({ q: null, show: null })}>Show all</button></p>`}
    ${shown.length > 0 && html`<div class="scroll"><table class="cards">
      <caption class="visually-hidden">Pipelines, those that need a look first</caption>
      <thead><tr><th>Name</th><th>Status</th><th>Last runs</th><th>Data from</th><th>Next run</th><th class="number">Rows</th><th>Over versions</th><th><span class="visually-hidden">Actions</span></th></tr></thead>
      <tbody>${shown.map((item) => html`<${Row} key=${item.name} item=${item} reload=${reload} />`)}</tbody>
    </table></div>`}`;
}

function Row({ item, reload }) {
  const start = useAction(async () => { await post(`/pipeline/${item.name}/execute?wait=0`); reload(); });
  const pause = useAction(async () => { await post(`/pipeline/${item.name}/schedule/${item.paused ? "resume" : "pause"}`); reload(); });
  const going = GOING.includes(item.status);
  return html`<tr>
    <td class="whole"><${Link} class="name" href=${to(["pipelines", item.name])}>${item.name}<//>
      ${item.visibility === "private" && html` <span class="tag" title="Only its owner and the admins see it">private</span>`}
      ${item.description && html`<div class="quiet clip">${item.description}</div>`}
      <${Problem} error=${start.error ?? pause.error} /></td>
    <td>${item.recent_runs[0] ? html`<${Link} class="status-link" href=${to(["runs", item.recent_runs[0].run_id])}><${Status} status=${item.status} /><//>` : html`<${Status} status=${item.status} />`}
      ${item.recent_runs[0]?.error && html`<div class="quiet mono">${item.recent_runs[0].error}</div>`}</td>
    <td><${RunBars} runs=${item.recent_runs.toReversed()} height=${24} label=${`Last runs of ${item.name}`} /></td>
    <td data-label="Data from"><${Time} at=${item.version_created} />
      ${item.late_since && html`<div class="late">late since <${Time} at=${item.late_since} /></div>`}</td>
    <td data-label="Next run">${item.paused ? html`<span class="tag">paused</span>` : html`<${Time} at=${item.next_run} />`}
      ${item.cron && html`<div class="quiet mono">${item.cron}</div>`}</td>
    <td class="number" data-label="Rows" title=${count(item.rows)}>${compact(item.rows)}</td>
    <td><${Sparkline} values=${item.recent_rows.toReversed()} label=${`Rows of ${item.name}`} /></td>
    <td><div class="row actions">${may("operator") && html`
      <${ActionButton} action=${start} disabled=${start.busy || going} aria-label=${`Run ${item.name}`}>Run<//>
      ${item.cron && html`<${ActionButton} action=${pause} aria-label=${`${item.paused ? "Resume" : "Pause"} the schedule of ${item.name}`}>${item.paused ? "Resume" : "Pause"}<//>`}`}</div></td>
  </tr>`;
}
