/** All pipelines: what needs a look first, then by name; one request, however many there are. */

import { html, useEffect, useMemo, useState } from "preact";
import { get, post, useAction, useApi } from "console/api";
import { compact, count, duration } from "console/format";
import { ActionButton, Empty, Loaded, Problem, Status, Time, Title } from "console/parts/basics";
import { MiniBars, Sparkline } from "console/parts/drawings";
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
const FIRST = 25; // rows of the first drawing; the rest follow when it is seen
const MOST_NAMES = 50;

export default function Pipelines() {
  const { query } = useLocation();
  const request = useApi("/overview");
  useFresh(request, true, (changes) => refresh(request, changes));
  return html`<main id="main" aria-busy=${request.data === null && !request.error}>
    <${Title} text="Pipelines">
      <div class="row">
        <${Snippet} request=${{ path: "/overview" }} />
        ${may("operator") && html`<${Link} class="button primary" href=${to(["new"])}>New pipeline<//>`}
      </div>
    <//>
    <${Loaded} request=${request}>${(data) => (data.total === 0 ? html`<${First} />` : html`<${List} items=${data.items} query=${query} />`)}<//>
  </main>`;
}

/** Reads again what changed: those pipelines only, unless they are many or nobody knows which. */
async function refresh(request, changes) {
  const names = [...new Set(changes?.map((change) => change.pipeline))];
  if (changes === null || names.length > MOST_NAMES) return request.reload();
  try {
    const { items } = await get("/overview", { pipelines: names.join() });
    const others = (before) => before.items.filter((item) => !names.includes(item.name));
    request.patch((before) => ({ ...before, items: [...others(before), ...items], total: others(before).length + items.length }));
  } catch {
    request.reload();
  }
}

const First = () => html`<${Empty} title="No pipelines yet">
  <p>A pipeline collects rows from files, APIs or web pages, cleans them, and keeps each result as a version.</p>
  ${may("operator")
    ? html`<${Link} class="button primary" href=${to(["new"])}>Make the first one from a file or an address<//>`
    : html`<p>Ask an operator or an admin to make one, or to share one with you.</p>`}
  <p class="quiet">To look around first, <code>penstock demo --serve</code> shows the data of a small shop, kept apart from yours.
    The guide says <a href="/docs/guide/console">what each page is for</a>.</p>
<//>`;

function List({ items, query }) {
  const words = (query.get("q") ?? "").toLowerCase();
  const kind = KINDS.find(([name]) => name === (query.get("show") ?? "")) ?? KINDS[0];
  const [most, setMost] = useState(FIRST);
  useEffect(() => {
    const timer = setTimeout(() => setMost(Infinity), 50);
    return () => clearTimeout(timer);
  }, []);
  const shown = useMemo(() => {
    const worst = (item) => (BAD.includes(item.status) ? 0 : item.late_since !== null ? 1 : 2);
    return items.filter((item) => kind[2](item) && `${item.name} ${item.description ?? ""} ${item.owner ?? ""}`.toLowerCase().includes(words))
      .sort((a, b) => worst(a) - worst(b) || (a.name < b.name ? -1 : 1));
  }, [items, words, kind[0]]);
  return html`
    <div class="row spread">
      <input type="search" placeholder="Search pipelines ( / )" aria-label="Search pipelines" aria-keyshortcuts="/" value=${query.get("q") ?? ""}
        onInput=${(event) => setQuery({ q: event.currentTarget.value })} />
      <div class="row choice" role="group" aria-label="Show">
        ${KINDS.map(([name, text, fits]) => html`<button type="button" aria-pressed=${kind[0] === name} onClick=${() => setQuery({ show: name })}>
          ${text} <span class="quiet">${items.filter(fits).length}</span></button>`)}
      </div>
    </div>
    ${shown.length === 0 && html`<p class="quiet">No pipeline matches. <button type="button" class="plain" onClick=${() => setQuery({ q: null, show: null })}>Show all</button></p>`}
    ${shown.length > 0 && html`<div class="scroll" tabindex="0" role="region" aria-label="Pipelines"><table class="cards pipelines">
      <caption class="visually-hidden">Pipelines, those that need a look first</caption>
      <thead><tr><th>Name</th><th>Status</th><th>Last runs</th><th>Data from</th><th>Next run</th><th class="number">Rows</th><th>Over versions</th><th><span class="visually-hidden">Actions</span></th></tr></thead>
      <tbody>${shown.slice(0, most).map((item) => html`<${Row} key=${item.name} item=${item} />`)}</tbody>
    </table></div>`}`;
}

function Row({ item }) {
  const start = useAction(() => post(`/pipeline/${item.name}/execute?wait=0`));
  const pause = useAction(() => post(`/pipeline/${item.name}/schedule/${item.paused ? "resume" : "pause"}`));
  const error = start.error ?? pause.error;
  return useMemo(() => {
    const last = item.recent_runs[0];
    const going = GOING.includes(item.status);
    const status = html`<${Status} status=${item.status} />`;
    return html`<tr>
      <td class="whole"><${Link} class="name" href=${to(["pipelines", item.name])}>${item.name}<//>
        ${item.visibility === "private" && html` <span class="tag" title="Only its owner and the admins see it">private</span>`}
        ${item.description && html`<div class="quiet clip" title=${item.description}>${item.description}</div>`}
        <${Problem} error=${error} /></td>
      <td>${last ? html`<${Link} class="status-link" href=${to(["runs", last.run_id])}>${status}<//>` : status}
        ${last && html`<div class="quiet small">${going && last.label && html`<span class="tag">${last.label}</span> `}${going && last.waiting_for
          ? html`<span class="late">waits for ${last.waiting_for}</span>`
          : last.error ? html`<span class="mono">${last.error}</span>` : html`<${Time} at=${last.end_time ?? last.start_time} />`}</div>`}</td>
      <td data-label="Last runs"><${MiniBars} runs=${item.recent_runs} label=${`Last runs of ${item.name}`} />
        ${last?.duration > 0 && html`<div class="quiet small">${duration(last.duration)}</div>`}</td>
      <td data-label="Data from"><${Time} at=${item.version_created} />
        ${item.late_since && html`<div class="late">late since <${Time} at=${item.late_since} /></div>`}</td>
      <td data-label="Next run">${item.paused ? html`<span class="tag">paused</span>` : item.after.length && !item.next_run ? html`<span class="small">after ${item.after.map((name, place) => html`${place > 0 && ", "}<${Link} href=${to(["pipelines", name])}>${name}<//>`)}</span>` : html`<${Time} at=${item.next_run} />`}
        ${item.cron && html`<div class="quiet mono">${item.cron}</div>`}</td>
      <td class="number" data-label="Rows" title=${count(item.rows)}>${compact(item.rows)}</td>
      <td data-label="Over versions"><${Sparkline} values=${item.recent_rows.toReversed()} label=${`Rows of ${item.name}`} /></td>
      <td><div class="row actions">${may("operator") && html`
        ${item.cron && html`<${ActionButton} action=${pause} aria-label=${`${item.paused ? "Resume" : "Pause"} the schedule of ${item.name}`}>${item.paused ? "Resume" : "Pause"}<//>`}
        <${ActionButton} action=${start} disabled=${start.busy || going} aria-label=${`Run ${item.name}`}>Run<//>`}</div></td>
    </tr>`;
  }, [item, start.busy, pause.busy, error]);
}
