/** The configuration of a pipeline: its text, forms of its steps, what it would do, and its history. */

import { html, useEffect, useMemo, useState } from "preact";
import { call, fetched, get, useAction, useApi } from "console/api";
import { Loaded, Problem } from "console/parts/basics";
import { ConfigurationEditor } from "console/parts/configuration_editor";
import { asYaml } from "console/parts/document";
import { Snippet } from "console/parts/snippet";
import { go, setQuery, to } from "console/router";
import { may } from "console/session";
import { diffLines } from "diff";

export default function Configuration({ name, query }) {
  const wanted = query.get("revision");
  const [state, setState] = useState({ document: null, revision: null, error: null });
  const load = () => fetched("GET", `/pipeline/${name}/config`, { query: { revision: wanted } })
    .then(async (answer) => setState({ document: await answer.json(), revision: Number(/\d+/.exec(answer.headers.get("etag") ?? "")?.[0] ?? 1), error: null }), (error) => setState({ document: null, revision: null, error }));
  useEffect(() => { load(); }, [name, wanted]);
  const newest = useApi(`/pipeline/${name}/config`);
  if (state.error) return html`<${Problem} error=${state.error} retry=${load} />`;
  if (state.document === null) return html`<p class="quiet loading">Loading …</p>`;
  return html`<${Edited} key=${`${name}-${state.revision}`} name=${name} document=${state.document} revision=${state.revision} newest=${newest.data} reload=${() => { newest.reload(); load(); }} old=${wanted !== null} query=${query} />`;
}

function Edited({ name, document, revision, newest, reload, old, query }) {
  const original = useMemo(() => asYaml(document), [document]);
  const [text, setText] = useState(original);
  const save = useAction(async () => {
    const headers = { "content-type": "application/yaml", ...(old ? {} : { "if-match": `"${revision}"` }) };
    await call("PUT", `/pipeline/${name}/config`, { body: new Blob([text]), headers });
    if (old) setQuery({ revision: null });
    else reload();
  });
  const changed = text !== original;
  const compared = query.get("against");
  useEffect(() => {
    if (!changed) return undefined;
    const ask = (event) => event.preventDefault();
    addEventListener("beforeunload", ask);
    return () => removeEventListener("beforeunload", ask);
  }, [changed]);
  return html`
    <div class="row spread">
      <div class="row"><label class="inline">Revision <select value=${String(revision)} onChange=${(event) => setQuery({ revision: event.currentTarget.value, against: null }, { replace: false })}>
          ${Array.from({ length: Math.max(revision, 1) + (old ? 50 : 0) }, (_, place) => place + 1).filter((one) => !old || one <= revision).toReversed().map((one) => html`<option value=${String(one)}>${one}</option>`)}</select></label>
        ${old && html`<span class="late">an earlier revision</span> <button type="button" onClick=${() => setQuery({ revision: null, against: null })}>Newest</button>`}
        ${revision > 1 && html`<label class="inline">Differences from <select value=${compared ?? ""} onChange=${(event) => setQuery({ against: event.currentTarget.value })}><option value="">–</option>
          ${Array.from({ length: revision - 1 }, (_, place) => revision - 1 - place).map((one) => html`<option value=${String(one)}>${one}</option>`)}</select></label>`}</div>
      <div class="row"><${Snippet} request=${{ path: `/pipeline/${name}/config` }} />
        ${changed && html`<button type="button" onClick=${() => setText(original)}>Undo all changes</button>`}
        ${may("operator") && html`<button type="button" class="primary" disabled=${save.busy || !(changed || old)} onClick=${() => save.run()}>${old && !changed ? "Take this revision again" : "Save"}</button>`}</div>
    </div>
    <${Problem} error=${save.error} />
    ${save.error?.code === "REVISION_CONFLICT" && html`<p>Somebody has saved another revision meanwhile. <button type="button" onClick=${() => go(to(["pipelines", name, "configuration"], { against: revision }))}>See what they changed</button></p>`}
    ${compared && html`<${Difference} name=${name} from=${compared} text=${original} />`}
    <${ConfigurationEditor} text=${text} onChange=${setText} readOnly=${!may("operator")} />`;
}

function Difference({ name, from, text }) {
  const request = useApi(`/pipeline/${name}/config`, { revision: from });
  return html`<section class="card"><h2>From revision ${from}</h2><${Loaded} request=${request}>${(before) => html`<pre tabindex="0" class="difference">${diffLines(asYaml(before), text).map((part) =>
    part.value.replace(/\n$/, "").split("\n").map((line) => html`<div class=${part.added ? "added" : part.removed ? "removed" : ""}>${part.added ? "+ " : part.removed ? "− " : "  "}${line}</div>`))}</pre>`}<//></section>`;
}
