/** Saves a statement as a query with typed parameters; a name that is taken is replaced only after a question. */

import { html, useRef, useState } from "preact";
import { call, get, useAction } from "console/api";
import { Problem } from "console/parts/basics";
import { programAddress } from "console/parts/sql/asked";
import { KINDS, wrong } from "console/parts/sql/kinds";
import { parametersOf } from "console/parts/sql/statement";
import { may } from "console/session";

const PAGE = 1000;

/** All saved queries that the account sees. */
export async function allQueries(signal) {
  const found = [];
  for (;;) {
    const page = await get("/queries", { limit: PAGE, offset: found.length }, { signal });
    found.push(...page.items);
    if (found.length >= page.total || page.items.length === 0) return found;
  }
}

/** A value as the API takes it in a definition: whole numbers that JSON would round stay texts. */
const scalar = (kind, text) => (kind === "boolean" ? text === "true" : kind === "integer" && Number.isSafeInteger(Number(text)) ? Number(text) : kind === "number" ? Number(text) : text);

/**
 * A button with its dialog. `definition` is the saved query that is changed, or null; `kinds` are the kinds of the
 * parameters by name as the screen has them; `saved` is called with the name and the statement.
 */
export function SaveQuery({ text, sql, definition = null, kinds = {}, reload, saved }) {
  const dialog = useRef(null);
  const [round, setRound] = useState(0);
  const open = () => { setRound((before) => before + 1); dialog.current.showModal(); };
  return html`<button type="button" disabled=${!sql.trim()} onClick=${open}>${text}</button>
    <dialog ref=${dialog} aria-label=${text}>${round > 0 && html`<${Form} key=${round} sql=${sql} definition=${definition} kinds=${kinds} reload=${reload} saved=${saved} close=${() => dialog.current.close()} />`}</dialog>`;
}

/** The fields of a parameter in the form, as texts. */
function first(name, kind, about) {
  const known = about ?? { type: kind && kind !== "null" ? kind : "string", required: true, default: null, enum: null, description: "" };
  return { name, type: known.type, required: known.required, fallback: known.default === null ? "" : String(known.default), listed: (known.enum ?? []).join(", "), description: known.description };
}

function Form({ sql, definition, kinds, reload, saved, close }) {
  const [given, setGiven] = useState({
    name: definition?.name ?? "", description: definition?.description ?? "", sql, rows: String(definition?.max_rows ?? ""),
    cache: definition?.cache_seconds ? String(definition.cache_seconds) : "", public: definition?.public ?? false,
  });
  const { name } = given;
  const found = parametersOf(given.sql);
  const [about, setAbout] = useState({});
  const parameters = found.map((one) => about[one.name.toLowerCase()] ?? first(one.name.toLowerCase(), kinds[one.name], definition?.parameters[one.name.toLowerCase()]));
  const change = (parameter, part) => setAbout({ ...about, [parameter]: { ...parameters.find((one) => one.name === parameter), ...part } });
  const [taken, setTaken] = useState(null);
  const [done, setDone] = useState(null);
  const nameless = found.some((one) => /^\d+$/.test(one.name));
  const save = useAction(async (replace) => {
    const same = replace || name === definition?.name ? null : (await allQueries()).find((one) => one.name === name);
    if (same) { setTaken(same); return; }
    const body = {
      sql: given.sql, description: given.description, public: given.public, cache_seconds: Number(given.cache || 0),
      max_rows: given.rows ? Number(given.rows) : null,
      parameters: Object.fromEntries(parameters.map((one) => [one.name, {
        type: one.type, required: one.required, description: one.description,
        default: one.required || one.fallback === "" ? null : scalar(one.type, one.fallback.trim()),
        enum: one.listed.trim() ? one.listed.split(",").map((part) => scalar(one.type, part.trim())) : null,
      }])),
    };
    await call("PUT", `/queries/${encodeURIComponent(name)}`, { body });
    await reload();
    saved(name, given.sql);
    setDone(name);
  });
  const submit = (replace) => { setTaken(null); save.run(replace); };
  const field = (part) => ({ value: given[part], onInput: (event) => { setTaken(null); setGiven({ ...given, [part]: event.currentTarget.value }); } });
  if (done !== null) return html`<h2>Saved as ${done}</h2><p>Programs ask for it at</p><pre tabindex="0">${programAddress(done, {})}</pre><div><button type="button" class="primary" autofocus onClick=${close}>Close</button></div>`;
  return html`<h2>${definition ? `Change ${definition.name}` : "Save as query"}</h2>
    <form class="stack" onSubmit=${(event) => { event.preventDefault(); submit(false); }}>
    <label>Name <input required maxlength="63" pattern="[a-z][a-z0-9_\\-]*" title="Small letters, digits, - and _, a letter first" readonly=${definition !== null} autocomplete="off" ...${field("name")} /></label>
    <label>What it answers <input maxlength="4000" ...${field("description")} /></label>
    <label>Statement <textarea class="mono" rows="4" required spellcheck="false" ...${field("sql")} /></label>
    ${nameless ? html`<p class="problem" role="alert">A saved query's parameters have names: write <code>$city</code> rather than <code>?</code> or <code>$1</code>.</p>`
      : parameters.map((one) => html`<${Parameter} key=${one.name} one=${one} change=${(part) => change(one.name, part)} />`)}
    <div class="row"><label class="inline">Rows at most <input type="number" min="1" class="short" ...${field("rows")} /></label>
      <label class="inline">An answer may be old for <input type="number" min="0" max="86400" class="short" placeholder="0" ...${field("cache")} /> s</label></div>
    ${may("admin") && html`<label class="inline"><input type="checkbox" checked=${given.public} onChange=${(event) => setGiven({ ...given, public: event.currentTarget.checked })} /> Public: everyone reads the answer, without signing in</label>`}
    <${Problem} error=${save.error} />
    ${taken && html`<div class="problem" role="alert"><strong>The name ${taken.name} is taken</strong><p>${taken.created_by} saved a query under it${taken.description ? `: ${taken.description}` : "."} Replacing it changes what its programs get.</p>
      <button type="button" class="danger" onClick=${() => submit(true)}>Replace ${taken.name}</button></div>`}
    <div class="row"><button class="primary" disabled=${save.busy || nameless}>Save</button><button type="button" onClick=${close}>Cancel</button></div></form>`;
}

function Parameter({ one, change }) {
  const set = (part) => (event) => change({ [part]: event.currentTarget.value });
  const fault = !one.required && one.fallback !== "" ? wrong(one.type, one.fallback.trim()) : null;
  return html`<fieldset class="parameter-form"><legend><code>$${one.name}</code></legend><div class="row">
    <label class="inline">Type <select value=${one.type} onChange=${set("type")}>${Object.entries(KINDS).filter(([kind]) => kind !== "null").map(([kind, words]) => html`<option value=${kind}>${words}</option>`)}</select></label>
    <label class="inline"><input type="checkbox" checked=${one.required} onChange=${(event) => change({ required: event.currentTarget.checked })} /> every request needs it</label>
    ${!one.required && html`<label class="inline">else <input class="short" placeholder="null" value=${one.fallback} aria-invalid=${fault ? "true" : null} onInput=${set("fallback")} /></label>`}</div>
    ${fault && html`<span class="fault" role="status">${fault}</span>`}
    <details><summary>Listed values, meaning</summary><div class="stack"><label>Only these values, with commas between <input value=${one.listed} onInput=${set("listed")} /></label>
      <label>What it means <input maxlength="1000" value=${one.description} onInput=${set("description")} /></label></div></details></fieldset>`;
}
