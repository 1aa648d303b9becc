/** The configuration of a pipeline: its text, forms of its steps, what it would do, and its history. */

import { html, useEffect, useState } from "preact";
import { call, fetched, useAction, useApi } from "console/api";
import { Loaded, Problem, Time } from "console/parts/basics";
import { ConfigurationEditor } from "console/parts/configuration_editor";
import { Difference } from "console/parts/difference";
import { asYaml, mediaType } from "console/parts/document";
import { useKept } from "console/parts/kept";
import { Snippet } from "console/parts/snippet";
import { Link, setQuery, to } from "console/router";
import { may } from "console/session";

const MOST = 200;

/** The document and number of a revision, the newest where none is wanted. */
async function read(name, revision) {
  const answer = await fetched("GET", `/pipeline/${name}/config`, { query: { revision } });
  return { text: asYaml(await answer.json()), revision: Number(/\d+/.exec(answer.headers.get("etag") ?? "")[0]) };
}

function useRevision(name, revision) {
  const [state, setState] = useState({ found: null, error: null });
  const [round, setRound] = useState(0);
  useEffect(() => {
    let wanted = true;
    read(name, revision).then((found) => wanted && setState({ found, error: null }), (error) => wanted && setState({ found: null, error }));
    return () => { wanted = false; };
  }, [name, revision, round]);
  return { ...state, load: () => setRound(round + 1) };
}

export default function Configuration({ name, query }) {
  const wanted = query.get("revision");
  const state = useRevision(name, wanted);
  const history = useApi(`/pipeline/${name}/revisions`, { limit: MOST });
  if (state.error) return html`<${Problem} error=${state.error} retry=${state.load} />`;
  if (state.found === null) return html`<p class="quiet loading" aria-busy="true">Loading …</p>`;
  const again = () => {
    history.reload();
    if (wanted === null) state.load();
  };
  return html`<${Edited} key=${`${name}-${state.found.revision}`} name=${name} found=${state.found} newest=${history.data?.items[0]?.revision ?? state.found.revision} again=${again} />
    <${History} name=${name} request=${history} shown=${state.found} against=${query.get("against")} />`;
}

function Edited({ name, found: { text: original, revision }, newest, again }) {
  const [text, setText, forget] = useKept(`configuration:${name}:${revision}`, original);
  const old = revision < newest;
  const changed = text !== original;
  const save = useAction(async (match) => {
    await call("PUT", `/pipeline/${name}/config`, { body: new Blob([text]), headers: { "content-type": mediaType(text), "if-match": `"${match}"` } });
    forget();
    again();
    if (old) setQuery({ revision: null, against: null });
  });
  useEffect(() => {
    if (!changed) return undefined;
    const ask = (event) => event.preventDefault();
    addEventListener("beforeunload", ask);
    return () => removeEventListener("beforeunload", ask);
  }, [changed]);
  const theirs = save.error?.code === "REVISION_CONFLICT" ? save.error.details.revision : null;
  return html`<div class="row spread">
      <p>${old ? html`<span class="late">Revision ${revision}, not the current one.</span> <${Link} href=${to(["pipelines", name, "configuration"])}>See revision ${newest}<//>` : html`<span class="quiet">Revision ${revision}</span>`}${changed && html` <span class="tag" role="status">not saved yet</span>`}</p>
      <div class="row"><${Snippet} request=${{ path: `/pipeline/${name}/config` }} />
        ${may("operator") && html`<${Link} class="button" href=${to(["new"], { from: name })}>Copy<//>`}
        ${changed && html`<button type="button" onClick=${() => window.confirm("Undo all changes that are not saved?") && setText(original)}>Undo changes</button>`}
        ${may("operator") && html`<button type="button" class="primary" disabled=${save.busy || !(changed || old)} aria-busy=${save.busy} onClick=${() => save.run(old ? newest : revision)}>${old && !changed ? "Make it current again" : "Save"}</button>`}</div>
    </div>
    ${theirs === null ? html`<${Problem} error=${save.error} />` : html`<${Conflict} name=${name} theirs=${theirs} mine=${text} overwrite=${() => save.run(theirs)} busy=${save.busy} />`}
    <${ConfigurationEditor} text=${text} onChange=${setText} readOnly=${!may("operator")} />`;
}

/** Somebody saved meanwhile: what differs, and what can be done; nothing is lost. */
function Conflict({ name, theirs, mine, overwrite, busy }) {
  const other = useRevision(name, theirs);
  return html`<section class="problem" role="alert" aria-label="Conflict"><strong>Somebody saved revision ${theirs} while you were writing.</strong>
    <p>Your text is still here. Below is what your text changes in theirs; take over from theirs what should stay, then save.</p>
    ${other.found && html`<${Difference} from=${other.found.text} to=${mine} />`}
    <button type="button" disabled=${busy} onClick=${overwrite}>Save mine as the next revision</button></section>`;
}

function History({ name, request, shown, against }) {
  const link = (query) => to(["pipelines", name, "configuration"], query);
  return html`<section class="card" aria-label="Revisions"><h2>Revisions</h2>
    <${Loaded} request=${request}>${({ items, total }) => {
      const newest = items[0].revision;
      return html`
        <div class="scroll" tabindex="0" role="region" aria-label="Revisions"><table class="cards"><thead><tr><th>Revision</th><th>Saved</th><th>By</th><th><span class="visually-hidden">Actions</span></th></tr></thead>
          <tbody>${items.map((one) => html`<tr key=${one.revision} class=${one.revision === shown.revision ? "current" : ""}>
            <th scope="row">${one.revision}${one.revision === newest && html` <span class="tag">current</span>`}</th><td data-label="Saved"><${Time} at=${one.created} /></td><td data-label="By">${one.created_by ?? "–"}</td>
            <td class="whole"><div class="row actions">${one.revision !== shown.revision && html`<${Link} class="button" href=${link({ revision: one.revision === newest ? null : one.revision })}>Show<//>
              <${Link} class="button" href=${link({ revision: shown.revision === newest ? null : shown.revision, against: one.revision })} aria-current=${against === String(one.revision) ? "true" : null}>Compare with ${shown.revision}<//>`}</div></td></tr>`)}</tbody></table></div>
        ${total > items.length && html`<p class="quiet">The newest ${items.length} of ${total}.</p>`}
        ${against && html`<${Compared} key=${against} name=${name} against=${against} shown=${shown} />`}`;
    }}<//></section>`;
}

function Compared({ name, against, shown }) {
  const other = useRevision(name, against);
  if (other.error) return html`<${Problem} error=${other.error} />`;
  if (!other.found) return html`<p class="quiet loading">Loading …</p>`;
  const [first, second] = Number(against) < shown.revision ? [other.found, shown] : [shown, other.found];
  return html`<section aria-label="Differences"><h3>From revision ${first.revision} to ${second.revision}</h3><${Difference} from=${first.text} to=${second.text} /></section>`;
}
