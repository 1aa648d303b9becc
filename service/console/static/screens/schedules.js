/** What starts by itself: by the clock, the next first, and after the versions of others. */

import { html } from "preact";
import { post, useAction, useApi } from "console/api";
import { instant } from "console/format";
import { ActionButton, Empty, Loaded, Problem, Time, Title } from "console/parts/basics";
import { useFresh } from "console/parts/fresh";
import { Snippet } from "console/parts/snippet";
import { Link, setQuery, to, useLocation } from "console/router";
import { may } from "console/session";

const MISFIRE = { run_once: "one run makes up for them", skip: "they are left out" };

export default function Schedules() {
  const { query } = useLocation();
  const schedules = useApi("/schedules", { limit: 1000 });
  const pipelines = useApi("/pipeline", { limit: 1000 });
  useFresh(schedules, { parts: ["pipeline", "schedule", "runs"] });
  useFresh(pipelines, { parts: ["pipeline"] });
  const words = (query.get("q") ?? "").toLowerCase();
  return html`<main id="main" aria-busy=${schedules.data === null && !schedules.error}>
    <${Title} text="Schedules"><${Snippet} request=${{ path: "/schedules" }} /><//>
    <${Loaded} request=${schedules}>${(data) => {
      const triggered = (pipelines.data?.items ?? []).filter((item) => item.after?.length);
      const fits = (item) => item.name.toLowerCase().includes(words);
      const clock = data.items.filter(fits).sort((a, b) => (a.next_fire ?? "~").localeCompare(b.next_fire ?? "~"));
      if (data.total === 0 && triggered.length === 0) return html`<${Empty} title="Nothing starts by itself"><p>A pipeline with <code>schedule</code> in its configuration, such as <code>cron: "0 6 * * *"</code>, does.</p><${Link} class="button" href=${to([])}>See the pipelines<//><//>`;
      return html`<div class="row"><input type="search" aria-label="Search schedules" aria-keyshortcuts="/" placeholder="Search schedules ( / )" value=${query.get("q") ?? ""} onInput=${(event) => setQuery({ q: event.currentTarget.value })} /></div>
        ${data.total > 0 && html`<section class="stack"><h2>By the clock <span class="quiet">${clock.length}</span></h2>
          <div class="scroll" tabindex="0" role="region" aria-label="Schedules"><table class="cards schedules"><caption class="visually-hidden">Schedules, the next first</caption><thead><tr><th>Pipeline</th><th>When</th><th>Next</th><th>Last</th><th>Missed times</th><th><span class="visually-hidden">Actions</span></th></tr></thead>
          <tbody>${clock.map((one) => html`<${Row} key=${one.name} one=${one} />`)}</tbody></table></div></section>`}
        ${triggered.length > 0 && html`<section class="stack"><h2>After others <span class="quiet">${triggered.filter(fits).length}</span></h2>
          <div class="scroll" tabindex="0" role="region" aria-label="Pipelines that start after others"><table class="cards"><caption class="visually-hidden">Pipelines that start after others</caption><thead><tr><th>Pipeline</th><th>Starts after a new version of</th></tr></thead>
          <tbody>${triggered.filter(fits).map((item) => html`<tr key=${item.name}><td class="whole"><${Link} class="name" href=${to(["pipelines", item.name])}>${item.name}<//></td>
            <td class="whole" data-label="After"><span class="row">${item.after.map((name) => html`<${Link} href=${to(["pipelines", name])}>${name}<//>`)}</span></td></tr>`)}</tbody></table></div></section>`}`;
    }}<//>
  </main>`;
}

function Row({ one }) {
  const change = useAction(() => post(`/pipeline/${one.name}/schedule/${one.paused ? "resume" : "pause"}`));
  const text = one.paused ? "Resume" : "Pause";
  return html`<tr><td class="whole"><${Link} class="name" href=${to(["pipelines", one.name])}>${one.name}<//><${Problem} error=${change.error} /></td>
    <td data-label="When"><code>${one.cron}</code><div class="quiet small">${one.timezone}</div></td>
    <td data-label="Next">${one.paused ? html`<span class="tag">paused</span>` : !one.enabled ? html`<span class="tag" title="enabled: false in the configuration">not enabled</span>` : html`<${Time} at=${one.next_fire} /><div class="quiet small">${instant(one.next_fire)}</div>`}</td>
    <td data-label="Last">${one.last_run_id ? html`<${Link} href=${to(["runs", one.last_run_id])}><${Time} at=${one.last_fire} /><//>` : html`<${Time} at=${one.last_fire} />`}</td>
    <td data-label="Missed" class="quiet">${MISFIRE[one.misfire] ?? one.misfire}</td>
    <td><div class="row actions">${may("operator") && html`<${ActionButton} action=${change} aria-label=${`${text} the schedule of ${one.name}`}>${text}<//>`}</div></td></tr>`;
}
