/** SQL over all tables: write, run, look, draw, explain, save as a query with parameters. */

import { html, useCallback, useEffect, useMemo, useRef, useState } from "preact";
import { useApi } from "console/api";
import { count } from "console/format";
import { Title } from "console/parts/basics";
import { Editor } from "console/parts/editor";
import { Snippet } from "console/parts/snippet";
import { Answer, summary } from "console/parts/sql/answer";
import { useAnswer } from "console/parts/sql/answers";
import { addressOf, body, parameters, PLANS, read, tooLong } from "console/parts/sql/asked";
import { completion } from "console/parts/sql/completion";
import { begun, keep } from "console/parts/sql/draft";
import { History } from "console/parts/sql/history";
import { python } from "console/parts/sql/kinds";
import { faultOf, ParameterFields } from "console/parts/sql/parameter_fields";
import { hints } from "console/parts/sql/parameter_hints";
import { placeOf, plain, SqlProblem } from "console/parts/sql/problem";
import { SavedQuery } from "console/parts/sql/saved_query";
import { allQueries, SaveQuery } from "console/parts/sql/save_query";
import { Tables } from "console/parts/sql/shelf";
import { parametersOf } from "console/parts/sql/statement";
import { go, Link, useLocation } from "console/router";
import { may } from "console/session";

const CHART = ["along", "up", "split", "kind", "each"];

export default function Sql() {
  const { query } = useLocation();
  const [long, setLong] = useState(null); // what was asked, where no address is long enough for it
  const asked = useMemo(() => (long ? { ...long, view: query.get("view") ?? "rows" } : read(query)), [query.toString(), long]);
  const catalog = useApi("/tables", { limit: 1000 });
  const tables = useMemo(() => catalog.data?.items ?? [], [catalog.data]);
  const [queries, reload] = useQueries();
  const definition = queries?.find((one) => one.name === asked?.saved) ?? null;
  const lacking = asked?.saved && asked.sql === null && (queries === null || lacks(definition, asked.values));
  const answer = useAnswer(asked === null || lacking ? null : explained(asked, definition));
  const editor = useRef(null);
  const known = useRef([]);
  known.current = tables;
  const complete = useCallback((context) => completion(context, known.current), []);
  const { text, values, write, fields } = useStatement(asked, definition, tables);
  const [strict, setStrict] = useState(false);
  const [fresh, setFresh] = useState(null); // the query that was saved just now: its addresses are in sight
  const changed = definition !== null && text !== definition.sql;

  /** Asks by the address; the same address again asks anew. */
  const open = (next) => {
    const kept = Object.fromEntries(CHART.map((name) => [name, query.get(name)]));
    const url = addressOf(next, kept);
    const isLong = tooLong(url);
    setLong(isLong ? next : null);
    if (isLong ? long !== null && addressOf(next) === addressOf(long) : url === location.pathname + location.search) answer.again();
    else go(isLong ? addressOf({ ...next, sql: null, saved: null, values: {} }, kept) : url);
  };
  const run = (view) => {
    const selected = editor.current?.selected() ?? "";
    const sql = selected.trim() ? selected : text;
    if (!sql.trim()) return;
    const used = fieldsOf(sql, fields);
    setStrict(true);
    if (used.some(faultOf)) { document.querySelector(".parameters [aria-invalid], .parameters input, .parameters select")?.focus(); return; }
    const given = Object.fromEntries(used.map((one) => [one.name, { kind: one.kind, text: one.text }]));
    const plan = Object.hasOwn(PLANS, view);
    const next = { sql: definition !== null && sql === definition.sql && !plan ? null : sql, saved: definition?.name ?? null, values: given, view };
    keep(next, text, values);
    open(next);
  };
  const runAsSeen = () => run(asked?.view === "chart" ? "chart" : "rows");
  const submit = useRef(null);
  submit.current = runAsSeen;
  const onKey = (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.defaultPrevented) return;
    event.preventDefault();
    runAsSeen();
  };
  const problems = useMemo(() => {
    const place = answer.error && placeOf(answer.error, asked);
    const start = place ? text.indexOf(asked.sql) : -1;
    return start < 0 ? [] : [{ from: start + place.from, to: start + place.to, message: plain(answer.error) }];
  }, [answer.error]);
  const shown = { sql: text, values: Object.fromEntries(fields.map((one) => [one.name, faultOf(one) ? { kind: "null", text: "" } : one])), view: "rows" };
  const saved = (name, sql) => {
    const next = { sql: null, saved: name, values: shown.values, view: "rows" };
    setFresh(name);
    keep(next, sql, values);
    go(addressOf(next));
  };
  const look = (sql) => { keep({ sql }, sql, values); open({ sql, saved: null, values: {}, view: "rows" }); };
  const again = (past) => { keep(past, past.sql ?? "", past.values); open(past); };
  return html`<main id="main" class="wide" aria-busy=${(catalog.data === null && !catalog.error) || queries === null}>
    <${Title} text="SQL"><div class="row">
      ${text.trim() && html`<${Snippet} request=${{ method: "POST", path: "/query", json: body(shown), python: pythonOf(shown) }} />`}
      ${may("operator") && html`<${SaveQuery} text="Save as query" sql=${text} kinds=${Object.fromEntries(fields.map((one) => [one.name, one.kind]))} reload=${reload} saved=${saved} />`}
    </div><//>
    <div class="beside">
      <aside aria-label="Tables, queries, history">
        <details open><summary>Tables <span class="quiet">${count(tables.length)}</span></summary><${Tables} tables=${tables} insert=${(name) => editor.current.insert(name)} look=${look} /></details>
        <details open><summary>Saved queries <span class="quiet">${count(queries?.length ?? 0)}</span></summary><${Queries} queries=${queries ?? []} current=${asked?.saved} /></details>
        <details><summary>History of this tab</summary><${History} open=${again} /></details>
      </aside>
      <div class="stack" onKeyDown=${onKey}>
        <${Editor} value=${text} onChange=${(next) => write(next, values)} onSubmit=${() => submit.current()} kind="sql" label="SQL" complete=${complete} problems=${problems} control=${editor} height="11rem" />
        ${fields.length > 0 && html`<${ParameterFields} fields=${fields} strict=${strict} change=${(name, value) => write(text, { ...values, [name]: value })} />`}
        <div class="row"><button type="button" class="primary" disabled=${answer.busy || !text.trim()} onClick=${runAsSeen}>Run</button>
          ${answer.busy ? html`<button type="button" onClick=${answer.stop}>Stop</button>` : html`<button type="button" disabled=${!text.trim()} onClick=${() => run("plan")}>Explain</button>`}
          <span class="quiet" role="status">${lacking ? (queries === null ? "" : "Fill in what the query needs, and run it.") : status(answer, asked, text, long)}</span></div>
        ${answer.error && html`<${SqlProblem} error=${answer.error} asked=${asked} show=${(place) => { const start = Math.max(text.indexOf(asked.sql), 0); editor.current.show(start + place.from, start + place.to); }} />`}
        ${definition && html`<${SavedQuery} definition=${definition} values=${shown.values} changed=${changed} open=${changed || fresh === definition.name} back=${() => write(definition.sql, values)} reload=${reload} saved=${saved} gone=${() => go(addressOf({ sql: text, saved: null, values: shown.values, view: "rows" }), { replace: true })} />`}
        ${answer.answer && !answer.error && !answer.stopped && html`<div class=${answer.busy ? "old" : ""}><${Answer} answer=${answer.answer} view=${asked?.view ?? "rows"} /></div>`}
      </div>
    </div>
  </main>`;
}

/** Whether a saved query waits for a value that every request needs; one that is not in the list says so itself. */
const lacks = (definition, values) => Object.entries(definition?.parameters ?? {}).some(([name, about]) => about.required && !values[name]?.text);

/** A plan is that of a statement, also where the address names a saved query; null until its definition is here. */
function explained(asked, definition) {
  if (asked.sql !== null || !Object.hasOwn(PLANS, asked.view)) return asked;
  if (definition === null) return null;
  const values = Object.entries(definition.parameters).map(([name, about]) => {
    const text = asked.values[name]?.text ?? (about.default === null ? "" : String(about.default));
    return [name, text === "" ? { kind: "null", text } : { kind: about.type, text }];
  });
  return { ...asked, sql: definition.sql, values: Object.fromEntries(values) };
}

/** The statement and its values as they are written; they follow the address when it changes. */
function useStatement(asked, definition, tables) {
  const key = JSON.stringify([asked?.sql, asked?.saved, asked?.values, asked?.sql ? null : definition?.sql]);
  const first = useMemo(() => begun(asked, definition), [key]);
  const [written, setWritten] = useState({ key, ...first });
  const { text, values } = written.key === key ? written : first;
  useEffect(() => setWritten((before) => (before.key === key ? before : { key, ...first })), [key]);
  const write = (nextText, nextValues) => {
    setWritten({ key, text: nextText, values: nextValues });
    keep(asked, nextText, nextValues);
  };
  const fields = useMemo(() => {
    const found = parametersOf(text);
    const guessed = hints(text, found, tables);
    return found.map(({ name }) => {
      const about = text === definition?.sql ? definition.parameters[name.toLowerCase()] ?? null : null;
      const given = values[name] ?? { kind: null, text: "" };
      return { name, about, kind: about?.type ?? given.kind ?? guessed[name], text: given.text };
    });
  }, [text, values, definition, tables]);
  return { text, values, write, fields };
}

/** The fields of the parameters that a part of the text names. */
const fieldsOf = (sql, fields) => parametersOf(sql).map(({ name }) => fields.find((one) => one.name.toLowerCase() === name.toLowerCase()) ?? { name, kind: "null", text: "", about: null });

function pythonOf(asked) {
  const values = parameters(asked.sql, asked.values, python);
  return `frame = client.query(${[JSON.stringify(asked.sql), values].filter(Boolean).join(", ")})\nprint(frame)\n`;
}

function status(answer, asked, text, long) {
  if (asked === null) return "Ctrl+Enter runs it, or the part that is selected.";
  if (answer.busy) return "Running …";
  if (answer.stopped) return "Stopped.";
  if (answer.error) return "";
  const after = asked.sql !== null && !text.includes(asked.sql) ? " The statement was changed since." : long ? " The statement is too long for an address: a link would not hold it." : "";
  return answer.answer ? `${summary(answer.answer)}.${after}` : "";
}

/** The saved queries, null while they are read, and what reads them again. */
function useQueries() {
  const [queries, setQueries] = useState(null);
  const reload = useCallback(async (signal) => setQueries(await allQueries(signal)), []);
  useEffect(() => {
    const stop = new AbortController();
    reload(stop.signal).catch(() => stop.signal.aborted || setQueries([]));
    return () => stop.abort();
  }, []);
  return [queries, reload];
}

function Queries({ queries, current }) {
  if (queries.length === 0) return html`<p class="quiet">None yet. A saved query is a statement with an address of its own.</p>`;
  return html`<ul>${queries.map((one) => html`<li key=${one.name}><${Link} href=${addressOf({ sql: null, saved: one.name, values: {}, view: "rows" })} aria-current=${one.name === current ? "page" : null}>${one.name}<//>
    ${one.public && html` <span class="quiet small">public</span>`}${one.description && html`<div class="quiet small">${one.description}</div>`}</li>`)}</ul>`;
}
