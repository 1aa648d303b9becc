/** The most frequent values of a column with their rows: a click chooses them. */

import { html } from "preact";
import { cell, count, percent } from "console/format";
import { Problem } from "console/parts/basics";
import { line } from "console/parts/grid/text";
import { setFilters } from "console/screens/data/address";
import { among, chosen, sort } from "console/screens/data/conditions";
import { useFacets } from "console/screens/data/measured";

const MANY = 1000;

export function Facets({ table, column, filters, busy, known }) {
  const many = ["number", "time"].includes(sort(column.type)) && (known === undefined || known.distinct > MANY);
  const found = useFacets(table, column, filters, !busy && !many);
  const place = filters.findIndex((one) => chosen(one)?.column === column.name);
  const taken = place < 0 ? [] : chosen(filters[place]).values;
  if (many) return null;
  const values = [...(found.data?.items ?? [])];
  for (const one of taken) if (found.data && !values.some(([value]) => same(value, one))) values.push([one, null]);
  const largest = Math.max(...values.map(([, rows]) => rows ?? 0), 1);
  const all = values.reduce((sum, [, rows]) => sum + (rows ?? 0), 0);
  const change = (value) => {
    const next = taken.some((one) => same(value, one)) ? taken.filter((one) => !same(value, one)) : [...taken, value];
    const others = filters.filter((_, other) => other !== place);
    setFilters(next.length ? [...others, among(column, next)] : others);
  };
  return html`<section class="stack" aria-label="Values"><h3>Values <span class="quiet" role="status">${!found.data && !found.error ? "counting …" : found.data?.more ? `the ${values.length} most frequent` : ""}</span></h3>
    <${Problem} error=${found.error} />
    ${values.length > 0 && html`<ul class="facets" aria-busy=${found.busy}>${values.map(([value, rows]) => html`<li key=${value === null ? "null" : `=${cell(value)}`}><label>
      <input type="checkbox" checked=${taken.some((one) => same(value, one))} onChange=${() => change(value)} />
      <span class=${value === null || value === "" ? "clip quiet" : "clip"} title=${value === null ? null : cell(value)}>${value === null ? html`<em>null</em>` : value === "" ? html`<em>empty text</em>` : line(value)}</span>
      <span class="quiet small">${count(rows)}${found.data.more || rows === null ? "" : ` · ${percent(Number((rows / Math.max(all, 1)).toPrecision(2)))}`}</span>
      <svg width="100%" height="4" aria-hidden="true"><rect class="bar-running" width=${`${((rows ?? 0) / largest) * 100}%`} height="4" rx="1" /></svg></label></li>`)}</ul>`}</section>`;
}

const same = (value, text) => (value === null || text === null ? value === text : cell(value) === cell(text));
