/** Rows of a table: millions in a window, sorted, filtered, with the figures of each column, pinned to a version. */

import { html, useEffect, useMemo, useRef, useState } from "preact";
import { fetched, get, useAction, useApi } from "console/api";
import { bytes, cell, count, percent } from "console/format";
import { ActionButton, Empty, Loaded, Problem, Title } from "console/parts/basics";
import { Grid } from "console/parts/grid";
import { save } from "console/parts/save";
import { Snippet } from "console/parts/snippet";
import { go, Link, setQuery, to, useLocation } from "console/router";

const FORMATS = [["csv", "CSV"], ["parquet", "Parquet"], ["arrow", "Arrow"], ["ndjson", "JSON lines"], ["json", "JSON"]];

export default function Data({ table }) {
  return table ? html`<${Table} name=${table} />` : html`<${Tables} />`;
}

function Tables() {
  const request = useApi("/tables", { limit: 1000 });
  const { query } = useLocation();
  const words = (query.get("q") ?? "").toLowerCase();
  return html`<main id="main" aria-busy=${request.data === null && !request.error}>
    <${Title} text="Data"><${Snippet} request=${{ path: "/tables" }} /><//>
    <${Loaded} request=${request}>${(data) => (data.total === 0
      ? html`<${Empty} title="No tables yet"><p>Each pipeline that has run successfully is a table here.</p><${Link} class="button" href=${to([])}>See the pipelines<//><//>`
      : html`<input type="search" aria-label="Search tables" placeholder="Search tables" value=${query.get("q") ?? ""} onInput=${(event) => setQuery({ q: event.currentTarget.value })} />
        <div class="scroll" tabindex="0" role="region" aria-label="Tables"><table class="cards"><caption class="visually-hidden">Tables</caption><thead><tr><th>Table</th><th class="number">Rows</th><th class="number">Columns</th><th>Version</th><th>Columns by name</th></tr></thead>
        <tbody>${data.items.filter((one) => one.name.includes(words)).map((one) => html`<tr key=${one.name}>
          <td class="whole"><${Link} class="name" href=${to(["data", one.pipeline ?? one.name])}>${one.name}<//></td>
          <td class="number" data-label="Rows">${count(one.row_count)}</td><td class="number" data-label="Columns">${count(one.columns.length)}</td>
          <td data-label="Version">${one.version}</td><td class="quiet whole"><div class="clip">${one.columns.map((column) => column.name).join(", ")}</div></td></tr>`)}</tbody></table></div>`)}<//>
  </main>`;
}

/** The query of the address: version, filter, sort, frozen columns. */
const asked = (query) => ({ version: query.get("version"), filter: query.get("filter"), sort: query.get("sort"), columns: query.get("columns") });

function Table({ name }) {
  const { query } = useLocation();
  const wanted = asked(query);
  const path = `/pipeline/${name}/data`;
  const request = useApi(path, { ...wanted, limit: 1 });
  const page = request.data;
  return html`<main id="main" class="wide data" aria-busy=${page === null && !request.error}>
    <${Title} text=${name}>
      <div class="row">
        ${page && html`<${Download} name=${name} path=${path} wanted=${{ ...wanted, version: page.version }} />`}
        <${Snippet} request=${{ path, query: wanted, python: `frame = client.data(${JSON.stringify(name)})\nprint(frame)\n` }} />
        <${Link} class="button" href=${to(["pipelines", name])}>Pipeline<//>
      </div>
    <//>
    <${Bar} name=${name} query=${query} page=${page} />
    <${Problem} error=${request.error} />
    ${page && html`<${Rows} name=${name} path=${path} wanted=${wanted} page=${page} frozen=${Number(query.get("freeze") ?? 0)} />`}
  </main>`;
}

function Bar({ name, query, page }) {
  const [text, setText] = useState(query.get("filter") ?? "");
  useEffect(() => setText(query.get("filter") ?? ""), [query.get("filter")]);
  const versions = useApi(`/pipeline/${name}/versions`, { limit: 100 });
  return html`<form class="row" role="search" onSubmit=${(event) => { event.preventDefault(); setQuery({ filter: text.trim() }, { replace: false }); }}>
    <label class="inline grow"><span class="visually-hidden">Filter</span>
      <input class="mono grow" name="filter" placeholder="Filter: an SQL condition, such as price > 10 AND city = 'Oslo'" spellcheck="false" value=${text} onInput=${(event) => setText(event.currentTarget.value)} /></label>
    <button>Filter</button>
    ${query.get("filter") && html`<button type="button" onClick=${() => setQuery({ filter: null })}>Clear</button>`}
    <label class="inline">Version
      <select value=${query.get("version") ?? ""} onChange=${(event) => setQuery({ version: event.currentTarget.value }, { replace: false })}>
        <option value="">newest${page && !query.get("version") ? ` (${page.version})` : ""}</option>
        ${(versions.data?.items ?? []).map((one) => html`<option value=${String(one.version)}>${one.version} · ${count(one.rows)} rows${one.state === "held" ? " · held" : ""}</option>`)}
      </select></label>
    <label class="inline">Freeze <select value=${query.get("freeze") ?? "0"} onChange=${(event) => setQuery({ freeze: event.currentTarget.value === "0" ? null : event.currentTarget.value })}>
      ${["0", "1", "2", "3"].map((number) => html`<option value=${number}>${number === "0" ? "no column" : number === "1" ? "1 column" : `${number} columns`}</option>`)}</select></label>
    ${page && html`<span class="quiet" role="status">${count(page.total_rows)} rows</span>`}
  </form>`;
}

function Rows({ name, path, wanted, page, frozen }) {
  const [open, setOpen] = useState(null);
  const columns = page.columns;
  const source = useMemo(() => {
    const fixed = { ...wanted, version: page.version };
    const names = columns.map((column) => column.name);
    const read = async (offset, limit, signal) => (await get(path, { ...fixed, offset, limit }, { signal })).data.map((row) => names.map((one) => row[one]));
    return { key: JSON.stringify([name, fixed]), columns, total: page.total_rows, read };
  }, [name, page]);
  const figures = useApi(`/pipeline/${name}/schema`, { version: page.version });
  const byName = useMemo(() => Object.fromEntries((figures.data?.columns ?? []).map((one) => [one.name, one])), [figures.data]);
  const down = wanted.sort?.startsWith("-");
  const sort = wanted.sort ? { column: wanted.sort.replace(/^-/, ""), down } : null;
  const onSort = (column) => setQuery({ sort: sort?.column !== column ? column : down ? null : `-${column}` });
  const header = (column) => {
    const known = byName[column.name];
    const shown = known ? `${column.type.toLowerCase().slice(0, 14)} · ${known.missing_values ? `${percent(known.missing_values / (figures.data.row_count || 1))} missing` : `${count(known.unique_values)} distinct`}` : column.type.toLowerCase().slice(0, 20);
    return html`<button type="button" class="plain figure" tabindex="-1" aria-label=${`${shown}. Figures of ${column.name}`} onClick=${() => setOpen({ column: column.name, figures: known })}>
      ${shown}</button>`;
  };
  return html`<${Grid} source=${source} label=${`Rows of ${name}`} sort=${sort} onSort=${onSort} frozen=${Math.min(frozen, columns.length)} header=${header}
      empty="No row fits the filter." onCell=${(row, place, values) => values && setOpen({ row, place, values })} />
    ${open && html`<${Detail} open=${open} columns=${columns} close=${() => setOpen(null)} wanted=${wanted} />`}`;
}

const quoted = (name) => `"${name.replaceAll('"', '""')}"`;
const literal = (value) => (["number", "bigint", "boolean"].includes(typeof value) ? String(value) : `'${cell(value).replaceAll("'", "''")}'`);

/** A row with all its values whole, or the figures of a column. */
function Detail({ open, columns, close, wanted }) {
  const dialog = useRef(null);
  useEffect(() => dialog.current.showModal(), []);
  const filter = (place) => {
    const value = open.values[place];
    const condition = value === null ? `${quoted(columns[place].name)} IS NULL` : `${quoted(columns[place].name)} = ${literal(value)}`;
    setQuery({ filter: wanted.filter ? `(${wanted.filter}) AND ${condition}` : condition }, { replace: false });
    dialog.current.close();
  };
  const facts = open.values
    ? columns.map((column, place) => [column.name, open.values[place] === null ? html`<span class="quiet">null</span>` : html`<span class="whole-text">${cell(open.values[place])}</span>`, () => filter(place)])
    : Object.entries(open.figures ?? {}).map(([name, value]) => [name.replaceAll("_", " "), cell(value) || "–", null]);
  return html`<dialog ref=${dialog} onClose=${close} aria-label=${open.values ? `Row ${open.row + 1}` : open.column}>
    <header class="row spread"><h2>${open.values ? `Row ${count(open.row + 1)}` : open.column}</h2><form method="dialog"><button>Close</button></form></header>
    ${facts.length === 0 && html`<p class="quiet">Its figures are being counted.</p>`}
    <table><tbody>${facts.map(([name, value, act]) => html`<tr><th>${name}</th><td>${value}</td>${open.values && html`<td><button type="button" class="plain" onClick=${act} aria-label=${`Only rows with this ${name}`}>Filter</button></td>`}</tr>`)}</tbody></table>
  </dialog>`;
}

function Download({ name, path, wanted }) {
  const dialog = useRef(null);
  const [done, setDone] = useState(null);
  const action = useAction(async (format) => {
    setDone(0);
    const answer = await fetched("GET", path, { query: { ...wanted, format, limit: format === "json" ? 100_000 : null } });
    await save(answer, `${name}-v${wanted.version}.${format === "ndjson" ? "jsonl" : format}`, setDone);
    dialog.current.close();
  });
  return html`<button type="button" onClick=${() => dialog.current.showModal()}>Download</button>
    <dialog ref=${dialog} aria-label="Download">
      <h2>Download version ${wanted.version}${wanted.filter ? ", the filtered rows" : ""}</h2>
      <div class="row">${FORMATS.map(([format, text]) => html`<button type="button" disabled=${action.busy} onClick=${() => action.run(format)}>${text}</button>`)}</div>
      <p class="quiet" role="status">${action.busy ? `${bytes(done)} so far …` : "JSON has 100,000 rows at most; the others have all."}</p>
      <${Problem} error=${action.error} />
      <form method="dialog"><button>Close</button></form>
    </dialog>`;
}
