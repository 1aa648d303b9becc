/** What the analyzer found: all columns in a list that holds any number of them, and one of them at large. */

import { html, useMemo } from "preact";
import { useApi } from "console/api";
import { cell, compact, count, counted, percent } from "console/format";
import { Empty, Loaded } from "console/parts/basics";
import { Distribution, Shape, Top } from "console/parts/distribution";
import { Snippet } from "console/parts/snippet";
import { useWindow } from "console/parts/windowed";
import { Link, setQuery, to } from "console/router";
import { Correlations, correlated } from "console/screens/pipeline/correlations";

const HEIGHT = 56;

export default function Profile({ name, query, versions }) {
  const path = `/pipeline/${name}/profile`;
  const version = query.get("version");
  const request = useApi(versions === undefined || versions === 0 ? null : path, { version });
  if (versions === 0) return html`<${Empty} title="No profile yet"><p>The first successful run makes one, if an <code>analyzer</code> is among the processors.</p><//>`;
  return html`<${Loaded} request=${request}>${(data) => {
    const place = Math.min(Number(query.get("analyzer") ?? 0), data.profiles.length - 1);
    const found = data.profiles[place];
    if (!found) return html`<${Empty} title="No profile"><p>An <code>analyzer</code> among the processors makes one with each version.</p><${Link} class="button" href=${to(["pipelines", name, "configuration"])}>Add one to the configuration<//><//>`;
    return html`
      <div class="row spread"><p><${Link} href=${to(["data", name], { version: data.version })}>Version ${data.version}<//>: ${counted(found.row_count, "row")}, ${counted(found.column_count, "column")}${found.duplicate_rows > 0 && html`, <span class="late">${counted(found.duplicate_rows, "row")} are there twice</span>`}</p>
        <div class="row">${data.profiles.length > 1 && html`<label class="inline">Analyzer <select value=${String(place)} onChange=${(event) => setQuery({ analyzer: event.currentTarget.value })}>${data.profiles.map((_, number) => html`<option value=${String(number)}>${number + 1}</option>`)}</select></label>`}
          <${Snippet} request=${{ path, query: { version } }} /></div></div>
      ${found.estimates && html`<${Estimates} estimates=${found.estimates} />`}
      <${Warnings} warnings=${found.warnings} />
      <${Columns} name=${name} version=${data.version} found=${found} query=${query} />
      ${found.correlation.columns.length > 1 && html`<${Correlations} correlation=${found.correlation} />`}`;
  }}<//>`;
}

const Estimates = ({ estimates }) => html`<div class="warning">Estimates: ${estimates.figures.map((one) => one.replaceAll("_", " ")).join(", ")}.
  In 19 of 20 cases they are off by at most ${percent(estimates.share_error)} of the rows, distinct values by ${percent(estimates.distinct_error)}.</div>`;

function Warnings({ warnings }) {
  if (!warnings.length) return null;
  return html`<details class="card" open=${warnings.length <= 4}><summary>${count(warnings.length)} ${warnings.length === 1 ? "thing deserves" : "things deserve"} a look</summary>
    <ul class="reasons">${warnings.slice(0, 100).map((one) => html`<li>${one.column && html`<button type="button" class="link" onClick=${() => setQuery({ column: one.column })}><code>${one.column}</code></button> `}${one.message}</li>`)}</ul>
    ${warnings.length > 100 && html`<p class="quiet">and ${count(warnings.length - 100)} more</p>`}</details>`;
}

function Columns({ name, version, found, query }) {
  const words = (query.get("q") ?? "").toLowerCase();
  const shown = useMemo(() => found.columns.filter((column) => `${column.name} ${column.type}`.toLowerCase().includes(words)), [found, words]);
  const chosen = found.columns.find((column) => column.name === query.get("column")) ?? shown[0];
  return html`<div class="profile">
    <section class="stack" aria-label="Columns">
      <input type="search" aria-label="Search columns" placeholder=${`Search ${counted(found.columns.length, "column")}`} value=${query.get("q") ?? ""} onInput=${(event) => setQuery({ q: event.currentTarget.value })} />
      ${shown.length ? html`<${List} columns=${shown} chosen=${chosen} />` : html`<p class="quiet">No column has this name.</p>`}</section>
    ${chosen && html`<${Column} key=${chosen.name} name=${name} version=${version} column=${chosen} found=${found} />`}
  </div>`;
}

/** A list of which only the lines in sight are in the page. */
function List({ columns, chosen }) {
  const sight = useWindow(columns.length, HEIGHT);
  const place = columns.indexOf(chosen);
  const key = (event) => {
    const page = Math.max(1, Math.floor(event.currentTarget.clientHeight / HEIGHT) - 1);
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -columns.length, End: columns.length }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = Math.min(Math.max(place + step, 0), columns.length - 1);
    setQuery({ column: columns[next].name });
    sight.scrollTo(next);
  };
  return html`<div class="column-list" style=${{ maxHeight: `${columns.length * HEIGHT + 2}px` }} ref=${sight.ref} onScroll=${sight.onScroll} onKeyDown=${key} tabindex="0" role="listbox" aria-label="Columns" aria-activedescendant=${place >= sight.first && place < sight.last ? `column-${place}` : null}>
    <div role="presentation" style=${{ height: `${columns.length * HEIGHT}px`, position: "relative" }}>
      ${columns.slice(sight.first, sight.last).map((column, line) => html`<div key=${column.name} class="column-line" role="option" id=${`column-${sight.first + line}`} aria-selected=${column === chosen} aria-setsize=${columns.length} aria-posinset=${sight.first + line + 1}
          style=${{ top: `${(sight.first + line) * HEIGHT}px`, height: `${HEIGHT}px` }} onClick=${() => setQuery({ column: column.name })}>
        <span class="clip">${column.name}</span><span class="quiet">${column.type}${column.missing > 0 && `, ${percent(column.missing_share)} missing`}</span>
        <${Shape} column=${column} /></div>`)}
    </div></div>`;
}

const figure = (value) => (typeof value === "number" ? String(+value.toPrecision(6)) : cell(value));
const ORDER = ["min", "max", "mean", "std", "variance", "skew", "kurtosis", "zeros", "negatives", "min_length", "max_length", "empty"];
const WORDS = { std: "standard deviation", min_length: "shortest", max_length: "longest", min: "least", max: "greatest" };

function Column({ name, version, column, found }) {
  const quoted = `"${column.name.replaceAll('"', '""')}"`;
  const show = (filter) => to(["data", name], { version, filter });
  const facts = [
    ["rows with a value", count(column.count)],
    ["missing", column.missing ? html`<${Link} href=${show(`${quoted} IS NULL`)}>${count(column.missing)} (${percent(column.missing_share)})<//>` : "none"],
    column.distinct !== undefined && ["distinct", count(column.distinct)],
    ...ORDER.filter((one) => column[one] !== undefined && column[one] !== null).map((one) => [WORDS[one] ?? one, Number.isInteger(column[one]) ? count(column[one]) : figure(column[one])]),
    column.true_share != null && ["true", percent(column.true_share)],
    column.span_seconds != null && ["spans", `${count(Math.round(column.span_seconds / 86400))} days`],
  ].filter(Boolean);
  const others = correlated(found.correlation, column.name);
  return html`<section class="card" aria-label=${`Column ${column.name}`}><header class="row spread"><h2>${column.name} <span class="quiet">${column.type}</span></h2>
      <${Link} class="button" href=${to(["data", name], { version })}>Rows<//></header>
    ${column.histogram && html`<${Distribution} column=${column} show=${show} quoted=${quoted} />`}
    ${column.top?.length > 0 && html`<${Top} column=${column} rows=${found.row_count} show=${show} quoted=${quoted} />`}
    ${column.true_share != null && html`<${Top} column=${{ distinct: 2, top: [true, false].map((value) => ({ value, count: Math.round((value ? column.true_share : 1 - column.true_share) * column.count) })) }} rows=${column.count} show=${show} quoted=${quoted} />`}
    <div class="two"><dl class="pairs">${facts.map(([term, value]) => html`<dt>${term}</dt><dd>${value}</dd>`)}</dl>
      <div class="stack">${column.quantiles && html`<${Quantiles} column=${column} />`}
        ${others.length > 0 && html`<section><h3>Moves with</h3><dl class="pairs">${others.map(([other, value]) => html`<dt><button type="button" class="link" onClick=${() => setQuery({ column: other })}>${other}</button></dt><dd>${value.toFixed(2)}</dd>`)}</dl></section>`}</div></div>
  </section>`;
}

/** Where the middle half of the rows lies between the least and the greatest value. */
function Quantiles({ column: { quantiles, min, max } }) {
  const numeric = [min, max].every((value) => typeof value === "number") && max > min;
  const at = (value) => ((value - min) / (max - min)) * 100;
  const [low, middle, high] = ["0.25", "0.5", "0.75"].map((share) => quantiles[share]);
  return html`<section><h3>Quantiles</h3>
    ${numeric && typeof low === "number" && html`<svg class="box" width="100%" height="22" viewBox="0 0 100 22" preserveAspectRatio="none" aria-hidden="true"><path d="M0 11H100" /><rect x=${at(low)} y="3" width=${Math.max(at(high) - at(low), 0.6)} height="16" /><path class="middle" d=${`M${at(middle)} 3V19`} /></svg>`}
    <dl class="pairs">${Object.entries(quantiles).map(([share, value]) => html`<dt>${percent(Number(share))} are at most</dt><dd>${typeof value === "number" && Math.abs(value) >= 1e6 ? compact(value) : figure(value)}</dd>`)}</dl></section>`;
}
