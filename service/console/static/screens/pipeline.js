/** One pipeline: what it is and how it does, and a tab for each side of it. */

import { html, useEffect, useState } from "preact";
import { post, useAction, useApi } from "console/api";
import { bytes, count, duration, percent } from "console/format";
import { ActionButton, Facts, Loaded, Problem, Status, Tabs, Time, Title } from "console/parts/basics";
import { useFresh } from "console/parts/fresh";
import { Snippet } from "console/parts/snippet";
import { go, Link, to, useLocation } from "console/router";
import { may } from "console/session";

const TABS = {
  runs: ["Runs", () => import("console/screens/pipeline/runs")],
  versions: ["Versions", () => import("console/screens/pipeline/versions")],
  profile: ["Profile", () => import("console/screens/pipeline/profile")],
  quarantine: ["Quarantine", () => import("console/screens/pipeline/quarantine")],
  lineage: ["Lineage", () => import("console/screens/pipeline/lineage")],
  configuration: ["Configuration", () => import("console/screens/pipeline/configuration")],
  access: ["Access", () => import("console/screens/pipeline/access")],
};
const GOING = ["running", "queued", "retrying"];

export default function Pipeline({ name, tab = "runs" }) {
  const { query } = useLocation();
  const status = useApi(`/pipeline/${name}/status`);
  const stats = useApi(status.data ? `/pipeline/${name}/stats` : null);
  const about = useApi(status.data ? "/overview" : null, { pipelines: name });
  const table = useApi(status.data ? "/pipeline" : null, { q: name, limit: 1000 });
  const going = GOING.includes(status.data?.status);
  const refresh = () => { for (const one of [status, stats, about]) one.reload(); };
  useFresh(status, { pipeline: name }, refresh);
  const glance = about.data?.items.find((one) => one.name === name);
  const line = table.data?.items.find((one) => one.name === name);
  return html`<main id="main" aria-busy=${status.data === null && !status.error}>
    <div class="stack">
      <${Title} text=${name}>${status.data && html`<${Actions} name=${name} status=${status.data} going=${going} refresh=${refresh} />`}<//>
      ${glance?.description && html`<p class="quiet described">${glance.description}</p>`}
    </div>
    <${Loaded} request=${status}>${(now) => html`
      <${Glance} name=${name} now=${now} stats=${stats.data} glance=${glance} table=${line?.table} going=${going} refresh=${refresh} />
      <${Tabs} label="Sides of the pipeline">${Object.entries(TABS).map(([key, [text]]) => html`
        <${Link} href=${to(["pipelines", name, key])} aria-current=${tab === key ? "page" : null}>${text}<//>`)}<//>
      <${Tab} key=${`${name}-${tab}`} name=${name} tab=${tab} query=${query} status=${now} versions=${stats.data?.versions} table=${line?.table} />`}<//>
  </main>`;
}

function Actions({ name, status, going, refresh }) {
  const start = useAction(async () => go(to(["runs", (await post(`/pipeline/${name}/execute?wait=0`)).run_id])));
  const cancel = useAction(async () => { await post(`/runs/${status.run_id}/cancel`); refresh(); });
  return html`<div class="row">
      <${Snippet} request=${{ path: `/pipeline/${name}/status` }} />
      <${Link} class="button" href=${to(["data", name])}>Data<//>
      ${may("operator") && (going
        ? html`<${ActionButton} action=${cancel} kind="danger" confirm="Cancel the run? Nothing of it is stored.">Cancel the run<//>`
        : html`<${ActionButton} action=${start} kind="primary">Run<//>`)}
    </div>
    ${(start.error ?? cancel.error) && html`<div class="whole-line"><${Problem} error=${start.error ?? cancel.error} /></div>`}`;
}

function Glance({ name, now, stats, glance, table, going, refresh }) {
  const share = (value) => html`<span class="quiet">${value}</span>`;
  return html`<${Facts} facts=${[
    ["Status", html`${now.run_id ? html`<${Link} class="status-link" href=${to(["runs", now.run_id])}><${Status} status=${now.status} /><//>` : html`<${Status} status=${now.status} />`}
      ${going && html` <${Link} href=${to(["runs", now.run_id])}>see it live<//>`}`],
    ["Data", glance?.version_created ? html`of <${Time} at=${glance.version_created} />
      ${glance.late_since && html`<div class="late">late since <${Time} at=${glance.late_since} /></div>`}` : "none yet"],
    ["Schedule", html`<${Schedule} name=${name} glance=${glance} refresh=${refresh} />`],
    now.next_run && ["Next run", html`<${Time} at=${now.next_run} />`],
    now.trigger_state && ["Starts after", triggerText(now.trigger_state)],
    ["Rows", glance?.rows == null ? "–" : html`${count(glance.rows)} ${share(bytes(glance.bytes))}`],
    stats?.total_executions > 0 && ["Runs", html`${count(stats.total_executions)} ${stats.success_rate !== null && share(`${percent(stats.success_rate)} succeed`)}`],
  ]} />
  <p class="quiet about">${[
    table && html`table <${Link} href=${to(["sql"], { sql: `SELECT * FROM "${table}" LIMIT 100` })}><code>${table}</code><//>`,
    glance && `${glance.owner === null ? "of the admins" : `owned by ${glance.owner}`}, ${glance.visibility}`,
    stats?.p50_duration != null && `usually takes ${duration(stats.p50_duration)} (95 %: ${duration(stats.p95_duration)})`,
    stats?.versions > 0 && `${bytes(stats.bytes_stored)} in ${count(stats.versions)} ${stats.versions === 1 ? "version" : "versions"}`,
  ].filter(Boolean).map((part, place) => html`${place > 0 && " · "}${part}`)}</p>
  ${now.error && html`<${Problem} error=${{ ...now.error, problems: [{ field: now.error.details?.step, message: now.error.message }] }} />
    <p><${Link} href=${to(["runs", now.run_id])}>See the run that failed<//></p>`}`;
}

const triggerText = ({ committed, awaited }) => html`${[...committed, ...awaited].map((one, place) => html`${place > 0 && ", "}<${Link} href=${to(["pipelines", one])}>${one}<//>`)}
  ${committed.length > 0 && awaited.length > 0 && html`<div class="quiet">waits for ${awaited.join(", ")}</div>`}`;

function Schedule({ name, glance, refresh }) {
  const change = useAction(async (what) => { await post(`/pipeline/${name}/schedule/${what}`); refresh(); });
  const edit = may("operator") && html`<${Link} href=${to(["pipelines", name, "configuration"])}>${glance?.cron ? "Edit" : "Set one"}<span class="visually-hidden"> in the configuration</span><//>`;
  if (!glance?.cron) return html`<span class="quiet">none</span> ${edit}`;
  const word = glance.paused ? "resume" : "pause";
  return html`<code>${glance.cron}</code> <span class="quiet">${glance.timezone}</span> ${glance.paused && html`<span class="late">paused</span>`}
    <div class="row tight">${may("operator") && html`<button type="button" class="link" disabled=${change.busy} onClick=${() => change.run(word)}>${glance.paused ? "Resume" : "Pause"}</button>`} ${edit}</div>
    <${Problem} error=${change.error} />`;
}

function Tab({ name, tab, ...rest }) {
  const [module, setModule] = useState(null);
  useEffect(() => { (Object.hasOwn(TABS, tab) ? TABS[tab] : TABS.runs)[1]().then(setModule, (error) => setModule({ error })); }, [tab]);
  if (module?.error) return html`<${Problem} error=${module.error} retry=${() => location.reload()} />`;
  return module && html`<${module.default} name=${name} ...${rest} />`;
}
