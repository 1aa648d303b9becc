/** SQL over all tables: write, run, look, draw, explain, save as a query with parameters. */

import { html, useEffect, useMemo, useRef, useState } from "preact";
import { address, call, post, useAction, useApi } from "console/api";
import { count, duration } from "console/format";
import { Problem, Title } from "console/parts/basics";
import { ofRows } from "console/parts/blocks";
import { Editor } from "console/parts/editor";
import { Grid } from "console/parts/grid";
import { QuickChart } from "console/parts/quick_chart";
import { Snippet } from "console/parts/snippet";
import { go, Link, setQuery, to, useLocation } from "console/router";
import { may } from "console/session";

const MOST = 10_000;
const KEPT = 50;
const HISTORY = "penstock-sql";

/** Statements that ran in this tab: they may hold values that nobody else shall see, so that they end with it. */
const past = () => JSON.parse(sessionStorage.getItem(HISTORY) ?? "[]");
function remember(sql) {
  sessionStorage.setItem(HISTORY, JSON.stringify([sql, ...past().filter((one) => one !== sql)].slice(0, KEPT)));
}

/** The names of `$name` parameters of a statement, outside of texts and comments. */
const parametersOf = (sql) => [...new Set([...sql.replace(/'(?:[^']|'')*'|--[^\n]*|\/\*[\s\S]*?\*\//g, "").matchAll(/\$([A-Za-z_]\w*)/g)].map((found) => found[1]))];

/** A parameter as it was typed: a number or a truth value if it reads as one, else text. */
function typed(text) {
  if (text === "") return null;
  if (/^-?\d{1,15}(\.\d+)?$/.test(text)) return Number(text);
  return text === "true" || text === "false" ? text === "true" : text;
}

export default function Sql() {
  const { query } = useLocation();
  const tables = useApi("/tables", { limit: 1000 });
  const saved = useApi("/queries", { limit: 1000 });
  const [text, setText] = useState(query.get("sql") ?? "");
  const [answer, setAnswer] = useState(null);
  const [values, setValues] = useState({});
  const [view, setView] = useState("rows");
  const names = parametersOf(text);
  const body = { sql: text, limit: MOST, ...(names.length ? { parameters: Object.fromEntries(names.map((name) => [name, typed(values[name] ?? "")])) } : {}) };
  const running = useRef(null);
  const run = useAction(async (explain = false) => {
    running.current?.abort();
    running.current = new AbortController();
    setQuery({ sql: text });
    const found = await post("/query", explain ? { ...body, sql: `EXPLAIN ${text}` } : body, { signal: running.current.signal });
    if (!explain) remember(text);
    setView(explain ? "plan" : view === "plan" ? "rows" : view);
    setAnswer({ ...found, key: `${Date.now()}` });
  });
  useEffect(() => { if (query.get("sql") && query.get("run") !== "no") run.run(); }, []);
  const schema = useMemo(() => Object.fromEntries((tables.data?.items ?? []).map((one) => [one.name, one.columns.map((column) => column.name)])), [tables.data]);
  return html`<main id="main" class="wide" aria-busy=${tables.data === null && !tables.error}>
    <${Title} text="SQL"><div class="row">
      <${Snippet} request=${{ method: "POST", path: "/query", body, python: `frame = client.query(${JSON.stringify(text)})\nprint(frame)\n` }} />
      ${may("operator") && html`<${Save} sql=${text} names=${names} reload=${saved.reload} />`}
    </div><//>
    <div class="beside">
      <aside aria-label="Tables and queries"><${Shelf} tables=${tables.data?.items ?? []} saved=${saved.data?.items ?? []} take=${setText} /></aside>
      <div class="stack">
        <${Editor} value=${text} onChange=${setText} onSubmit=${() => run.run()} kind="sql" label="SQL" schema=${schema} height="11rem" />
        ${names.length > 0 && html`<div class="row">${names.map((name) => html`<label class="inline"><code>$${name}</code>
          <input value=${values[name] ?? ""} placeholder="null" onInput=${(event) => setValues({ ...values, [name]: event.currentTarget.value })} /></label>`)}</div>`}
        <div class="row"><button type="button" class="primary" disabled=${run.busy || !text.trim()} onClick=${() => run.run()}>Run</button>
          ${run.busy && html`<button type="button" onClick=${() => running.current?.abort()}>Stop</button>`}
          <button type="button" disabled=${run.busy || !text.trim()} onClick=${() => run.run(true)}>Explain</button>
          <span class="quiet" role="status">${run.busy ? "Running …" : answer ? `${count(answer.row_count)} rows in ${duration(answer.elapsed_ms / 1000)}${answer.truncated ? `, the first ${count(MOST)} of them` : ""}` : "Ctrl+Enter runs it."}</span>
          ${answer && view !== "plan" && html`<div class="row choice" role="group" aria-label="Show as">
            ${[["rows", "Rows"], ["chart", "Chart"]].map(([name, word]) => html`<button type="button" aria-pressed=${view === name} onClick=${() => setView(name)}>${word}</button>`)}</div>`}</div>
        ${run.error?.name !== "AbortError" && html`<${Problem} error=${run.error} />`}
        ${answer && !run.error && html`<${Answer} answer=${answer} view=${view} />`}
      </div>
    </div>
  </main>`;
}

function Answer({ answer, view }) {
  const names = answer.columns.map((column) => column.name);
  const rows = useMemo(() => answer.data.map((row) => (Array.isArray(row) ? row : names.map((name) => row[name]))), [answer.key]);
  if (view === "plan") return html`<pre tabindex="0">${rows.map((row) => row.at(-1)).join("\n")}</pre>`;
  if (view === "chart") return html`<${QuickChart} columns=${answer.columns} rows=${rows} />`;
  return html`<div class="answer"><${Grid} source=${ofRows(answer.key, answer.columns, rows)} label="Answer" empty="The answer has no rows." /></div>`;
}

function Shelf({ tables, saved, take }) {
  return html`
    <details open><summary>Tables <span class="quiet">${tables.length}</span></summary>
      ${tables.map((one) => html`<details class="table"><summary>${one.name} <span class="quiet">${count(one.row_count)}</span></summary>
        <button type="button" class="plain" onClick=${() => take(`SELECT *\nFROM "${one.name}"\nLIMIT 100`)}>Select from it</button>
        <ul>${one.columns.map((column) => html`<li><code>${column.name}</code> <span class="quiet">${column.type}</span></li>`)}</ul></details>`)}</details>
    <details open=${saved.length > 0}><summary>Saved queries <span class="quiet">${saved.length}</span></summary>
      <ul>${saved.map((one) => html`<li><button type="button" class="plain" title=${one.description ?? ""} onClick=${() => take(one.sql)}>${one.name}</button>
        <a href=${address(`/q/${one.name}`, { format: "json" })} title="Its address, for programs">${one.public ? "public" : ""}</a></li>`)}</ul></details>
    <details><summary>History of this tab</summary><ul>${past().map((sql) => html`<li><button type="button" class="plain clip" onClick=${() => take(sql)}>${sql.replace(/\s+/g, " ")}</button></li>`)}</ul></details>`;
}

const TYPES = ["string", "int64", "float64", "boolean", "date", "datetime"];

/** Saves the statement under a name, with the type of each parameter. */
function Save({ sql, names, reload }) {
  const dialog = useRef(null);
  const [made, setMade] = useState(null);
  const save = useAction(async (form) => {
    const parameters = Object.fromEntries(names.map((name) => [name, { type: form.get(`type-${name}`), required: true }]));
    const name = form.get("name");
    await call("PUT", `/queries/${name}`, { body: { sql, description: form.get("description") || null, parameters } });
    setMade(name);
    reload();
  });
  return html`<button type="button" disabled=${!sql.trim()} onClick=${() => { setMade(null); dialog.current.showModal(); }}>Save as query</button>
    <dialog ref=${dialog} aria-label="Save as query">
      <h2>Save as query</h2>
      ${made === null ? html`<form class="stack" onSubmit=${(event) => { event.preventDefault(); save.run(new FormData(event.currentTarget)); }}>
        <label>Name <input name="name" required pattern="[a-z][a-z0-9_-]*" title="Small letters, digits, - and _" /></label>
        <label>What it answers <input name="description" /></label>
        ${names.map((name) => html`<label>Type of $${name} <select name=${`type-${name}`}>${TYPES.map((type) => html`<option>${type}</option>`)}</select></label>`)}
        <${Problem} error=${save.error} />
        <div class="row"><button class="primary" disabled=${save.busy}>Save</button><button type="button" onClick=${() => dialog.current.close()}>Cancel</button></div></form>`
      : html`<p>Programs ask for it at</p><pre tabindex="0">${location.origin + address(`/q/${made}`, Object.fromEntries(names.map((name) => [name, "…"])))}</pre>
        <div class="row"><${Snippet} request=${{ path: `/q/${made}` }} /><button type="button" onClick=${() => dialog.current.close()}>Close</button></div>`}
    </dialog>`;
}
