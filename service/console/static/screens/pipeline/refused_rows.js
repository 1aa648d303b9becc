/** A page of refused rows as a table whose values can be mended; what was changed is kept by row until it is sent. */

import { html, useState } from "preact";
import { cell } from "console/format";

const MOST_COLUMNS = 30;
const PLACE = ["step", "source", "file", "line", "row"];
const WHOLE = /^U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?$/i;
const BROKEN = /^(DOUBLE|FLOAT|REAL)/i;

/** Where a row came from, which is its name for a replay. */
const placeOf = (row) => Object.fromEntries(PLACE.map((name) => [name, row[`_${name}`]]));

/** A mended row as `POST /quarantine/replay` takes it; `wide` has the whole numbers beyond 2^53, as text. */
export function asRequest({ place, values, wide = {} }) {
  const exact = Object.entries(wide).map(([name, text]) => [name, JSON.rawJSON?.(text) ?? Number(text)]);
  return { ...place, values: { ...values, ...Object.fromEntries(exact) } };
}

/** The value that somebody wrote, as JSON: `{value}`, or `{wrong}` with what the column takes. */
function written(text, type) {
  if (text === "") return { value: null };
  if (WHOLE.test(type)) {
    if (!/^[+-]?\d+$/.test(text.trim())) return { wrong: "a whole number" };
    const number = Number(text);
    return Number.isSafeInteger(number) ? { value: number } : { value: number, wide: BigInt(text).toString() };
  }
  if (BROKEN.test(type)) return Number.isNaN(Number(text)) ? { wrong: "a number" } : { value: Number(text) };
  if (/^BOOL/i.test(type)) return /^(true|false)$/i.test(text) ? { value: text.toLowerCase() === "true" } : { wrong: "true or false" };
  return { value: text };
}

export function RefusedRows({ data, drafts, onChange, canMend }) {
  const broken = new Set(data.rules.map((one) => one.column));
  const own = data.columns.filter((column) => !/^_(rules|step|source|file|line|row|text)$/.test(column.name)).sort((a, b) => broken.has(b.name) - broken.has(a.name));
  const columns = [...(data.data.some((row) => row._text !== null) ? [{ name: "_text", type: "VARCHAR" }] : []), ...own.slice(0, MOST_COLUMNS)];
  const keys = data.data.map((row) => JSON.stringify(placeOf(row)));
  const all = keys.length > 0 && keys.every((key) => drafts.has(key));
  const change = (row, key, next) => {
    const changed = new Map(drafts);
    if (next === null) changed.delete(key);
    else changed.set(key, { place: placeOf(row), values: {}, wrong: {}, texts: {}, ...changed.get(key), ...next });
    onChange(changed);
  };
  const chooseAll = () => {
    const changed = new Map(drafts);
    data.data.forEach((row, place) => (all ? changed.delete(keys[place]) : changed.has(keys[place]) || changed.set(keys[place], { place: placeOf(row), values: {}, wrong: {}, texts: {} })));
    onChange(changed);
  };
  return html`<div class="scroll refused" tabindex="0" role="region" aria-label="Rows in quarantine"><table class="slim">
    <thead><tr>${canMend && html`<th><input type="checkbox" aria-label="Choose all rows of this page" checked=${all} onChange=${chooseAll} /></th>`}<th>Why</th>
      ${columns.map((column) => html`<th key=${column.name}>${column.name === "_text" ? "line as it came" : column.name}</th>`)}<th>Came from</th></tr></thead>
    <tbody>${data.data.map((row, place) => {
      const draft = drafts.get(keys[place]);
      const name = row._row ?? row._line ?? place + 1;
      return html`<tr key=${keys[place]} class=${draft ? "chosen" : ""}>
        ${canMend && html`<td><input type="checkbox" aria-label=${`Choose row ${name}`} checked=${draft !== undefined} onChange=${() => change(row, keys[place], draft ? null : {})} /></td>`}
        <td class="why">${(row._rules ?? []).map((why) => html`<div>${why.column && html`<code>${why.column}</code> `}${why.message ?? why.rule}${why.value !== null && why.column && html` <span class="quiet">(${why.value})</span>`}</div>`)}</td>
        ${columns.map((column) => html`<${Value} key=${column.name} column=${column} value=${row[column.name]} name=${name} draft=${draft} canMend=${canMend && (column.name === "_text" ? row._text !== null : row._text === null)}
          bad=${(row._rules ?? []).some((why) => why.column === column.name)} onChange=${(next) => change(row, keys[place], next)} />`)}
        <td class="quiet">${row._file ? `${row._file}${row._line === null ? "" : `, line ${row._line}`}` : row._row === null ? "" : `row ${row._row} of ${row._step}`}</td></tr>`;
    })}</tbody></table>
    ${own.length > MOST_COLUMNS && html`<p class="quiet">${MOST_COLUMNS} of ${own.length} columns, first those that broke a rule.</p>`}</div>`;
}

function Value({ column, value, name, draft, canMend, bad, onChange }) {
  const [editing, setEditing] = useState(false);
  const mended = draft !== undefined && Object.hasOwn(draft.texts, column.name);
  const old = value === null || value === undefined ? "" : cell(value);
  const text = mended ? draft.texts[column.name] : old;
  const keep = (next) => {
    setEditing(false);
    if (next === text) return;
    const rest = (from) => Object.fromEntries(Object.entries(from ?? {}).filter(([key]) => key !== column.name));
    const [texts, values, wide, wrong] = [rest(draft?.texts), rest(draft?.values), rest(draft?.wide), rest(draft?.wrong)];
    if (next !== old) {
      texts[column.name] = next;
      const read = written(next, column.type);
      if (read.wrong) wrong[column.name] = read.wrong;
      else values[column.name] = read.value;
      if (read.wide) wide[column.name] = read.wide;
    }
    onChange({ texts, values, wide, wrong });
  };
  const shown = (it) => (it === "" ? html`<em class="quiet">null</em>` : it);
  const label = `${column.name === "_text" ? "line" : column.name} of row ${name}`;
  if (editing) {
    return html`<td class="editing"><input value=${text} aria-label=${label} ref=${(input) => input && document.activeElement !== input && (input.focus(), input.select())}
      onKeyDown=${(event) => { if (event.key === "Enter") keep(event.currentTarget.value); else if (event.key === "Escape") setEditing(false); }} onBlur=${(event) => keep(event.currentTarget.value)} /></td>`;
  }
  const inside = mended ? html`<del>${shown(old)}</del> → <ins>${shown(text)}</ins>` : shown(text);
  const wrong = draft?.wrong?.[column.name];
  return html`<td class=${`${bad ? "bad" : ""} ${mended ? "moved" : ""}`}>${canMend
    ? html`<button type="button" class="value" title=${text || null} aria-label=${`Edit ${label}: ${text || "null"}`} onClick=${() => setEditing(true)}>${inside}</button>`
    : html`<span class="clip" title=${text}>${column.name === "_text" && value === null ? "" : inside}</span>`}${wrong && html`<div class="late" role="alert">this column takes ${wrong}</div>`}</td>`;
}
