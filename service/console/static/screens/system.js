/** How the service is: checks, disk, queues, processes; and what an admin does: verify, back up. */

import { html, useEffect, useRef, useState } from "preact";
import { fetched, get, post, useAction } from "console/api";
import { bytes, cell, count, counted, duration, percent } from "console/format";
import { ActionButton, Facts, Problem, Progress, Time, Title } from "console/parts/basics";
import { useFresh } from "console/parts/fresh";
import { Snippet } from "console/parts/snippet";
import { may } from "console/session";

const WORDS = { catalog: "Catalog", disk: "Disk", workers: "Workers", data: "Stored data", store: "Object store", lease: "Lease", start: "Start" };
const QUEUES = { runs: "Runs", queries: "Queries", tasks: "Tasks", downloads: "Downloads" };

/** Prometheus text as `[{name, labels, value}]`. */
function samples(text) {
  return text.split("\n").filter((line) => line && !line.startsWith("#")).map((line) => {
    const [, name, labels, value] = /^([\w:]+)(?:\{(.*)\})? (\S+)/.exec(line) ?? [];
    return { name, labels: Object.fromEntries([...(labels ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map((found) => [found[1], found[2]])), value: Number(value) };
  });
}

async function read() {
  const [ready, metrics, processes] = await Promise.all([
    fetch("/health/ready").then((answer) => answer.json()),
    fetched("GET", "/metrics").then((answer) => answer.text()).then(samples),
    may("admin") ? get("/processes", { limit: 1000 }) : null,
  ]);
  return { ready, metrics, processes: processes?.items ?? null, at: new Date().toISOString() };
}

export default function System() {
  const [state, setState] = useState({ data: null, error: null });
  const [load] = useState(() => () => read().then((data) => setState({ data, error: null }), (error) => setState((before) => ({ ...before, error }))));
  useEffect(() => { load(); }, []);
  useFresh({ ...state, reload: load }, { parts: ["runs"] });
  const { data } = state;
  return html`<main id="main" aria-busy=${data === null && !state.error}>
    <${Title} text="System"><div class="row">
      ${data && html`<span class="quiet small">As of <${Time} at=${data.at} /></span>`}
      <${Snippet} request=${{ path: "/health/ready" }} /><button type="button" onClick=${load}>Look again</button></div><//>
    <${Problem} error=${state.error} retry=${load} />
    ${data && html`<${Health} ready=${data.ready} metrics=${data.metrics} />
      <div class="two"><${Disk} metrics=${data.metrics} /><${Queues} metrics=${data.metrics} /></div>
      ${data.processes && html`<${Processes} items=${data.processes} />`}
      ${may("admin") && html`<${Care} metrics=${data.metrics} />`}
      <${Figures} metrics=${data.metrics} />`}
  </main>`;
}

const all = (metrics, name) => metrics.filter((one) => one.name === name);
const one = (metrics, name) => all(metrics, name)[0]?.value ?? null;

function Health({ ready, metrics }) {
  const good = ready.status === "ready";
  const began = one(metrics, "process_start_time_seconds");
  const check = ([name, value]) => [WORDS[name] ?? name, html`<span class=${value === "ok" ? "status status-completed" : "status status-failed"}><span class="dot" aria-hidden="true"></span>${cell(value)}</span>`];
  return html`<section class="card"><div class="row"><h2>Health</h2><span class=${`status status-${good ? "completed" : "failed"}`}><span class="dot" aria-hidden="true"></span>${good ? "Ready" : "Not ready"}</span></div>
    <${Facts} facts=${[...Object.entries(ready.checks).map(check), ["Confinement of queries", ready.sandbox], ["Version", ready.version],
      ["Memory", bytes(one(metrics, "process_resident_memory_bytes"))], ["CPU time", duration(one(metrics, "process_cpu_seconds_total"))],
      began !== null && ["Started", html`<${Time} at=${new Date(began * 1000).toISOString()} />`]]} /></section>`;
}

function Disk({ metrics }) {
  const [free, size, stored] = ["disk_free", "disk_size", "stored"].map((name) => one(metrics, `penstock_${name}_bytes`));
  const used = size === null || free === null ? null : size - free;
  return html`<section class="card"><h2>Disk</h2>
    ${used !== null && html`<${Progress} value=${(used / size) * 100} label="Used share of the disk" />
      <p class="quiet">${bytes(used)} of ${bytes(size)} used (${percent(used / size)}), ${bytes(free)} free</p>`}
    <${Facts} facts=${[["Pipelines", count(one(metrics, "penstock_pipelines"))], ["Versions", count(one(metrics, "penstock_stored_versions"))],
      ["Rows", count(one(metrics, "penstock_stored_rows"))], ["Stored", bytes(stored)]]} /></section>`;
}

function Queues({ metrics }) {
  const length = (queue) => all(metrics, "penstock_queue_length").find((found) => found.labels.queue === queue)?.value ?? 0;
  const workers = (kind, state) => all(metrics, "penstock_workers").find((found) => found.labels.kind === kind && found.labels.state === state)?.value;
  const KIND = { runs: "run", queries: "query", tasks: "apply" };
  const lag = one(metrics, "penstock_schedule_lag_seconds");
  const hits = all(metrics, "penstock_limits_hit_total").filter((hit) => hit.value > 0 && hit.labels.limit !== "other");
  return html`<section class="card"><h2>Queues</h2>
    <table><caption class="visually-hidden">Queues: what waits, and workers that are busy or kept</caption><thead><tr><th>Of</th><th class="number">Wait</th><th class="number">Busy</th><th class="number">Kept</th></tr></thead>
      <tbody>${Object.entries(QUEUES).map(([queue, text]) => html`<tr><td>${text}</td><td class="number">${count(length(queue))}</td>
        ${["busy", "kept"].map((state) => html`<td class="number">${KIND[queue] ? count(workers(KIND[queue], state)) : html`<span class="quiet">–</span>`}</td>`)}</tr>`)}</tbody></table>
    ${hits.map((hit) => html`<p class="warning">The limit of ${hit.labels.limit} was reached ${hit.value === 1 ? "once" : `${count(hit.value)} times`} since the start.</p>`)}
    ${lag > 1 && html`<p class="warning">A schedule that is due waits for ${duration(lag)}.</p>`}</section>`;
}

const Processes = ({ items }) => html`<section class="card"><h2>Processes <span class="quiet">${items.length}</span></h2>
  <div class="scroll" tabindex="0" role="region" aria-label="Processes of the installation"><table class="cards"><caption class="visually-hidden">Processes of the installation</caption>
    <thead><tr><th>Process</th><th>Kind</th><th>Labels</th><th class="number">Runs</th><th>Release</th><th>Started</th><th>Seen</th></tr></thead>
    <tbody>${items.map((one) => html`<tr key=${one.id}><td class="whole"><span class="name">${one.host}</span> <span class="quiet">pid ${one.pid}</span></td>
      <td data-label="Kind">${one.kind}${one.draining && html` <span class="tag">draining</span>`}</td>
      <td data-label="Labels">${one.labels.length ? one.labels.map((label) => html`<span class="tag">${label}</span> `) : html`<span class="quiet">any run</span>`}${one.only_labelled && html` <span class="quiet small">only these</span>`}</td>
      <td class="number" data-label="Runs">${one.running} of ${one.concurrency}</td><td data-label="Release">${one.release}</td>
      <td data-label="Started"><${Time} at=${one.started} /></td><td data-label="Seen"><${Time} at=${one.last_seen} /></td></tr>`)}</tbody></table></div></section>`;

function Care({ metrics }) {
  const folder = useRef(null);
  const [last, setLast] = useState(null);
  const [found, setFound] = useState(null);
  const remember = () => get("/audit", { action: "data.verify", limit: 1 }).then(({ items }) => setLast(items[0] ?? null), () => {});
  useEffect(() => { remember(); }, []);
  const verify = useAction(async (deep) => { setFound(null); setFound({ verified: await post("/admin/verify", { deep }) }); remember(); });
  const backup = useAction(async () => { setFound(null); setFound({ backup: await post("/admin/backup", { directory: folder.current.value }) }); });
  const damaged = one(metrics, "penstock_damaged_versions");
  return html`<section class="card"><h2>Care</h2>
    <p class="quiet">Each night every stored file is read and compared with its checksum. ${damaged ? html`<strong class="late">${counted(damaged, "version")} ${damaged === 1 ? "is" : "are"} damaged.</strong>` : "Nothing is known to be damaged."}
      ${" "}${last ? html`Last verified by hand <${Time} at=${last.time} />, by ${last.actor ?? "the command line"}${last.outcome === "ok" ? "" : `: ${last.code ?? last.outcome}`}.` : "Nobody has verified by hand yet."}</p>
    <div class="row"><${ActionButton} action=${{ busy: verify.busy, run: () => verify.run(false) }}>Verify<//>
      <${ActionButton} action=${{ busy: verify.busy, run: () => verify.run(true) }}>Verify every checksum<//></div>
    <form class="row" onSubmit=${(event) => { event.preventDefault(); backup.run(); }}>
      <label class="grow">Back up to a folder of the service's machine <input ref=${folder} required placeholder="/var/backups/penstock" /></label><button class="end" disabled=${backup.busy} aria-busy=${backup.busy}>Back up</button></form>
    <p role="status" class="quiet">${verify.busy ? "Verifying …" : backup.busy ? "Backing up …" : ""}</p>
    <${Problem} error=${verify.error ?? backup.error} />
    ${found?.verified && html`<${Verified} of=${found.verified} />`}
    ${found?.backup && html`<p role="status">Backed up ${counted(found.backup.versions, "version")}, ${bytes(found.backup.bytes)}, of which ${bytes(found.backup.shared_bytes)} are shared with the backup before, to <code>${found.backup.directory}</code>.</p>`}
  </section>`;
}

const Verified = ({ of }) => html`<p role="status">${of.findings.length ? html`<strong class="late">${count(of.findings.length)} findings</strong>` : html`<span class="status status-completed"><span class="dot" aria-hidden="true"></span>All is whole</span>`}
    <span class="quiet"> in ${counted(of.versions, "version")} and ${counted(of.files, "file")}</span></p>
  ${of.findings.length > 0 && html`<ul class="problems">${of.findings.map((finding) => html`<li><span class="tag">${finding.kind}</span> <code>${finding.folder}</code> ${finding.message}</li>`)}</ul>`}`;

function Figures({ metrics }) {
  const shown = metrics.filter(({ name }) => name?.startsWith("penstock_") && !/_(bucket|created|count|sum)$/.test(name) && !/^penstock_request/.test(name));
  const value = (sample) => (/bytes/.test(sample.name) ? bytes(sample.value) : /seconds/.test(sample.name) ? duration(sample.value) : count(sample.value));
  return html`<details class="card"><summary>All figures <span class="quiet">${shown.length}, from <code>/metrics</code></span></summary><div class="scroll" tabindex="0" role="region" aria-label="Figures"><table><thead><tr><th>Figure</th><th>Of</th><th class="number">Value</th></tr></thead><tbody>${shown.map((sample) => html`<tr>
    <td>${sample.name.replace(/^penstock_/, "").replaceAll("_", " ")}</td><td class="quiet">${Object.values(sample.labels).join(", ")}</td><td class="number">${value(sample)}</td></tr>`)}</tbody></table></div></details>`;
}
