/** A few rows as a table: each column's head says its type and shape, and opens its choices; changed cells are marked. */

import { html, useMemo } from "preact";
import { cell, count, counted } from "console/format";
import { changed, earlierRows } from "console/parts/making/row_changes";
import { typeWord } from "console/parts/making/types";

const MOST = 40;
const LONGEST = 80;

/**
 * `rows` and `earlier` are what a preview answers after a step and after another one before it; `before` tells a column's
 * earlier name, `columns` are those of the sample's profile, and `onOpen` opens a column.
 */
export function SampleTable({ label, rows, earlier, before = (name) => name, profile = [], opened, onOpen }) {
  const shown = useMemo(() => rows.data.slice(0, MOST), [rows]);
  const names = rows.columns.map((column) => column.name);
  const pairs = useMemo(() => (earlier ? earlierRows(earlier.data, shown, names, before) : shown.map(() => null)), [rows, earlier]);
  return html`<div class="scroll sample" tabindex="0" role="region" aria-label=${label}><table>
    <thead><tr>${rows.columns.map((column) => html`<th scope="col" key=${column.name} class=${opened === column.name ? "opened" : ""}>
      <${Head} column=${column} profile=${profile.find((one) => one.name === column.name)} rows=${rows.total_rows} opened=${opened === column.name} onOpen=${onOpen} /></th>`)}</tr></thead>
    <tbody>${shown.map((row, number) => html`<tr key=${number}>${names.map((name) => html`<${Cell} key=${name} value=${row[name]} earlier=${pairs[number]} name=${before(name)} />`)}</tr>`)}</tbody>
  </table>${shown.length === 0 && html`<p class="quiet">${rows.total_rows > 0 ? "The rows are too large to be shown here." : "No row is left."}</p>`}</div>`;
}

function Head({ column, profile, rows, opened, onOpen }) {
  const facts = profile && html`<span class="quiet">${profile.missing ? `${count(profile.missing)} missing` : counted(profile.distinct, "value")}</span>`;
  const inner = html`<span class="column-name">${column.name}</span><span class="quiet">${typeWord(column.type)}</span><${Shape} profile=${profile} rows=${rows} />${facts}`;
  return onOpen ? html`<button type="button" class="column-head" aria-expanded=${opened} aria-label=${`Column ${column.name}, ${typeWord(column.type)}: clean and type`} onClick=${() => onOpen(column.name)}>${inner}</button>` : html`<div class="column-head">${inner}</div>`;
}

/** The distribution of a column, as small as a word. */
function Shape({ profile, rows }) {
  const counts = profile?.histogram?.counts ?? profile?.top?.map((one) => one.count).slice(0, 12) ?? [];
  if (counts.length === 0) return html`<span class="column-shape" aria-hidden="true"></span>`;
  const largest = profile.histogram ? Math.max(...counts, 1) : Math.max(counts[0], rows / 4, 1);
  const width = 96 / Math.max(counts.length, 6);
  return html`<svg class="column-shape" viewBox="0 0 96 18" preserveAspectRatio="none" aria-hidden="true">${counts.map((value, place) => html`<rect x=${place * width} y=${18 - (value / largest) * 17} width=${width - 1} height=${(value / largest) * 17} />`)}</svg>`;
}

function Cell({ value, earlier, name, }) {
  const text = cell(value);
  const other = changed(earlier, name, value);
  return html`<td class=${`${other ? "changed" : ""} ${typeof value === "number" || typeof value === "bigint" ? "number" : ""}`} title=${other ? `was: ${cell(earlier[name]) || "missing"}` : text.length > LONGEST ? text.slice(0, 2000) : null}>
    ${value === null || value === undefined ? html`<i class="quiet">missing</i>` : text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text}</td>`;
}
