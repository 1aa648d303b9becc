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
  const remove = useAction(async (path) => { await call("DELETE", `/files/${path.split("/").map(encodeURIComponent).join("/")}`); request.reload(); });
  return html`<main id="main" aria-busy=${request.data === null && !request.error}>
    <${Title} text="Files"><${Snippet} request=${{ path: "/files" }} /><//>
    ${may("operator") && html`<${Drop} onDone=${request.reload} />`}
    <${Problem} error=${remove.error} />
    <${Loaded} request=${request}>${(data) => (data.total === 0
      ? html`<${Empty} title="No files yet"><p>Files that you upload can be read by pipelines.</p><//>`
      : html`<div class="scroll"><table class="cards"><caption class="visually-hidden">Files</caption><thead><tr><th>Path</th><th class="number">Size</th><th>Changed</th><th><span class="visually-hidden">Actions</span></th></tr></thead>
        <tbody>${data.items.map((file) => html`<tr key=${file.path}><td class="whole"><code>${file.path}</code></td><td class="number" data-label="Size" title=${count(file.bytes)}>${bytes(file.bytes)}</td><td data-label="Changed"><${Time} at=${file.modified} /></td>
          <td><div class="row actions">${may("operator") && html`<${Link} class="button" href=${to(["new"], { file: file.path })}>New pipeline<//>
            <${ActionButton} action=${{ busy: remove.busy, run: () => remove.run(file.path) }} kind="danger" confirm=${`Remove ${file.path}? Versions that were made from it stay.`} aria-label=${`Remove ${file.path}`}>Remove<//>`}</div></td></tr>`)}</tbody></table></div>
        <${Pages} total=${data.total} offset=${offset} size=${SIZE} />`)}<//>
  </main>`;
}
