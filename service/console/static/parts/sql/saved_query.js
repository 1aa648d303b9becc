/** A saved query on its own: who may read it, its addresses for programs and people, its change and its end. */

import { html } from "preact";
import { address, call, useAction } from "console/api";
import { ActionButton, Problem, Time } from "console/parts/basics";
import { Snippet } from "console/parts/snippet";
import { addressOf, programAddress, savedValues } from "console/parts/sql/asked";
import { python } from "console/parts/sql/kinds";
import { SaveQuery } from "console/parts/sql/save_query";
import { may } from "console/session";

const FORMATS = [["json", "JSON"], ["csv", "CSV"], ["parquet", "Parquet"], ["arrow", "Arrow"]];

/** The request of a saved query as curl and Python have it. */
export function savedRequest(name, values) {
  const given = Object.entries(values).filter(([, one]) => one.kind !== "null" && one.text !== "").map(([key, one]) => `${key}=${python(one.kind ?? "string", one.text)}`);
  return { path: `/q/${name}`, query: savedValues(values), python: `frame = client.answer(${[JSON.stringify(name), ...given].join(", ")})\nprint(frame)\n` };
}

/**
 * `values` are those of the fields; `changed` says that the editor holds another statement; `open` unfolds it, `back` puts the
 * saved statement into the editor, and `gone` is called after its end.
 */
export function SavedQuery({ definition, values, changed, open, back, reload, saved, gone }) {
  const { name } = definition;
  const remove = useAction(async () => {
    await call("DELETE", `/queries/${name}`);
    await reload();
    gone();
  });
  const mayChange = may(definition.public ? "admin" : "operator");
  const page = location.origin + addressOf({ sql: null, saved: name, values, view: "rows" });
  return html`<details class="card" open=${open}><summary>Query ${name}${definition.description && html` <span class="about quiet">${definition.description}</span>`}</summary>
    ${changed && html`<p role="status">The statement in the editor is another one now; the addresses below answer the saved one. Save it under the same name to replace it, or <button type="button" class="link" onClick=${back}>put the saved one back</button>.</p>`}
    <p class="quiet">${definition.public ? "Public: everyone who has the address reads the answer, without signing in." : "Every account reads the answer, of the tables that it may see."}
      ${definition.max_rows !== null && ` ${definition.max_rows} rows at most.`}${definition.cache_seconds > 0 && ` An answer may be ${definition.cache_seconds} s old.`} Saved by ${definition.updated_by} <${Time} at=${definition.updated} />.</p>
    <${Problem} error=${remove.error} />
    <dl class="addresses">
      <dt>For people</dt><dd><a href=${page}>${page}</a></dd>
      <dt>For programs</dt><dd>${definition.public ? html`<a href=${programAddress(name, values)} target="_blank" rel="noopener">${programAddress(name, values)}</a>
        <span class="row tight">${FORMATS.map(([format, words]) => html`<a href=${programAddress(name, values, format)} target="_blank" rel="noopener">${words}</a>`)}</span>`
        : html`<code>${programAddress(name, values)}</code> <span class="quiet">with a token or an API key</span>`}</dd>
    </dl>
    <div class="row"><${Snippet} request=${savedRequest(name, values)} name="This query as curl / Python" />
      ${mayChange && html`<${SaveQuery} text="Change" sql=${definition.sql} definition=${definition} reload=${reload} saved=${saved} />
        <${ActionButton} action=${remove} kind="danger" confirm=${`Delete the query ${name}? Programs that ask for it then get 404. Its statement cannot be brought back.`}>Delete<//>`}</div>
  </details>`;
}
