/** Rows that a step refused, by rule: why, with the values as they came; mend some and replay them, or replay all. */

import { html, useMemo, useState } from "preact";
import { post, useAction, useApi } from "console/api";
import { count, counted } from "console/format";
import { ActionButton, Empty, Loaded, Problem, Status } from "console/parts/basics";
import { useKept } from "console/parts/kept";
import { Pages } from "console/parts/pages";
import { Snippet } from "console/parts/snippet";
import { Link, setQuery, to } from "console/router";
import { asRequest, RefusedRows } from "console/screens/pipeline/refused_rows";
import { may } from "console/session";

const SIZE = 50;
const WAIT = 30;

export default function Quarantine({ name, query, versions, table }) {
  const path = `/pipeline/${name}/quarantine`;
  const [version, rule, offset] = [query.get("version"), query.get("rule"), Number(query.get("offset") ?? 0)];
  const asked = { version, rule, limit: SIZE, offset };
  const request = useApi(versions ? path : null, asked);
  const [kept, keep] = useKept(`mended:${name}:${request.data?.version}`, null); // what is not sent yet outlives the page
  const drafts = useMemo(() => new Map(kept), [kept]);
  const setDrafts = (changed) => keep(changed.size ? [...changed] : null);
  const replay = useAction(async (rows, of) => {
    const run = await post(`${path}/replay?wait=${WAIT}`, { version: of, ...(rows.length ? { rows } : {}) });
    setDrafts(new Map());
    setQuery({ version: null, offset: null });
    if (run.status === "completed") request.reload();
    return run;
  });
  const [run, setRun] = useState(null);
  const send = async (rows, of) => setRun((await replay.run(rows, of)) ?? null);
  if (versions === 0) return html`<${Empty} title="Nothing in quarantine"><p>There is no version yet. The first run makes one.</p><//>`;
  return html`<${Loaded} request=${request}>${(data) => html`
    ${run && html`<${Outcome} name=${name} run=${run} />`}
    ${data.rules.length === 0
      ? html`<${Empty} title="Nothing in quarantine"><p>No row of version ${data.version} is refused.</p>
          <p class="quiet">A validator with <code>on_fail: quarantine</code> keeps rows that break its rules here, and a CSV collector with <code>on_malformed: quarantine</code> lines that it cannot read.</p><//>`
      : html`
        <${Rules} data=${data} rule=${rule} />
        <div class="row spread"><p><strong>${count(data.total_rows)}</strong> ${data.total_rows === 1 ? "row" : "rows"}${rule && html` that broke <code>${rule}</code>`} of <${Link} href=${to(["data", name], { version: data.version })}>version ${data.version}<//></p>
          <div class="row"><${Snippet} request=${{ path, query: asked }} />
            ${table && html`<${Link} class="button" href=${to(["sql"], { sql: `SELECT * FROM "${table}__quarantine@${data.version}" LIMIT 100` })}>SQL<//>`}
            <${Link} class="button" href=${to(["pipelines", name, "configuration"])}>Change the rules<//></div></div>
        <${RefusedRows} data=${data} drafts=${drafts} onChange=${setDrafts} canMend=${may("operator")} />
        <${Pages} total=${data.total_rows} offset=${offset} size=${SIZE} />
        <${Problem} error=${replay.error} />
        ${may("operator") && html`<${Deeds} data=${data} drafts=${drafts} busy=${replay.busy} clear=${() => setDrafts(new Map())} send=${(rows) => send(rows, data.version)} />`}`}`}<//>`;
}

function Rules({ data, rule }) {
  const most = Math.max(...data.rules.map((one) => one.rows), 1);
  const choose = (wanted) => setQuery({ rule: wanted, offset: null });
  return html`<div class="rules" role="group" aria-label="Rules">
    <button type="button" aria-pressed=${rule === null} onClick=${() => choose(null)}><strong>All rules</strong><span class="quiet">${counted(data.rules.length, "rule")} broken</span></button>
    ${data.rules.map((one) => html`<button type="button" key=${`${one.step} ${one.rule}`} aria-pressed=${rule === one.rule} onClick=${() => choose(rule === one.rule ? null : one.rule)}>
      <strong>${one.rule}</strong><span class="quiet">${one.column && html`<code>${one.column}</code> `}${one.step}</span>
      <svg width="100%" height="4" aria-hidden="true"><rect class="bar-held" width=${`${(one.rows / most) * 100}%`} height="4" rx="2" /></svg>
      <span class="rows">${count(one.rows)} ${one.rows === 1 ? "row" : "rows"}</span></button>`)}</div>`;
}

function Deeds({ data, drafts, busy, clear, send }) {
  const chosen = [...drafts.values()];
  const mended = chosen.filter((draft) => Object.keys(draft.values).length > 0).length;
  const wrong = chosen.some((draft) => Object.keys(draft.wrong).length > 0);
  const all = data.rules.reduce((sum, one) => sum + one.rows, 0);
  return html`<section class=${`deeds ${chosen.length ? "chosen" : ""}`} aria-label="Replay">
    <p role="status">${chosen.length === 0
      ? html`<span class="quiet">Edit a value to mend its row, or choose rows. A replay runs them through the present configuration; what passes becomes a new version.</span>`
      : html`<strong>${count(chosen.length)}</strong> chosen, <strong>${count(mended)}</strong> mended ${wrong && html`<span class="late">one value does not fit its column</span>`}`}</p>
    <div class="row">${chosen.length > 0 && html`<button type="button" class="plain" onClick=${clear}>Forget these</button>
        <${ActionButton} action=${{ busy, run: () => send(chosen.map(asRequest)) }} kind="primary" disabled=${busy || wrong}>${busy ? "Replaying …" : `Replay ${count(chosen.length)} ${chosen.length === 1 ? "row" : "rows"}`}<//>`}
      <${ActionButton} action=${{ busy, run: () => send([]) }} disabled=${busy} confirm=${`Run all rows in quarantine of version ${data.version} through the present configuration${mended ? ", without what you mended" : ""}?`}>${all > 1 ? "Replay all" : "Replay"}<//></div></section>`;
}

/** What became of a replay: how many rows passed, and what is left. */
function Outcome({ name, run }) {
  const link = html`<${Link} href=${to(["runs", run.run_id])}>See the run<//>`;
  if (run.status === "completed" || run.status === "held") {
    return html`<section class="card told" role="status" aria-label="Replayed"><div class="row spread"><p><${Status} status=${run.status} /> Version <${Link} href=${to(["data", name], { version: run.version })}>${run.version}<//> has ${counted(run.rows_stored, "row")}; ${count(run.rows_collected)} ${run.rows_collected === 1 ? "was" : "were"} tried, ${count(run.rows_rejected)} are in its quarantine.</p>
      <div class="row">${run.replay_of && html`<${Link} href=${to(["pipelines", name, "versions"], { compare: run.version })}>What changed<//>`} ${link}</div></div></section>`;
  }
  return html`<section class="card told" role="status" aria-label="Replayed"><div class="row spread"><${Status} status=${run.status} />${link}</div>
    ${run.error && html`<${Problem} error=${{ ...run.error, problems: [{ field: run.error.details?.field ?? run.error.details?.step, message: run.error.message }] }} />`}</section>`;
}
