/** How the values of a column are spread: bars that can be pointed at, reached by key, and lead to their rows. */

import { html, useMemo, useState } from "preact";
import { cell, compact, count, counted, percent } from "console/format";
import { Link } from "console/router";

const HEIGHT = 140;
const MOST_TOP = 10;

/** The outline of a histogram, or the shares of the top values, small enough for a line of a list. */
export function Shape({ column }) {
  const values = column.histogram?.counts ?? column.top?.slice(0, 12).map((one) => one.count) ?? (column.true_share != null ? [column.true_share, 1 - column.true_share] : []);
  if (!values.length) return null;
  const largest = Math.max(...values, Number.MIN_VALUE);
  const width = 100 / values.length;
  return html`<svg class="shape" viewBox="0 0 100 24" preserveAspectRatio="none" aria-hidden="true">
    <path d=${values.map((value, place) => `M${place * width} 24V${24 - (value / largest) * 23}h${width * 0.86}V24`).join("")} /></svg>`;
}

const moment = (seconds) => new Date(seconds * 1000).toISOString().replace("T", " ").replace(/\.?0*Z$/, "").replace(/ 00:00(:00)?$/, "");
const isTime = (column) => column.span_seconds !== undefined || /^(date|time)/.test(column.type);

/** The rows of one bar as SQL: from its lower edge up to the next one, which is in the last bar only. */
function within(column, quoted, edges, place) {
  const write = (value) => (isTime(column) ? `TIMESTAMP '${new Date(value * 1000).toISOString().slice(0, 23).replace("T", " ")}'` : String(value));
  return `${quoted} >= ${write(edges[place])} AND ${quoted} ${place === edges.length - 2 ? "<=" : "<"} ${write(edges[place + 1])}`;
}

export function Distribution({ column, show, quoted }) {
  const { edges, counts } = column.histogram;
  const [chosen, setChosen] = useState(null);
  const [stop, setStop] = useState(0);
  const largest = Math.max(...counts, 1);
  const days = isTime(column) && edges.at(-1) - edges[0] > counts.length * 86400;
  const edge = (value) => (isTime(column) ? moment(value).slice(0, days ? 10 : undefined) : Math.abs(value) >= 1e7 ? compact(value) : String(+value.toPrecision(5)));
  const told = useMemo(() => counts.map((value, place) => `${edge(edges[place])} to ${edge(edges[place + 1])}: ${counted(value, "row")}`), [column]);
  const key = (event) => {
    const next = { ArrowLeft: stop - 1, ArrowRight: stop + 1, Home: 0, End: counts.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    event.currentTarget.children[Math.min(Math.max(next, 0), counts.length - 1)].firstElementChild.focus();
  };
  return html`<figure class="distribution" onPointerLeave=${() => setChosen(null)}>
    <ol aria-label=${`Distribution of ${column.name}`} onKeyDown=${key}>${counts.map((value, place) => html`<li key=${place}><${Link} href=${show(within(column, quoted, edges, place))} aria-label=${told[place]} tabindex=${place === stop ? 0 : -1}
        onPointerEnter=${() => setChosen(place)} onFocus=${() => { setChosen(place); setStop(place); }} onBlur=${() => setChosen(null)}>
      <svg width="100%" height=${HEIGHT} aria-hidden="true"><rect x="4%" width="92%" y=${HEIGHT - bar(value, largest)} height=${bar(value, largest)} rx="1.5" /></svg><//></li>`)}</ol>
    <figcaption class="row spread"><span class="quiet">${edge(edges[0])}</span><span>${chosen === null ? html`<span class="quiet">point at a bar; a click shows its rows</span>` : told[chosen]}</span><span class="quiet">${edge(edges.at(-1))}</span></figcaption>
  </figure>`;
}

const bar = (value, largest) => (value === 0 ? 0 : Math.max((value / largest) * (HEIGHT - 4), 2));

const literal = (value) => (value === null ? null : typeof value === "string" ? `'${value.replaceAll("'", "''")}'` : typeof value === "object" ? null : String(value));

/** The most frequent values; each leads to its rows. */
export function Top({ column, rows, show, quoted }) {
  const [all, setAll] = useState(false);
  const shown = all ? column.top : column.top.slice(0, MOST_TOP);
  const largest = Math.max(...column.top.map((one) => one.count), 1);
  const name = (value) => (value === "" ? html`<em>empty text</em>` : cell(value));
  return html`<div class="stack"><table class="top"><caption class="visually-hidden">Most frequent values</caption><tbody>${shown.map(({ value, count: found }) => html`<tr>
      <th scope="row">${literal(value) === null ? html`<span class="clip">${name(value)}</span>` : html`<${Link} class="clip" title=${cell(value)} href=${show(`${quoted} = ${literal(value)}`)}>${name(value)}<//>`}</th>
      <td class="share"><svg width="100%" height="12" aria-hidden="true"><rect class="bar-running" width=${`${(found / largest) * 100}%`} height="12" rx="2" /></svg></td>
      <td class="number">${count(found)} <span class="quiet">${percent(found / Math.max(rows, 1))}</span></td></tr>`)}</tbody></table>
    ${column.top.length > MOST_TOP && html`<button type="button" class="plain" onClick=${() => setAll(!all)}>${all ? "Fewer" : `All ${column.top.length} that were counted`}</button>`}</div>`;
}
