/** Who may see a pipeline and whose it is, what it told its hooks, and its end. */

import { html } from "preact";
import { call, useAction, useApi } from "console/api";
import { cell, instant } from "console/format";
import { ActionButton, Facts, Loaded, Problem, Time } from "console/parts/basics";
import { Pages } from "console/parts/pages";
import { Snippet } from "console/parts/snippet";
import { go, Link, to } from "console/router";
import { currentUser, may } from "console/session";

const SIZE = 50;

export default function Access({ name, query }) {
  const request = useApi("/pipeline", { q: name, limit: 1000 });
  return html`<${Loaded} request=${request}>${(data) => {
    const pipeline = data.items.find((one) => one.name === name);
    return pipeline && html`<${Rights} name=${name} pipeline=${pipeline} reload=${request.reload} />
      <${Messages} name=${name} offset=${Number(query.get("offset") ?? 0)} />
      ${may("operator") && html`<${End} name=${name} />`}`;
  }}<//>`;
}

function Rights({ name, pipeline, reload }) {
  const change = useAction(async (what) => { await call("PATCH", `/pipeline/${name}`, { body: what }); reload(); });
  const hidden = pipeline.visibility === "private";
  const mine = may("admin") || pipeline.owner === currentUser().username;
  return html`<section class="card" aria-label="Who may see it"><h2>Who may see it</h2>
    <${Facts} facts=${[["Owner", pipeline.owner ?? "the admins"], ["Seen by", hidden ? "its owner and the admins" : "everybody with an account"], ["Made", html`<${Time} at=${pipeline.created} />`], ["Changed", html`<${Time} at=${pipeline.updated} /> <span class="quiet">revision ${pipeline.revision}</span>`]]} />
    ${mine ? html`<div class="row">
        <button type="button" disabled=${change.busy} onClick=${() => change.run({ visibility: hidden ? "shared" : "private" })}>${hidden ? "Share with everybody" : "Make private"}</button>
        <form class="row" onSubmit=${(event) => { event.preventDefault(); change.run({ owner: new FormData(event.currentTarget).get("owner") }); }}>
          <label class="inline">New owner <input name="owner" required autocomplete="off" /></label><button disabled=${change.busy}>Hand over</button></form></div>`
      : html`<p class="quiet">Only its owner and the admins change this.</p>`}
    <${Problem} error=${change.error} /></section>`;
}

const STATES = { delivered: "status-completed", failed: "status-failed", waiting: "status-queued" };

function Messages({ name, offset }) {
  const path = `/pipeline/${name}/notifications`;
  const request = useApi(path, { limit: SIZE, offset });
  return html`<section class="card" aria-label="Messages to hooks"><header class="row spread"><h2>Messages to hooks</h2><${Snippet} request=${{ path }} /></header>
    <${Loaded} request=${request}>${(data) => (data.total === 0
      ? html`<p class="quiet">None were sent. <code>notify</code> in the <${Link} href=${to(["pipelines", name, "configuration"])}>configuration<//> names addresses that are told how runs end.</p>`
      : html`<div class="scroll" tabindex="0" role="region" aria-label="Messages"><table class="cards"><thead><tr><th>Event</th><th>To</th><th>State</th><th class="number">Tries</th><th>Made</th></tr></thead>
        <tbody>${data.items.map((one) => html`<tr key=${one.id}>
          <td class="whole"><${Link} href=${to(["runs", one.run_id])}>${one.event}<//></td><td class="whole"><code class="clip" title=${one.url}>${one.url}</code>${one.error && html`<div class="quiet clip" title=${one.error}>${cell(one.error)}</div>`}</td>
          <td><span class=${`status ${STATES[one.state] ?? ""}`}><span class="dot" aria-hidden="true"></span>${one.state}</span>${one.state === "waiting" && one.next_try && html`<div class="quiet">again <${Time} at=${one.next_try} /></div>`}</td>
          <td class="number" data-label="Tries">${one.tries}</td><td data-label="Made">${instant(one.created)}</td></tr>`)}</tbody></table></div>
        <${Pages} total=${data.total} offset=${offset} size=${SIZE} />`)}<//></section>`;
}

function End({ name }) {
  const remove = useAction(async () => { await call("DELETE", `/pipeline/${name}`); go(to([])); });
  return html`<section class="card" aria-label="Delete the pipeline"><h2>Delete the pipeline</h2>
    <div class="row spread"><p class="quiet">Its table, runs and schedule are gone for everybody. The stored versions stay on disk.</p>
      <${ActionButton} action=${remove} kind="danger" confirm=${`Delete the pipeline ${name}?`}>Delete ${name}<//></div>
    <${Problem} error=${remove.error} /></section>`;
}
