/** One column: sort, hide and freeze it, choose rows by it, and what there is to know of it. */

import { html } from "preact";
import { cell, count, percent } from "console/format";
import { Problem } from "console/parts/basics";
import { Distribution } from "console/parts/distribution";
import { Link, setQuery, to } from "console/router";
import { plain, setColumns, setFilters, setSorts } from "console/screens/data/address";
import { quoted, sort } from "console/screens/data/conditions";
import { Facets } from "console/screens/data/facets";
import { useColumn } from "console/screens/data/measured";
import { Panel } from "console/screens/data/panel";
import { Search } from "console/screens/data/search";

export function ColumnPanel({ name, table, column, page, shown, filters, wanted, figures, info, busy, close }) {
  const known = figures.get(column.name);
  const measured = useColumn(table, column, filters, !busy && (filters.length > 0 || !known?.profile));
  const ours = filters.length === 0 && known?.profile ? { ...known.profile, rows: info?.rows } : measured.data;
  const show = (condition) => {
    const query = new URLSearchParams(location.search);
    query.append("filter", condition);
    query.delete("row");
    return `${location.pathname}?${query}`;
  };
  const add = (condition) => setFilters([...filters, condition]);
  return html`<${Panel} title=${column.name} detail=${column.type.toLowerCase().slice(0, 60)} close=${close}>
    <${Order} column=${column} shown=${shown} page=${page} wanted=${wanted} close=${close} />
    <${Search} column=${column} add=${add} />
    ${["text", "truth", "number", "time"].includes(sort(column.type)) && html`<${Facets} table=${table} column=${column} filters=${filters} busy=${busy} known=${known} />`}
    <section class="stack" aria-label="Figures"><h3>${filters.length ? "Of the rows that fit" : "Of all rows"} <span class="quiet" role="status">${!ours && !measured.error ? "counting …" : measured.busy && filters.length ? "counting again …" : ""}</span></h3>
      <${Problem} error=${filters.length || !ours ? measured.error : null} />
      ${ours?.histogram && html`<${Distribution} column=${{ ...ours, type: column.type.toLowerCase() }} show=${show} quoted=${quoted(column.name)} />`}
      ${ours && html`<dl class="pairs">${facts(ours, ours === measured.data || known?.about).map(([term, value]) => html`<dt>${term}</dt><dd>${value}</dd>`)}</dl>`}
      ${known?.profile && html`<p class="small"><${Link} href=${to(["pipelines", name, "profile"], { version: info?.version, column: column.name })}>More of it in the profile<//></p>`}</section>
  <//>`;
}

const WORDS = { min: "least", max: "greatest", mean: "mean", std: "standard deviation", min_length: "shortest", max_length: "longest", empty: "empty texts" };
const figure = (value) => (typeof value === "number" ? (Number.isInteger(value) ? count(value) : String(+value.toPrecision(8))) : typeof value === "bigint" ? count(value) : cell(value));

function facts(found, about) {
  const rows = found.rows ?? found.count + found.missing;
  return [
    ["rows", count(rows)],
    ["null", found.missing ? `${count(found.missing)} (${percent(found.missing / Math.max(rows, 1))})` : "none"],
    found.distinct != null && ["distinct", `${about ? "about " : ""}${count(found.distinct)}`],
    ...Object.entries(WORDS).filter(([one]) => found[one] !== undefined && found[one] !== null).map(([one, word]) => [word, figure(found[one])]),
    found.true_share != null && ["true", percent(found.true_share)],
    ...Object.entries(found.quantiles ?? {}).map(([share, value]) => [`${percent(Number(share))} are at most`, figure(value)]),
  ].filter(Boolean);
}

/** Its place among the columns and in the sort. */
function Order({ column, shown, page, wanted, close }) {
  const names = shown.map((one) => one.name);
  const place = names.indexOf(column.name);
  const sorted = wanted.sorts.find((one) => one.column === column.name);
  const by = (down) => setSorts([{ column: column.name, down }]);
  const also = (down) => setSorts([...wanted.sorts.filter((one) => one.column !== column.name), { column: column.name, down }]);
  const show = (next, more) => setColumns(next.length === page.columns.length && next.every((one, at) => one === page.columns[at].name) ? null : next, more);
  const move = (step) => {
    const next = [...names];
    next.splice(place + step, 0, ...next.splice(place, 1));
    show(next);
  };
  const hide = () => {
    show(names.filter((one) => one !== column.name), { panel: null, column: null });
    close();
  };
  return html`<div class="row tight" role="group" aria-label=${`Order of ${column.name}`}>
    ${plain(column.name) && html`<button type="button" aria-pressed=${sorted?.down === false} onClick=${() => by(false)}>▲ Sort up</button><button type="button" aria-pressed=${sorted?.down === true} onClick=${() => by(true)}>▼ Sort down</button>
      ${sorted && html`<button type="button" class="plain" onClick=${() => setSorts(wanted.sorts.filter((one) => one !== sorted))}>Do not sort by it</button>`}
      ${wanted.sorts.some((one) => one !== sorted) && html`<button type="button" class="plain" onClick=${() => also(false)}>Then by it, up</button><button type="button" class="plain" onClick=${() => also(true)}>Then by it, down</button>`}`}
    ${place >= 0 ? html`<button type="button" class="plain" disabled=${names.length === 1} onClick=${hide}>Hide</button>
      <button type="button" class="plain" aria-pressed=${wanted.freeze === place + 1} onClick=${() => setQuery({ freeze: wanted.freeze === place + 1 ? null : place + 1 }, { replace: false })}>${wanted.freeze === place + 1 ? "Unfreeze" : "Freeze up to it"}</button>
      <button type="button" class="plain" disabled=${place === 0} onClick=${() => move(-1)}>Move left</button><button type="button" class="plain" disabled=${place === names.length - 1} onClick=${() => move(1)}>Move right</button>`
    : html`<button type="button" class="plain" onClick=${() => show([...names, column.name])}>Show it</button>`}</div>`;
}
