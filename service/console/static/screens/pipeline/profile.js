/** What the analyzer found: each column with its shape, its figures, and what is odd about it. */

import { html, useState } from "preact";
import { useApi } from "console/api";
import { cell, count, instant, percent } from "console/format";
import { Empty, Loaded } from "console/parts/basics";
import { Snippet } from "console/parts/snippet";
import { Link, setQuery, to } from "console/router";

export default function Profile({ name, query }) {
  const path = `/pipeline/${name}/profile`;
  const version = query.get("version");
  const request = useApi(path, { version });
  if (request.error?.status === 404) return html`<${Empty} title="No profile"><p>${request.error.message}</p><p>An <code>analyzer</code> among the processors makes one.</p><//>`;
  return html`<${Loaded} request=${request}>${(data) => {
    const place = Math.min(Number(query.get("analyzer") ?? 0), data.profiles.length - 1);
    const found = data.profiles[place];
    if (!found) return html`<${Empty} title="No profile"><p>The pipeline has no <code>analyzer</code>.</p><//>`;
    return html`
      <div class="row spread"><p class="quiet">Version ${data.version}: ${count(found.row_count)} rows, ${count(found.column_count)} columns${found.duplicate_rows ? `, ${count(found.duplicate_rows)} rows are there twice` : ""}${found.exact === false ? ", estimates of a sample" : ""}</p>
        <div class="row">${data.profiles.length > 1 && html`<label class="inline">Analyzer <select value=${String(place)} onChange=${(event) => setQuery({ analyzer: event.currentTarget.value })}>${data.profiles.map((_, number) => html`<option value=${String(number)}>${number + 1}</option>`)}</select></label>`}
          <${Snippet} request=${{ path, query: { version } }} /></div></div>
      ${found.warnings.map((one) => html`<div class="warning">${one.column && html`<code>${one.column}</code> `}${one.message ?? cell(one)}</div>`)}
      <div class="tiles">${found.columns.map((column) => html`<${Column} key=${column.name} name=${name} version=${data.version} column=${column} rows=${found.row_count} />`)}</div>
      ${found.correlation?.columns?.length > 1 && html`<${Correlation} correlation=${found.correlation} />`}`;
  }}<//>`;
}

function Column({ name, version, column, rows }) {
  const quoted = `"${column.name.replaceAll('"', '""')}"`;
  const show = (filter) => to(["data", name], { version, filter });
  const number = (value) => (typeof value === "number" ? String(+value.toPrecision(6)) : cell(value));
  const facts = [
    ["Missing", column.missing ? html`<${Link} href=${show(`${quoted} IS NULL`)}>${count(column.missing)} (${percent(column.missing_share)})<//>` : "none"],
    ["Distinct", count(column.distinct)],
    ...["min", "max", "mean", "std", "min_length", "max_length"].filter((one) => column[one] !== undefined && column[one] !== null).map((one) => [one.replaceAll("_", " "), number(column[one])]),
    ...Object.entries(column.quantiles ?? {}).map(([share, value]) => [percent(Number(share)), number(value)]),
    column.true_share !== undefined && ["True", percent(column.true_share)],
  ].filter(Boolean);
  return html`<section class="card tile"><header class="row spread"><h2>${column.name}</h2><span class="quiet">${column.type}</span></header>
    ${column.histogram && html`<${Histogram} histogram=${column.histogram} dates=${column.span_seconds !== undefined} show=${(low, high) => column.span_seconds === undefined && show(`${quoted} BETWEEN ${low} AND ${high}`)} />`}
    ${column.top && html`<${Top} top=${column.top} rows=${rows} show=${(value) => show(`${quoted} = '${cell(value).replaceAll("'", "''")}'`)} />`}
    <dl class="pairs">${facts.map(([term, value]) => html`<dt>${term}</dt><dd>${value}</dd>`)}</dl>
  </section>`;
}

/** Bars of counts between edges; the one under the pointer, or chosen by key, is named below. */
function Histogram({ histogram: { edges, counts }, dates, show }) {
  const [chosen, setChosen] = useState(null);
  const largest = Math.max(...counts, 1);
  const edge = (value) => (dates ? instant(value * 1000) : String(+value.toPrecision(5)));
  const text = (place) => `${edge(edges[place])} to ${edge(edges[place + 1])}: ${count(counts[place])} rows`;
  const width = 100 / counts.length;
  return html`<figure class="histogram"><svg width="100%" height="72" viewBox="0 0 100 72" preserveAspectRatio="none" role="img" aria-label=${counts.map((_, place) => text(place)).join("; ")}>
      ${counts.map((value, place) => html`<rect class=${chosen === place ? "chosen" : ""} x=${place * width + 0.25} y=${72 - (value / largest) * 70} width=${width - 0.5} height=${(value / largest) * 70} />
        <rect class="touch" x=${place * width} y="0" width=${width} height="72" onPointerEnter=${() => setChosen(place)} onPointerLeave=${() => setChosen(null)} onClick=${() => { const url = show(edges[place], edges[place + 1]); if (url) location.assign(url); }} />`)}
    </svg><figcaption class="quiet">${chosen === null ? `${edge(edges[0])} to ${edge(edges.at(-1))}` : text(chosen)}</figcaption></figure>`;
}

const Top = ({ top, rows, show }) => html`<table class="top"><tbody>${top.slice(0, 6).map(({ value, count: found }) => html`<tr>
  <th scope="row"><${Link} class="clip" href=${show(value)}>${value === "" ? html`<em>empty</em>` : cell(value)}<//></th>
  <td><svg width="100%" height="10" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true"><rect class="bar-running" width=${(found / Math.max(rows, 1)) * 100} height="10" /></svg></td>
  <td class="number">${count(found)}</td></tr>`)}</tbody></table>`;

function Correlation({ correlation: { method, columns, matrix } }) {
  return html`<section class="card"><h2>Correlation <span class="quiet">${method}</span></h2><div class="scroll" tabindex="0"><table class="matrix">
    <thead><tr><td></td>${columns.map((name) => html`<th scope="col">${name}</th>`)}</tr></thead>
    <tbody>${matrix.map((row, place) => html`<tr><th scope="row">${columns[place]}</th>${row.map((value) => html`<td class="number" style=${value === null ? {} : { "--share": `${Math.round(Math.abs(value) * 55)}%` }} data-sign=${value === null ? "" : value < 0 ? "below" : "above"}>${value === null ? "–" : value.toFixed(2)}</td>`)}</tr>`)}</tbody></table></div></section>`;
}
