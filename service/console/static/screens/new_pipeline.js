/** A new pipeline: drop a file or paste an address, look at what was found, choose, run. */

import { html, useEffect, useMemo, useState } from "preact";
import { post, useAction } from "console/api";
import { cell, count } from "console/format";
import { Problem, Title } from "console/parts/basics";
import { ConfigurationEditor, parsed } from "console/parts/configuration_editor";
import { Drop } from "console/parts/drop";
import { Snippet } from "console/parts/snippet";
import { go, setQuery, to, useLocation } from "console/router";
import { dump } from "yaml";

const TYPES = ["string", "int64", "float64", "decimal(18,2)", "boolean", "date", "datetime", "categorical"];

/** A name as pipelines have it, from a path or an address. */
function nameFrom(source) {
  const last = source.replace(/[?#].*$/, "").split("/").filter(Boolean).at(-1) ?? "data";
  const plain = last.replace(/(\.(csv|tsv|txt|json|ndjson|jsonl|parquet|html?|gz|zst))+$/i, "").toLowerCase().replace(/[^a-z0-9_-]+/g, "-").replace(/^[^a-z]+|-+$/g, "");
  return plain.slice(0, 63) || "data";
}

export default function NewPipeline() {
  const { query } = useLocation();
  const [file, url] = [query.get("file"), query.get("url")];
  const source = file ?? url;
  return html`<main id="main"><${Title} text="New pipeline" />
    ${source ? html`<${Found} key=${source} file=${file} url=${url} />` : html`<${Choose} />`}</main>`;
}

function Choose() {
  const submit = (event) => {
    event.preventDefault();
    setQuery({ url: new FormData(event.currentTarget).get("url").trim() }, { replace: false });
  };
  return html`<div class="two">
    <section class="card"><h2>From a file</h2><${Drop} onDone=${(path) => setQuery({ file: path }, { replace: false })}>Drop a CSV, JSON or Parquet file here<//></section>
    <section class="card"><h2>From an address</h2><form class="stack" onSubmit=${submit}><label>Address of an API, a file or a web page <input name="url" type="url" required placeholder="https://…" /></label><div><button class="primary">Look at it</button></div></form></section>
  </div>
  <p class="quiet">Or write a configuration: <button type="button" class="plain" onClick=${() => setQuery({ url: null, file: "" })}>begin with a file that was uploaded</button> on the page Files.</p>`;
}

function Found({ file, url }) {
  const [state, setState] = useState({ probe: null, error: null });
  const body = useMemo(() => (file ? { file_path: file } : { url }), [file, url]);
  const look = () => post("/pipeline/probe", body).then((probe) => setState({ probe, error: null }), (error) => setState({ probe: null, error }));
  useEffect(() => { look(); }, []);
  return html`<div class="row spread"><p>${file ? "File" : "Address"} <code>${file ?? url}</code></p><div class="row"><${Snippet} request=${{ method: "POST", path: "/pipeline/probe", body }} />
      <button type="button" onClick=${() => go(to(["new"]))}>Another source</button></div></div>
    ${!state.probe && !state.error && html`<p class="quiet loading" role="status">Looking at it …</p>`}
    <${Problem} error=${state.error} retry=${look} />
    ${state.probe && html`<${Choices} probe=${state.probe} source=${file ?? url} />`}`;
}

function Choices({ probe, source }) {
  const [name, setName] = useState(nameFrom(source));
  const [columns, setColumns] = useState(() => probe.columns.map((column) => ({ name: column.name, kept: true, type: "", drop: false })));
  const [strip, setStrip] = useState(true);
  const [normal, setNormal] = useState(probe.columns.some((column) => !/^[a-z_][a-z0-9_]*$/.test(column.name)));
  const [key, setKey] = useState("");
  const [cron, setCron] = useState("");
  const [written, setWritten] = useState(null);
  const document = useMemo(() => {
    const cast = Object.fromEntries(columns.filter((column) => column.kept && column.type).map((column) => [column.name, { type: column.type, on_error: "null" }]));
    const dropped = columns.filter((column) => !column.kept).map((column) => column.name);
    const first = { ...(dropped.length ? { drop_columns: dropped } : {}), ...(strip ? { strip_strings: true } : {}), ...(Object.keys(cast).length ? { cast } : {}), ...(key ? { drop_duplicates: [key] } : {}) };
    const cleaners = [first, normal ? { normalize_names: true } : {}].filter((config) => Object.keys(config).length).map((config) => ({ type: "cleaner", config }));
    return {
      name, collectors: [probe.collector], processors: [...cleaners, { type: "analyzer", config: {} }],
      ...(cron ? { schedule: { cron, timezone: Intl.DateTimeFormat().resolvedOptions().timeZone } } : {}),
    };
  }, [name, columns, strip, normal, key, cron, probe]);
  const text = written ?? dump(document, { noRefs: true, lineWidth: 110 });
  const create = useAction(async () => {
    const made = await post("/pipeline/create", new Blob([text]), { headers: { "content-type": "application/yaml" } });
    const run = await post(`/pipeline/${made.name}/execute?wait=0`);
    go(to(["runs", run.run_id]));
  });
  const change = (place, what) => setColumns(columns.map((column, number) => (number === place ? { ...column, ...what } : column)));
  return html`
    <section class="card"><h2>What it is</h2>
      <p>${probe.format}, ${count(probe.columns.length)} columns, ${count(probe.sample_rows)} rows looked at.${probe.records_path ? html` Records are at <code>${probe.records_path}</code>.` : ""}${probe.pagination ? html` Pages: <code>${cell(probe.pagination.type ?? probe.pagination)}</code>.` : ""}</p>
      ${probe.notes.map((note) => html`<div class="warning">${note.message ?? note}</div>`)}
      ${written === null && html`<div class="scroll"><table class="cards"><caption class="visually-hidden">Columns</caption><thead><tr><th>Keep</th><th>Column</th><th>As</th><th class="number">Missing</th><th>Looks like</th><th>Values</th></tr></thead>
        <tbody>${probe.columns.map((column, place) => html`<tr><td><input type="checkbox" aria-label=${`Keep ${column.name}`} checked=${columns[place].kept} onChange=${(event) => change(place, { kept: event.currentTarget.checked })} /></td>
          <th scope="row">${column.name}</th><td><select aria-label=${`Type of ${column.name}`} value=${columns[place].type} onChange=${(event) => change(place, { type: event.currentTarget.value })}><option value="">${column.type}</option>${TYPES.filter((type) => type !== column.type).map((type) => html`<option>${type}</option>`)}</select></td>
          <td class="number" data-label="Missing">${count(column.missing)}</td><td>${column.looks_like ? cell(column.looks_like) : ""}${probe.primary_keys.flat().includes(column.name) ? html` <span class="tag">key?</span>` : ""}</td><td class="quiet whole"><div class="clip">${column.samples.map(cell).join(" · ")}</div></td></tr>`)}</tbody></table></div>
      <div class="row"><label class="inline"><input type="checkbox" checked=${strip} onChange=${(event) => setStrip(event.currentTarget.checked)} /> Trim spaces of texts</label>
        <label class="inline"><input type="checkbox" checked=${normal} onChange=${(event) => setNormal(event.currentTarget.checked)} /> Column names in small letters with _</label>
        <label class="inline">One row for each <select value=${key} onChange=${(event) => setKey(event.currentTarget.value)}><option value="">row</option>${probe.columns.map((column) => html`<option>${column.name}</option>`)}</select></label>
        <label class="inline">Run <select value=${cron} onChange=${(event) => setCron(event.currentTarget.value)}>${[["", "when asked"], ["@hourly", "each hour"], ["0 6 * * *", "each day at 6"], ["0 6 * * 1", "each Monday at 6"], ["*/15 * * * *", "each 15 minutes"]].map(([value, words]) => html`<option value=${value}>${words}</option>`)}</select></label></div>`}
    </section>
    <section class="card"><div class="row"><label class="inline">Name <input value=${written === null ? name : (parsed(written)?.name ?? "")} disabled=${written !== null} pattern="[a-z][a-z0-9_-]{0,62}" onInput=${(event) => setName(event.currentTarget.value)} /></label>
        <button type="button" class="primary" disabled=${create.busy} onClick=${() => create.run()}>Create and run</button></div>
      <${Problem} error=${create.error} /></section>
    <${ConfigurationEditor} text=${text} onChange=${(next) => next !== text && setWritten(next)} />`;
}
