/** Rows of tables: the list of them, and one with millions of rows in a grid. */

import { html } from "preact";
import { useApi } from "console/api";
import { count } from "console/format";
import { Empty, Loaded, Title } from "console/parts/basics";
import { useFresh } from "console/parts/fresh";
import { Snippet } from "console/parts/snippet";
import { Link, setQuery, to, useLocation } from "console/router";
import { Table } from "console/screens/data/table";

export default function Data({ table }) {
  return table ? html`<${Table} key=${table} name=${table} />` : html`<${Tables} />`;
}

function Tables() {
  const request = useApi("/tables", { limit: 1000 });
  useFresh(request, { parts: ["versions"] });
  const { query } = useLocation();
  const words = (query.get("q") ?? "").toLowerCase();
  return html`<main id="main" aria-busy=${request.data === null && !request.error}>
    <${Title} text="Data"><${Snippet} request=${{ path: "/tables" }} /><//>
    <${Loaded} request=${request}>${(data) => (data.total === 0
      ? html`<${Empty} title="No tables yet"><p>Each pipeline that has run successfully is a table here.</p><${Link} class="button" href=${to([])}>See the pipelines<//><//>`
      : html`<input type="search" aria-label="Search tables" placeholder="Search tables and columns" value=${query.get("q") ?? ""} onInput=${(event) => setQuery({ q: event.currentTarget.value })} />
        <${List} found=${data.items.filter((one) => one.name.toLowerCase().includes(words) || one.columns.some((column) => column.name.toLowerCase().includes(words)))} />`)}<//>
  </main>`;
}

const MOST_NAMED = 40;

function List({ found }) {
  if (!found.length) return html`<p class="quiet">No table and no column has this name.</p>`;
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Tables"><table class="cards"><caption class="visually-hidden">Tables</caption><thead><tr><th>Table</th><th class="number">Rows</th><th class="number">Columns</th><th>Version</th><th>Columns by name</th></tr></thead>
    <tbody>${found.map((one) => html`<tr key=${one.name}>
      <td class="whole"><${Link} class="name" href=${to(["data", one.pipeline ?? one.name])}>${one.name}<//></td>
      <td class="number" data-label="Rows">${count(one.row_count)}</td><td class="number" data-label="Columns">${count(one.columns.length)}</td>
      <td data-label="Version">${one.version}</td><td class="quiet whole"><div class="clip">${one.columns.slice(0, MOST_NAMED).map((column) => column.name).join(", ")}</div></td></tr>`)}</tbody></table></div>`;
}
