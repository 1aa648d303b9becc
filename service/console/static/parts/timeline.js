/** The steps of a run over its time: when each began and ended, its rows in and out, and what its collector found. */

import { html, useEffect, useState } from "preact";
import { bytes, count, counted, duration, NONE } from "console/format";
import { Link, to } from "console/router";

const KINDS = { collectors: "Collect", processors: "Process", storage: "Store" };
const PLACE = /^(collectors|processors|storage)\[(\d+)\]$/;

/** The present time in milliseconds, each second while `ticking` and somebody looks. */
export function useNow(ticking) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    if (!ticking) return undefined;
    const timer = setInterval(() => document.hidden || setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [ticking]);
  return now;
}

/** A step in words, with what the configuration says that it is: "Collect 1" and "csv orders.csv". */
function wordsOf(step, document) {
  const found = PLACE.exec(step);
  if (!found) return [step.charAt(0).toUpperCase() + step.slice(1), ""];
  const what = document?.[found[1]]?.[Number(found[2])];
  const from = what?.file_path ?? what?.endpoint ?? what?.url ?? (what?.type === "pipeline" ? what.name : null);
  return [`${KINDS[found[1]]} ${Number(found[2]) + 1}`, [what?.type, Array.isArray(from) ? from.join(", ") : from].filter(Boolean).join(" ")];
}

export function Timeline({ run, going, document }) {
  const now = useNow(going);
  const begin = new Date(run.start_time ?? run.queued_at).getTime();
  const end = run.end_time ? new Date(run.end_time).getTime() : now;
  const span = Math.max(end - begin, 1);
  const place = (time) => Math.min(100, Math.max(0, ((new Date(time).getTime() - begin) / span) * 100));
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Steps"><table class="timeline cards">
    <caption class="visually-hidden">Steps</caption>
    <thead><tr><th>Step</th><th class="number">Rows in</th><th class="number">Rows out</th><th class="number">Read</th><th class="number">Written</th><th class="number">Took</th><th class="over"><span class="row spread"><span>0</span><span>${duration(span / 1000)}</span></span></th></tr></thead>
    <tbody>${run.steps.map((step) => html`<${Step} key=${step.step} run=${run} step=${step} document=${document} from=${step.started ? place(step.started) : null} until=${step.ended ? place(step.ended) : 100} span=${span} now=${now} />`)}</tbody>
  </table></div>`;
}

function Step({ run, step, document, from, until, span, now }) {
  const [word, what] = wordsOf(step.step, document);
  const warnings = run.warnings.filter((one) => one.step === step.step).length;
  const took = step.ended || !step.started ? step.duration : Math.max((now - new Date(step.started).getTime()) / 1000, 0);
  return html`<tr>
    <td class="whole"><strong>${word}</strong>${what && html` <span class="clip" title=${what}>${what}</span>`} ${PLACE.test(step.step) && html`<${Link} class="quiet" href=${to(["pipelines", run.pipeline, "configuration"], { revision: run.revision, at: step.step })}><code>${step.step}</code><//>`}
      ${!step.ended && step.started && !run.end_time && html`<div class="now"><progress max="1" value=${step.fraction ?? null} aria-label=${`Progress of ${step.step}`}></progress> <span class="quiet">${step.rows_per_second ? `${count(Math.round(step.rows_per_second))} rows/s` : ""}</span></div>`}
      ${step.stages.length > 0 && html`<div class="quiet">kept ${step.stages.map((one) => `${counted(one.rows, "row")} in ${one.place === "memory" ? "memory" : `a ${one.place}`} (${bytes(one.bytes)})`).join(", ")}</div>`}
      ${warnings > 0 && html`<div class="late">${warnings} ${warnings === 1 ? "warning" : "warnings"}</div>`}
      ${step.evidence && html`<${Evidence} found=${step.evidence} />`}</td>
    <td class="number" data-label="In">${count(step.rows_in)}</td>
    <td class="number" data-label="Out">${count(step.rows_out)}</td>
    <td class="number" data-label="Read">${step.bytes_read === null ? NONE : bytes(step.bytes_read)}</td>
    <td class="number" data-label="Written">${step.bytes_written === null ? NONE : bytes(step.bytes_written)}</td>
    <td class="number" data-label="Took">${duration(took)}</td>
    <td class="over whole">${from !== null && html`<svg width="100%" height="14" preserveAspectRatio="none" viewBox="0 0 100 14" role="img" aria-label=${`${duration(((from / 100) * span) / 1000)} to ${duration(((until / 100) * span) / 1000)}`}>
      <rect class="track" width="100" y="2" height="10" /><rect class=${`phase-${step.phase}`} x=${Math.min(from, 99.2)} y="2" width=${Math.max(until - from, 0.8)} height="10" /></svg>`}</td>
  </tr>`;
}

/** What a collector knows about its completeness: a sentence, and all of it for whoever wants to know. */
function Evidence({ found }) {
  const parts = [];
  const told = (name, one, several) => found[name] && parts.push(`${count(found[name])} ${found[name] === 1 ? one : several}`);
  told("pages", "page", "pages");
  told("requests", "request", "requests");
  told("retries", "retry", "retries");
  if (found.bytes) parts.push(bytes(found.bytes));
  if (found.declared_total !== null && found.declared_total !== undefined) parts.push(`the source says ${counted(found.declared_total, "row")}`);
  told("repeated_rows", "row came twice", "rows came twice");
  if (found.stop_reason) parts.push(`ended: ${found.stop_reason.replaceAll("_", " ")}`);
  const all = Object.entries(found).filter(([, value]) => value !== null && value !== undefined);
  if (!all.length) return null;
  return html`<details class="evidence"><summary>${parts.join(", ") || "Evidence"}</summary><dl class="pairs left">${all.map(([name, value]) => html`<dt>${name.replaceAll("_", " ")}</dt>
    <dd class="whole-text">${typeof value === "number" ? (name === "bytes" ? bytes(value) : count(value)) : typeof value === "object" ? JSON.stringify(value) : name === "stop_reason" ? value.replaceAll("_", " ") : String(value)}</dd>`)}</dl></details>`;
}
