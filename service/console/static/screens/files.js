/** Uploaded files: see them, add some, take one out, begin a pipeline with one. */

import { html } from "preact";
import { call, useAction, useApi } from "console/api";
import { bytes, count } from "console/format";
import { ActionButton, Empty, Loaded, Problem, Time, Title } from "console/parts/basics";
import { Drop } from "console/parts/drop";
import { Pages } from "console/parts/pages";
import { Snippet } from "console/parts/snippet";
import { Link, to, useLocation } from "console/router";
import { may } from "console/session";

const SIZE = 100;

export default function Files() {
  const { query } = useLocation();
  const offset = Number(query.get("offset") ?? 0);
  const request = useApi("/files", { limit: SIZE, offset });
  return html`<main id="main" aria-busy=${request.data === null && !request.error}>
    <${Title} text="Files"><${Snippet} request=${{ path: "/files" }} /><//>
    ${may("operator") && html`<${Drop} onDone=${request.reload}>Drop files that pipelines shall read<//>`}
    <${Loaded} request=${request}>${(data) => (data.total === 0
      ? html`<${Empty} title="No files yet"><p>A CSV, JSON, Parquet or Excel file that you drop above can become a pipeline in a few clicks.</p><//>`
      : html`<div class="scroll" tabindex="0" role="region" aria-label="Files by path"><table class="cards files"><caption class="visually-hidden">Files by path</caption><thead><tr><th>Path</th><th class="number">Size</th><th>Changed</th><th><span class="visually-hidden">Actions</span></th></tr></thead>
        <tbody>${data.items.map((file) => html`<${Row} key=${file.path} file=${file} reload=${request.reload} />`)}</tbody></table></div>
        <${Pages} total=${data.total} offset=${offset} size=${SIZE} />`)}<//>
  </main>`;
}

function Row({ file, reload }) {
  const remove = useAction(async () => { await call("DELETE", `/files/${file.path.split("/").map(encodeURIComponent).join("/")}`); reload(); });
  return html`<tr><td class="whole"><span class="name mono">${file.path}</span><${Problem} error=${remove.error} /></td>
    <td class="number" data-label="Size" title=${`${count(file.bytes)} bytes`}>${bytes(file.bytes)}</td><td data-label="Changed"><${Time} at=${file.modified} /></td>
    <td class="whole"><div class="row actions">${may("operator") && html`<${ActionButton} action=${remove} kind="danger" confirm=${`Remove ${file.path}? Versions that were made from it stay.`} aria-label=${`Remove ${file.path}`}>Remove<//>
      <${Link} class="button" href=${to(["new"], { file: file.path })} aria-label=${`New pipeline of ${file.path}`}>New pipeline<//>`}</div></td></tr>`;
}
