/** The steps of a run over its time: when each began and ended, its rows in and out, and what its collector found. */

import { html } from "preact";
import { bytes, count, duration, NONE } from "console/format";

const KINDS = { collectors: "Collect", processors: "Process", storage: "Store" };

/** A step in words: "Collect 1" for `collectors[0]`, with its place for whoever looks for it in the configuration. */
export function stepName(step) {
  const found = /^(collectors|processors|storage)\[(\d+)\]$/.exec(step);
  return found ? `${KINDS[found[1]]} ${Number(found[2]) + 1}` : step.charAt(0).toUpperCase() + step.slice(1);
}

export function Timeline({ run, now }) {
  const begin = new Date(run.start_time ?? run.queued_at).getTime();
  const end = run.end_time ? new Date(run.end_time).getTime() : now;
  const span = Math.max(end - begin, 1);
  const place = (time) => Math.min(100, Math.max(0, ((new Date(time).getTime() - begin) / span) * 100));
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Steps"><table class="timeline">
    <caption class="visually-hidden">Steps</caption>
    <thead><tr><th>Step</th><th class="number">Rows in</th><th class="number">Rows out</th><th class="number">Read</th><th class="number">Time</th><th class="over">From ${duration(0)} to ${duration(span / 1000)}</th></tr></thead>
    <tbody>${run.steps.map((step) => {
      const from = step.started ? place(step.started) : null;
      const to = step.ended ? place(step.ended) : 100;
      return html`<tr key=${step.step}>
        <td><strong>${stepName(step.step)}</strong> <code class="quiet">${step.step}</code>
          ${step.evidence && html`<div class="quiet">${evidence(step.evidence)}</div>`}</td>
        <td class="number">${count(step.rows_in)}</td>
        <td class="number">${count(step.rows_out)}</td>
        <td class="number">${step.bytes_read === null ? NONE : bytes(step.bytes_read)}</td>
        <td class="number">${duration(step.duration)}</td>
        <td class="over">${from !== null && html`<svg width="100%" height="14" preserveAspectRatio="none" viewBox="0 0 100 14" role="img" aria-label=${`${duration(((from / 100) * span) / 1000)} to ${duration(((to / 100) * span) / 1000)}`}>
          <rect class=${`phase-${step.phase}`} x=${from} y="2" width=${Math.max(to - from, 0.6)} height="10" /></svg>`}</td>
      </tr>`;
    })}</tbody>
  </table></div>`;
}

/** What a collector knows about its completeness, in a sentence. */
function evidence(found) {
  const parts = [];
  if (found.pages !== null && found.pages !== undefined) parts.push(`${count(found.pages)} pages`);
  if (found.requests) parts.push(`${count(found.requests)} requests`);
  if (found.retries) parts.push(`${count(found.retries)} tried again`);
  if (found.declared_total !== null && found.declared_total !== undefined) parts.push(`the source says ${count(found.declared_total)} rows`);
  if (found.repeated_rows) parts.push(`${count(found.repeated_rows)} rows came twice`);
  if (found.stop_reason) parts.push(`ended: ${found.stop_reason.replaceAll("_", " ")}`);
  return parts.join(", ");
}
