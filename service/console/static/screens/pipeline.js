/** One pipeline: a line on how it is, and a tab for each side of it. */

import { html, useEffect, useState } from "preact";
import { call, post, useAction, useApi } from "console/api";
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
  const stats = useApi(`/pipeline/${name}/stats`);
  const going = GOING.includes(status.data?.status);
  useFresh(status, { pipeline: name });
  const ended = status.data !== null && !going;
  useEffect(() => { if (ended) stats.reload(); }, [ended]);
  const start = useAction(async () => {
    const run = await post(`/pipeline/${name}/execute?wait=0`);
    go(to(["runs", run.run_id]));
  });
  const remove = useAction(async () => {
    await call("DELETE", `/pipeline/${name}`);
    go(to([]));
  });
  const missing = status.error?.status === 404;
  return html`<main id="main" aria-busy=${status.data === null && !status.error}>
    <${Title} text=${name}>
      ${!missing && html`<div class="row">
        <${Snippet} request=${{ path: `/pipeline/${name}/status` }} />
        <${Link} class="button" href=${to(["data", name])}>Data<//>
        ${may("operator") && html`<${ActionButton} action=${remove} kind="danger" confirm=${`Delete the pipeline ${name}? Its stored versions stay on disk.`}>Delete<//>
          <${ActionButton} action=${start} kind="primary" disabled=${start.busy || going}>Run<//>`}
      </div>`}
    <//>
    <${Problem} error=${start.error ?? remove.error} />
    <${Loaded} request=${status}>${(now) => html`
      <${Glance} now=${now} stats=${stats.data} />
      <${Tabs} label="Sides of the pipeline">${Object.entries(TABS).map(([key, [text]]) => html`
        <${Link} href=${to(["pipelines", name, key])} aria-current=${tab === key ? "page" : null}>${text}<//>`)}<//>
      <${Tab} key=${tab} name=${name} tab=${tab} query=${query} status=${now} />`}<//>
  </main>`;
}

function Glance({ now, stats }) {
  return html`<${Facts} facts=${[
    ["Status", now.run_id ? html`<${Link} class="status-link" href=${to(["runs", now.run_id])}><${Status} status=${now.status} /><//>` : html`<${Status} status=${now.status} />`],
    ["Last run", html`<${Time} at=${now.start_time} />`],
    now.next_run !== undefined && ["Next run", html`<${Time} at=${now.next_run} />`],
    ["Rows", count(now.rows_stored)],
    stats && ["Runs", html`${count(stats.total_executions)} <span class="quiet">${percent(stats.success_rate)} succeed</span>`],
    stats && ["Usual time", html`${duration(stats.p50_duration)} <span class="quiet">95 %: ${duration(stats.p95_duration)}</span>`],
    stats && ["Stored", html`${bytes(stats.bytes_stored)} <span class="quiet">in ${count(stats.versions)} versions</span>`],
  ]} />
  ${now.error && html`<${Problem} error=${{ ...now.error, problems: [{ field: now.error.details?.step, message: now.error.message }] }} />`}`;
}

function Tab({ name, tab, query, status }) {
  const [module, setModule] = useState(null);
  useEffect(() => { (TABS[tab] ?? TABS.runs)[1]().then(setModule, (error) => setModule({ error })); }, [tab]);
  if (module?.error) return html`<${Problem} error=${module.error} retry=${() => location.reload()} />`;
  return module && html`<${module.default} name=${name} query=${query} status=${status} />`;
}
