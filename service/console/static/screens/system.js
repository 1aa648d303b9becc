/** How the service is: checks, disk, queue, workers, requests; and what an admin does: verify, back up. */

import { html, useEffect, useRef, useState } from "preact";
import { fetched, post, useAction } from "console/api";
import { bytes, cell, count, duration } from "console/format";
import { ActionButton, Facts, Problem, Title } from "console/parts/basics";
import { Snippet } from "console/parts/snippet";
import { may } from "console/session";

/** Prometheus text as `[{name, labels, value}]`. */
function samples(text) {
  return text.split("\n").filter((line) => line && !line.startsWith("#")).map((line) => {
    const [, name, labels, value] = /^([\w:]+)(?:\{(.*)\})? (\S+)/.exec(line) ?? [];
    return { name, labels: Object.fromEntries([...(labels ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map((found) => [found[1], found[2]])), value: Number(value) };
  });
}

export default function System() {
  const [state, setState] = useState({ ready: null, metrics: [], error: null });
  const load = async () => {
    try {
      const [ready, metrics] = await Promise.all([
        fetch("/health/ready").then((answer) => answer.json()),
        fetched("GET", "/../../metrics").then((answer) => answer.text()).then(samples),
      ]);
      setState({ ready, metrics, error: null });
    } catch (error) {
      setState((before) => ({ ...before, error }));
    }
  };
  useEffect(() => {
    load();
    const timer = setInterval(() => document.hidden || load(), 10_000);
    return () => clearInterval(timer);
  }, []);
  const all = (name) => state.metrics.filter((one) => one.name === name);
  const one = (name) => all(name)[0]?.value ?? null;
  const known = state.metrics.filter((sample) => sample.name.startsWith("penstock_") && !/_(bucket|created|count|sum)$/.test(sample.name) && !/^penstock_request/.test(sample.name));
  return html`<main id="main" aria-busy=${state.ready === null && !state.error}>
    <${Title} text="System"><${Snippet} request=${{ path: "/../../health/ready" }} /><//>
    <${Problem} error=${state.error} retry=${load} />
    ${state.ready && html`<section class="card"><h2>Health <span class=${state.ready.status === "ready" ? "quiet" : "late"}>${state.ready.status}</span></h2>
      <${Facts} facts=${[...Object.entries(state.ready.checks).map(([name, value]) => [name, html`<span class=${value === "ok" ? "" : "late"}>${cell(value)}</span>`]), ["Confinement of queries", state.ready.sandbox], ["Version", state.ready.version],
        ["Memory", bytes(one("process_resident_memory_bytes"))], ["CPU", duration(one("process_cpu_seconds_total"))], ["Up", duration(Date.now() / 1000 - (one("process_start_time_seconds") ?? Date.now() / 1000))]]} /></section>`}
    ${may("admin") && html`<${Care} />`}
    ${known.length > 0 && html`<section class="card"><h2>Figures</h2><div class="scroll"><table><thead><tr><th>Figure</th><th>Of</th><th class="number">Value</th></tr></thead><tbody>${known.map((sample) => html`<tr>
      <td>${sample.name.replace(/^penstock_/, "").replaceAll("_", " ")}</td><td class="quiet">${Object.values(sample.labels).join(", ")}</td><td class="number">${/bytes/.test(sample.name) ? bytes(sample.value) : count(sample.value)}</td></tr>`)}</tbody></table></div></section>`}
  </main>`;
}

function Care() {
  const folder = useRef(null);
  const [found, setFound] = useState(null);
  const verify = useAction(async (deep) => setFound({ verified: await post("/admin/verify", { deep }) }));
  const backup = useAction(async () => setFound({ backup: await post("/admin/backup", { directory: folder.current.value }) }));
  const problems = found?.verified?.problems ?? found?.verified?.findings ?? [];
  return html`<section class="card"><h2>Care</h2>
    <div class="row"><${ActionButton} action=${{ busy: verify.busy, run: () => verify.run(false) }}>Verify<//><${ActionButton} action=${{ busy: verify.busy, run: () => verify.run(true) }}>Verify every checksum<//>
      <form class="row" onSubmit=${(event) => { event.preventDefault(); backup.run(); }}><label class="inline">Back up to <input ref=${folder} required placeholder="/var/backups/penstock" /></label><button disabled=${backup.busy}>Back up</button></form></div>
    <p role="status" class="quiet">${verify.busy ? "Verifying …" : backup.busy ? "Backing up …" : ""}</p>
    <${Problem} error=${verify.error ?? backup.error} />
    ${found?.verified && html`<p>${problems.length ? `${problems.length} findings` : "All is whole."} ${Object.entries(found.verified).filter(([, value]) => typeof value === "number").map(([name, value]) => `${count(value)} ${name.replaceAll("_", " ")}`).join(", ")}</p><ul>${problems.map((one) => html`<li>${one.message ?? cell(one)}</li>`)}</ul>`}
    ${found?.backup && html`<p>Backed up: ${count(found.backup.versions)} versions, ${bytes(found.backup.bytes)}, ${bytes(found.backup.shared_bytes)} of them shared with the backup before, in <code>${found.backup.directory}</code>.</p>`}
  </section>`;
}
