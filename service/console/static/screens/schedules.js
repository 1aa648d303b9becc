/** What starts by itself, by when it starts next. */

import { html } from "preact";
import { post, useAction, useApi } from "console/api";
import { instant } from "console/format";
import { ActionButton, Empty, Loaded, Problem, Time, Title } from "console/parts/basics";
import { useFresh } from "console/parts/fresh";
import { Snippet } from "console/parts/snippet";
import { Link, to } from "console/router";
import { may } from "console/session";

export default function Schedules() {
  const request = useApi("/schedules", { limit: 1000 });
  useFresh(request, false);
  return html`<main id="main" aria-busy=${request.data === null && !request.error}>
    <${Title} text="Schedules"><${Snippet} request=${{ path: "/schedules" }} /><//>
    <${Loaded} request=${request}>${(data) => (data.total === 0
      ? html`<${Empty} title="Nothing starts by itself"><p>A pipeline with <code>schedule</code> in its configuration, such as <code>cron: "0 6 * * *"</code>, does.</p><${Link} class="button" href=${to([])}>See the pipelines<//><//>`
      : html`<div class="scroll"><table class="cards"><caption class="visually-hidden">Schedules, the next first</caption><thead><tr><th>Pipeline</th><th>When</th><th>Next</th><th>Last</th><th><span class="visually-hidden">Actions</span></th></tr></thead>
        <tbody>${data.items.toSorted((a, b) => (a.next_fire ?? "~").localeCompare(b.next_fire ?? "~")).map((one) => html`<${Row} key=${one.name} one=${one} reload=${request.reload} />`)}</tbody></table></div>`)}<//>
  </main>`;
}

function Row({ one, reload }) {
  const change = useAction(async () => { await post(`/pipeline/${one.name}/schedule/${one.paused ? "resume" : "pause"}`); reload(); });
  return html`<tr><td class="whole"><${Link} class="name" href=${to(["pipelines", one.name])}>${one.name}<//><${Problem} error=${change.error} /></td>
    <td data-label="When"><code>${one.cron}</code> <span class="quiet">${one.timezone}</span></td>
    <td data-label="Next">${one.paused ? html`<span class="tag">paused</span>` : !one.enabled ? html`<span class="tag">not enabled</span>` : html`<${Time} at=${one.next_fire} /><div class="quiet">${instant(one.next_fire)}</div>`}</td>
    <td data-label="Last">${one.last_run_id ? html`<${Link} href=${to(["runs", one.last_run_id])}><${Time} at=${one.last_fire} /><//>` : html`<${Time} at=${one.last_fire} />`}</td>
    <td><div class="row actions">${may("operator") && html`<${ActionButton} action=${change}>${one.paused ? "Resume" : "Pause"}<//>`}</div></td></tr>`;
}
