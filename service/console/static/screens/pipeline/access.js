/** Who may see a pipeline, and whose it is. */

import { html } from "preact";
import { call, useAction, useApi } from "console/api";
import { Facts, Loaded, Problem } from "console/parts/basics";
import { currentUser, may } from "console/session";

export default function Access({ name }) {
  const request = useApi("/pipeline", { q: name, limit: 1000 });
  const change = useAction(async (what) => { await call("PATCH", `/pipeline/${name}`, { body: what }); request.reload(); });
  return html`<${Loaded} request=${request}>${(data) => {
    const pipeline = data.items.find((one) => one.name === name);
    if (!pipeline) return null;
    const mine = may("admin") || pipeline.owner === currentUser().username;
    return html`<section class="card"><${Facts} facts=${[["Owner", pipeline.owner ?? "the admins"], ["Seen by", pipeline.visibility === "private" ? "its owner and the admins" : "everybody with an account"]]} />
      ${mine ? html`<div class="row"><button type="button" disabled=${change.busy} onClick=${() => change.run({ visibility: pipeline.visibility === "private" ? "shared" : "private" })}>${pipeline.visibility === "private" ? "Share with everybody" : "Make private"}</button>
        <form class="row" onSubmit=${(event) => { event.preventDefault(); change.run({ owner: new FormData(event.currentTarget).get("owner") }); }}><label class="inline">Owner <input name="owner" required value=${pipeline.owner ?? ""} /></label><button disabled=${change.busy}>Hand over</button></form></div>`
        : html`<p class="quiet">Only its owner and the admins change this.</p>`}
      <${Problem} error=${change.error} /></section>`;
  }}<//>`;
}
