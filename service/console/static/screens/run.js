/** One run: its steps as they go on, its log, warnings and errors; cancel it, or run the pipeline again. */

import { html, useEffect, useRef, useState } from "preact";
import { fetched, post, useAction, useApi } from "console/api";
import { follow } from "console/events";
import { bytes, count, duration, instant } from "console/format";
import { ActionButton, Facts, Loaded, Problem, Progress, Status, Time, Title } from "console/parts/basics";
import { Log } from "console/parts/log";
import { Snippet } from "console/parts/snippet";
import { Timeline } from "console/parts/timeline";
import { go, Link, to } from "console/router";
import { may } from "console/session";

const ENDED = ["completed", "failed", "cancelled", "interrupted", "held"];

export default function RunScreen({ id }) {
  const request = useApi(`/runs/${id}`);
  const followed = useFollowed(id, request.data);
  const run = followed.run ?? request.data;
  return html`<main id="main" aria-busy=${request.data === null && !request.error}>
    <${Loaded} request=${request}>${() => html`<${Run} run=${run} lines=${followed.lines} state=${followed.state} />`}<//>
  </main>`;
}

/** The run as its events tell it, and the lines of its log; drawn at most once a frame, however many come. */
function useFollowed(id, first) {
  const [shown, setShown] = useState({ run: null, lines: [], state: null });
  const ended = useRef(false);
  useEffect(() => {
    if (!first) return undefined;
    const stop = new AbortController();
    if (ENDED.includes(first.status)) {
      fetched("GET", `/runs/${id}/logs`, { signal: stop.signal })
        .then((answer) => answer.text())
        .then((text) => setShown({ run: first, lines: text.split("\n").filter(Boolean).map((line) => JSON.parse(line)), state: null }), () => {});
      return () => stop.abort();
    }
    let run = first;
    let state = null;
    const lines = [];
    let frame = 0;
    const draw = () => {
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        setShown({ run, lines: [...lines], state });
      });
    };
    follow(`/runs/${id}/events`, {
      signal: stop.signal,
      onState: (now) => { state = now; draw(); },
      onEvent: ({ kind, data }) => {
        if (kind === "log") lines.push(data);
        else if (kind === "progress") run = { ...run, ...data, steps: data.steps ?? run.steps };
        else { run = { ...run, ...data, steps: data.steps?.length ? data.steps : run.steps }; ended.current = kind === "end"; }
        if (kind === "end") state = null;
        draw();
      },
    }).catch(() => { state = null; draw(); });
    return () => { stop.abort(); cancelAnimationFrame(frame); };
  }, [id, first?.run_id]);
  return shown;
}

function Run({ run, lines, state }) {
  const going = !ENDED.includes(run.status);
  const now = useNow(going);
  const cancel = useAction(() => post(`/runs/${run.run_id}/cancel`));
  const again = useAction(async () => {
    const next = await post(`/pipeline/${run.pipeline}/execute?wait=0`);
    go(to(["runs", next.run_id]));
  });
  return html`
    <${Title} text=${`Run of ${run.pipeline}`}>
      <div class="row">
        <${Snippet} request=${{ path: `/runs/${run.run_id}` }} />
        ${going && may("operator") && html`<${ActionButton} action=${cancel} kind="danger" confirm="Cancel this run? Nothing of it is stored.">Cancel<//>`}
        ${!going && may("operator") && html`<${ActionButton} action=${again} kind="primary">Run again<//>`}
      </div>
    <//>
    <${Problem} error=${cancel.error ?? again.error} />
    <div class="row"><${Status} status=${run.status} />
      ${going && html`<span class="quiet" role="status">${state === "waiting" ? "Connection lost; connecting again …" : state === "live" ? "Live" : ""}</span>`}
      ${run.unchanged && html`<span class="tag">same rows as version ${run.version}: no new version</span>`}</div>
    ${going && html`<div><${Progress} value=${run.progress} label="Progress" />
      <p class="quiet">${Math.floor(run.progress)} %${run.phase && `, ${run.phase}`}${run.step && ` (${run.step})`}${run.estimated_end && html`, ends <${Time} at=${run.estimated_end} />`}${run.retry_at && html`, tries again <${Time} at=${run.retry_at} />`}</p></div>`}
    ${run.error && html`<${Problem} error=${{ ...run.error, problems: [{ field: run.error.details?.step ?? run.error.details?.field, message: run.error.message }] }} />`}
    ${run.held_because?.length > 0 && html`<div class="warning"><strong>Held</strong>: ${run.held_because.map((one) => `${one.measure} is ${one.value}, the bound is ${one.bound}`).join("; ")}.
      <${Link} href=${to(["pipelines", run.pipeline, "versions"])}>Accept or reject it<//></div>`}
    <${Facts} facts=${[
      ["Pipeline", html`<${Link} href=${to(["pipelines", run.pipeline])}>${run.pipeline}<//>`],
      ["Configuration", html`<${Link} href=${to(["pipelines", run.pipeline, "configuration"], { revision: run.revision })}>revision ${run.revision}<//>`],
      ["Version", run.version === null ? "none" : html`<${Link} href=${to(["data", run.pipeline], { version: run.version })}>${run.version}<//>`],
      ["Began", html`<${Time} at=${run.start_time ?? run.queued_at} />`],
      ["Took", duration(run.end_time || !run.start_time ? run.duration : (now - new Date(run.start_time).getTime()) / 1000)],
      ["Rows collected", count(run.rows_collected)], ["Rows stored", count(run.rows_stored)],
      run.rows_rejected > 0 && ["In quarantine", html`<${Link} href=${to(["pipelines", run.pipeline, "quarantine"], { version: run.version })}>${count(run.rows_rejected)}<//>`],
      ["Memory", bytes(run.peak_memory_bytes)], ["Asked for by", run.requested_by ?? "–"],
      ["Attempt", `${run.attempt} of ${run.max_attempts}`],
    ]} />
    ${run.warnings.length > 0 && html`<section class="card"><h2>Warnings <span class="quiet">${run.warnings.length}</span></h2>
      ${run.warnings.map((one) => html`<div class="warning">${one.step && html`<code>${one.step}</code> `}${one.message}${one.count > 1 && html` <span class="quiet">(${count(one.count)} times)</span>`}</div>`)}</section>`}
    ${run.attempts.length > 1 && html`<section class="card"><h2>Attempts</h2><div class="scroll" tabindex="0" role="region" aria-label="Attempts"><table><thead><tr><th>Number</th><th>Began</th><th>Ended</th><th>Error</th></tr></thead>
      <tbody>${run.attempts.map((one) => html`<tr><td>${one.number}</td><td>${instant(one.start_time)}</td><td>${instant(one.end_time)}</td><td>${one.error?.message ?? "–"}</td></tr>`)}</tbody></table></div></section>`}
    ${run.steps.length > 0 && html`<section class="card"><h2>Steps</h2><${Timeline} run=${run} now=${now} /></section>`}
    <${Log} lines=${lines} live=${going} />`;
}

function useNow(ticking) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    if (!ticking) return undefined;
    const timer = setInterval(() => document.hidden || setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [ticking]);
  return now;
}
