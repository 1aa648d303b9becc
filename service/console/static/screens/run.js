/** One run: its steps as they go on, its log, warnings and errors; cancel it, or run the pipeline again. */

import { html } from "preact";
import { post, useAction, useApi } from "console/api";
import { bytes, count, counted, duration, instant } from "console/format";
import { ActionButton, Facts, Loaded, Problem, Progress, Status, Time, Title } from "console/parts/basics";
import { ENDED, useFollowedRun } from "console/parts/followed_run";
import { Log } from "console/parts/log";
import { Snippet } from "console/parts/snippet";
import { Timeline, useNow } from "console/parts/timeline";
import { go, Link, to } from "console/router";
import { may } from "console/session";

export default function RunScreen({ id }) {
  const request = useApi(`/runs/${id}`);
  const followed = useFollowedRun(id, request.data);
  const run = followed.run ?? request.data;
  return html`<main id="main" aria-busy=${request.data === null && !request.error}>
    <${Loaded} request=${request}>${() => html`<${Run} run=${run} followed=${followed} />`}<//>
  </main>`;
}

function Run({ run, followed }) {
  const going = !ENDED.includes(run.status);
  const configuration = useApi(`/pipeline/${run.pipeline}/config`, { revision: run.revision });
  const cancel = useAction(() => post(`/runs/${run.run_id}/cancel`));
  const again = useAction(async () => go(to(["runs", (await post(`/pipeline/${run.pipeline}/execute?wait=0`)).run_id])));
  return html`
    <${Title} text=${`Run of ${run.pipeline}`}>
      <div class="row"><${Snippet} request=${{ path: `/runs/${run.run_id}` }} />
        ${going && may("operator") && html`<${ActionButton} action=${cancel} kind="danger" confirm="Cancel this run? Nothing of it is stored.">Cancel<//>`}
        ${!going && may("operator") && html`<${ActionButton} action=${again} kind="primary">${["completed", "held"].includes(run.status) ? "Run again" : "Try again"}<//>`}</div>
    <//>
    <${Problem} error=${cancel.error ?? again.error ?? followed.error} />
    <${State} run=${run} going=${going} state=${followed.state} />
    <${Failure} run=${run} />
    ${run.held_because.length > 0 && html`<section class="card held" aria-label="Held"><h2>${run.status === "held" ? "Version" : "It was held: version"} ${run.version} ${run.status === "held" && "waits for somebody to decide"}</h2>
      <ul class="reasons">${run.held_because.map((one) => html`<li>${one.column && html`<code>${one.column}</code> `}${one.message}</li>`)}</ul>
      <div class="row"><${Link} class="button" href=${to(["pipelines", run.pipeline, "versions"])}>Accept or reject it<//></div></section>`}
    <${Leads} run=${run} />
    <${Figures} run=${run} going=${going} />
    <${Warnings} run=${run} />
    ${run.attempts.length > 1 && html`<section class="card"><h2>Attempts</h2><div class="scroll" tabindex="0" role="region" aria-label="Attempts"><table class="cards"><thead><tr><th>Number</th><th>Began</th><th>Took</th><th>Ended with</th></tr></thead>
      <tbody>${run.attempts.map((one) => html`<tr key=${one.number}><td data-label="Number">${one.number}</td><td data-label="Began">${instant(one.start_time)}</td><td data-label="Took">${one.end_time ? duration((new Date(one.end_time) - new Date(one.start_time)) / 1000) : "–"}</td>
        <td class="whole">${one.error ? html`<code>${one.error.code}</code> ${one.error.message}` : one.end_time ? "success" : html`<span class="quiet">goes on</span>`}</td></tr>`)}</tbody></table></div></section>`}
    ${run.steps.length > 0 && html`<section class="card"><h2>Steps</h2><${Timeline} run=${run} going=${going} document=${configuration.data} /></section>`}
    ${run.replayed_rows.length > 0 && html`<${Mended} rows=${run.replayed_rows} />`}
    <${Log} id=${run.run_id} lines=${followed.lines} size=${followed.size} live=${going} />`;
}

function State({ run, going, state }) {
  return html`<div class="stack"><div class="row"><${Status} status=${run.status} />
      ${going && html`<span class="quiet" role="status">${state === "waiting" ? "Connection lost; connecting again …" : state === "live" ? "live" : ""}</span>`}
      ${run.unchanged && html`<span class="tag">same rows as version ${run.version}: no new version</span>`}
      ${run.replay_of !== null && html`<span class="tag">replay of the quarantine of version ${run.replay_of}</span>`}${run.restored_from !== null && html`<span class="tag">restored version ${run.restored_from}</span>`}
      ${run.full_refresh && html`<span class="tag">from the start</span>`}${run.label && html`<span class="tag">needs a process labelled ${run.label}</span>`}</div>
    ${run.waiting_for && html`<div class="warning"><strong>Waits for ${run.waiting_for}.</strong> <${Link} href=${to(["system"])}>See the processes<//></div>`}
    ${going && html`<div><${Progress} value=${run.progress} label="Progress" />
      <p class="quiet">${Math.floor(run.progress)} %${run.phase && `, ${run.phase}`}${run.step && html` <code>${run.step}</code>`}${run.rows_collected > 0 && `, ${counted(run.rows_collected, "row")} collected`}${run.estimated_end && html`, ends <${Time} at=${run.estimated_end} />`}${run.retry_at && html`, tries again <${Time} at=${run.retry_at} />`}</p></div>`}</div>`;
}

/** What went wrong, where, and what to do about it. */
function Failure({ run }) {
  if (!run.error) return null;
  const { step, field } = run.error.details ?? {};
  const at = field ?? step;
  return html`<div class="stack"><${Problem} error=${{ ...run.error, problems: [{ field: at, message: run.error.message }] }} />
    <div class="row">${/^(collectors|processors|storage)/.test(at ?? "") && html`<${Link} class="button" href=${to(["pipelines", run.pipeline, "configuration"], { at })}>Change the configuration there<//>`}
      ${/^(collectors|processors|storage)/.test(at ?? "") && html`<span class="quiet">or mend the source, then try again</span>`}</div></div>`;
}

/** What belongs to a run is one click away. */
function Leads({ run }) {
  const [there, pipeline] = [run.version !== null, run.pipeline];
  const lead = (text, href) => html`<${Link} class="button" href=${href}>${text}<//>`;
  return html`<nav class="row" aria-label="What belongs to the run">
    ${lead(pipeline, to(["pipelines", pipeline]))}
    ${there && lead(`Data of version ${run.version}`, to(["data", pipeline], { version: run.version }))}
    ${there && run.version > 1 && !run.unchanged && lead("What changed", to(["pipelines", pipeline, "versions"], { compare: run.version }))}
    ${there && lead("Profile", to(["pipelines", pipeline, "profile"], { version: run.version }))}
    ${there && run.rows_rejected > 0 && lead(`${count(run.rows_rejected)} in quarantine`, to(["pipelines", pipeline, "quarantine"], { version: run.version }))}
    ${lead(`Configuration, revision ${run.revision}`, to(["pipelines", pipeline, "configuration"], { revision: run.revision }))}</nav>`;
}

function Figures({ run, going }) {
  return html`<${Facts} facts=${[
    ["Began", html`<${Time} at=${run.start_time ?? run.queued_at} />`],
    [going ? "Takes so far" : "Took", html`<${Took} run=${run} going=${going} />`],
    ["Rows collected", count(run.rows_collected)], ["Rows stored", count(run.rows_stored)], ["Rows refused", count(run.rows_rejected)],
    run.peak_memory_bytes !== null && ["Memory at most", bytes(run.peak_memory_bytes)],
    ["Asked for by", run.requested_by ?? "its schedule or trigger"],
    run.max_attempts > 1 && ["Attempt", `${run.attempt} of ${run.max_attempts}`],
  ]} />`;
}

function Took({ run, going }) {
  const now = useNow(going);
  return duration(run.end_time || !run.start_time ? run.duration : Math.max((now - new Date(run.start_time).getTime()) / 1000, 0));
}

function Warnings({ run }) {
  if (!run.warnings.length) return null;
  return html`<section class="card" aria-label="Warnings"><h2>Warnings <span class="quiet">${run.warnings.length}</span></h2>
    ${run.warnings.map((one) => html`<div class="warning">${one.step && html`<${Link} href=${to(["pipelines", run.pipeline, "configuration"], { at: one.step })}><code>${one.step}</code><//> `}${one.message}
      ${one.code === "rows_rejected" && run.version !== null && html` <${Link} href=${to(["pipelines", run.pipeline, "quarantine"], { version: run.version })}>See these rows<//>`}</div>`)}</section>`;
}

/** What a person changed before the rows were tried again. */
function Mended({ rows }) {
  const mended = rows.filter((row) => Object.keys(row.values).length > 0);
  return html`<details class="card"><summary>${count(rows.length)} chosen ${rows.length === 1 ? "row" : "rows"}, ${count(mended.length)} mended</summary><div class="scroll" tabindex="0" role="region" aria-label="Mended rows"><table class="slim"><tbody>${mended.slice(0, 100).map((row) => html`<tr>
    <th scope="row">${row.file ? `${row.file}, line ${row.line}` : `row ${row.row} of ${row.step}`}</th><td>${Object.entries(row.values).map(([name, value]) => html`<div><code>${name}</code> ← ${JSON.stringify(value)}</div>`)}</td></tr>`)}</tbody></table></div></details>`;
}
