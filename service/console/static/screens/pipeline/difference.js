/** Two versions side by side: how many rows differ, how each column moved, and samples with old and new values. */

import { html, useMemo, useState } from "preact";
import { useApi } from "console/api";
import { cell, count, percent } from "console/format";
import { Loaded } from "console/parts/basics";
import { Snippet } from "console/parts/snippet";
import { Link, setQuery, to } from "console/router";

const KINDS = ["added", "removed", "changed", "unchanged"];
const MOST_COLUMNS = 40;

export function Difference({ name, version, against, query }) {
  const path = `/pipeline/${name}/versions/${encodeURIComponent(version)}/diff`;
  const key = query.get("key");
  const asked = { against, key, limit: 20 };
  const request = useApi(path, asked);
  return html`<section class="card" aria-label="Difference" aria-busy=${request.loading}>
    <header class="row spread"><h2>Version ${version} against ${against ?? "the one before"}</h2>
      <div class="row"><form class="row" onSubmit=${(event) => { event.preventDefault(); setQuery({ key: new FormData(event.currentTarget).get("key") }); }}>
          <label class="inline">Key <input name="key" value=${key ?? ""} size="14" placeholder=${request.data?.key?.join(",") || "whole rows"} title="Columns by which rows are the same row, with commas" /></label></form>
        <${Snippet} request=${{ path, query: asked }} />
        <button type="button" onClick=${() => setQuery({ compare: null, with: null, key: null })}>Close</button></div></header>
    <${Loaded} request=${request}>${(found) => html`<${Rows} rows=${found.rows} keyed=${found.key.length > 0} /><${Columns} columns=${found.columns} /><${Samples} name=${name} found=${found} />`}<//>
  </section>`;
}

function Rows({ rows, keyed }) {
  const whole = Math.max(KINDS.reduce((sum, kind) => sum + rows[kind], 0), 1);
  let from = 0;
  const parts = KINDS.map((kind) => { const part = { kind, from, width: (rows[kind] / whole) * 100 }; from += part.width; return part; });
  return html`<div class="stack"><svg class="shares" width="100%" height="14" viewBox="0 0 100 14" preserveAspectRatio="none" aria-hidden="true">${parts.map(({ kind, from: x, width }) => html`<rect class=${`rows-${kind}`} x=${x} width=${width} height="14" />`)}</svg>
    <dl class="counts">${KINDS.map((kind) => html`<div class=${`count-${kind}`}><dt>${kind}</dt><dd>${count(rows[kind])}</dd></div>`)}
      <div><dt>before</dt><dd>${count(rows.before)}</dd></div><div><dt>after</dt><dd>${count(rows.after)}</dd></div></dl>
    ${!keyed && html`<p class="quiet">Without a key a changed row counts as one removed and one added. Write the columns of the key above to see what changed within rows.</p>`}</div>`;
}

/** The population stability index in words; 0.1 and 0.25 are the bounds that people use. */
const drift = (psi) => (psi === null ? null : psi < 0.1 ? "stays" : psi < 0.25 ? "moved a little" : "moved a lot");

const figure = (value) => (typeof value === "number" ? String(+value.toPrecision(4)) : "–");
const moved = ({ before, after }, write) => {
  const [old, now] = [write(before), write(after)];
  return old === now ? html`<span class="quiet">${now}</span>` : html`<del>${old}</del> → <ins>${now}</ins>`;
};
const isNew = (column) => column.change !== null || column.changed > 0 || column.psi >= 0.1 || column.missing_share.before !== column.missing_share.after;
const weight = (column) => (column.change ? 10 : 0) + Math.min(column.psi ?? 0, 5);

function Columns({ columns }) {
  const [all, setAll] = useState(false);
  const [words, setWords] = useState("");
  const differing = useMemo(() => columns.filter(isNew).sort((a, b) => weight(b) - weight(a)), [columns]);
  const found = (all || words ? columns : differing).filter((column) => column.name.toLowerCase().includes(words.toLowerCase()));
  const shown = found.slice(0, MOST_COLUMNS);
  return html`<section class="stack"><header class="row spread"><h3>Columns <span class="quiet">${differing.length ? `${count(differing.length)} of ${count(columns.length)} differ` : "none differs"}</span></h3>
      <div class="row">${columns.length > 8 && html`<input type="search" aria-label="Search columns" placeholder="Search columns" value=${words} onInput=${(event) => setWords(event.currentTarget.value)} />`}
        ${differing.length < columns.length && html`<label class="inline"><input type="checkbox" checked=${all} onChange=${(event) => setAll(event.currentTarget.checked)} /> Also those that are the same</label>`}</div></header>
    ${shown.length > 0 && html`<div class="scroll" tabindex="0" role="region" aria-label="Columns"><table class="slim"><thead><tr><th>Column</th><th>Drift</th><th class="number">Values changed</th><th class="number">Missing</th><th class="number">Mean</th></tr></thead>
      <tbody>${shown.map((column) => html`<tr key=${column.name}><th scope="row"><span class="clip" title=${column.name}>${column.name}</span> <span class="quiet">${column.type}</span></th>
        <td>${column.change ? html`<span class=${`change-${column.change}`}>${column.change}</span>` : drift(column.psi) && html`<span class=${column.psi >= 0.25 ? "late" : column.psi < 0.1 ? "quiet" : ""} title="Population stability index: under 0.1 nothing moved, over 0.25 a lot">${drift(column.psi)} <span class="quiet">${figure(column.psi)}</span></span>`}</td>
        <td class="number">${count(column.changed)}</td><td class="number">${moved(column.missing_share, percent)}</td><td class="number">${moved(column.mean, figure)}</td></tr>`)}</tbody></table></div>`}
    ${found.length > shown.length && html`<p class="quiet">The first ${count(shown.length)} of ${count(found.length)}; search for others.</p>`}</section>`;
}

const written = (value) => (value === null || value === undefined ? "null" : cell(value) === "" ? "empty" : cell(value));

function Samples({ name, found: { samples, version, against } }) {
  const changed = useMemo(() => samples.changed.map(({ key, before, after }) => ({ key, before, after, names: Object.keys({ ...before, ...after }).filter((one) => written(before[one]) !== written(after[one])) })), [samples]);
  const names = [...new Set(changed.flatMap((row) => row.names))].slice(0, MOST_COLUMNS);
  return html`
    ${changed.length > 0 && html`<details open><summary>Rows that changed <span class="quiet">${changed.length} of them, old → new</span></summary><div class="scroll" tabindex="0" role="region" aria-label="Rows that changed"><table class="slim samples">
      <thead><tr><th>${Object.keys(changed[0].key).join(", ")}</th>${names.map((one) => html`<th>${one}</th>`)}</tr></thead>
      <tbody>${changed.map((row) => html`<tr><th scope="row">${Object.values(row.key).map(cell).join(", ")}</th>${names.map((one) => (row.names.includes(one)
        ? html`<td class="moved"><del class="clip" title=${written(row.before[one])}>${written(row.before[one])}</del> → <ins class="clip" title=${written(row.after[one])}>${written(row.after[one])}</ins></td>`
        : html`<td class="quiet"><span class="clip">${written(row.after[one])}</span></td>`))}</tr>`)}</tbody></table></div></details>`}
    ${[["added", "Rows that were added", version], ["removed", "Rows that were removed", against]].map(([kind, text, from]) => samples[kind].length > 0 && html`<details><summary>${text} <span class="quiet">the first ${samples[kind].length}</span></summary>
      <div class="scroll" tabindex="0" role="region" aria-label=${text}><table class="slim samples">
        <thead><tr>${Object.keys(samples[kind][0]).slice(0, MOST_COLUMNS).map((one) => html`<th>${one}</th>`)}</tr></thead>
        <tbody>${samples[kind].map((row) => html`<tr>${Object.values(row).slice(0, MOST_COLUMNS).map((value) => html`<td><span class="clip" title=${cell(value)}>${written(value)}</span></td>`)}</tr>`)}</tbody></table></div>
      <p><${Link} href=${to(["data", name], { version: from })}>All rows of version ${from}<//></p></details>`)}`;
}
