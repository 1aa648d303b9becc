/** A chart of an answer: it draws at once what fits the types, and each choice is in the address. */

import { html, useMemo, useRef } from "preact";
import { cell, count } from "console/format";
import { Bars, Lines } from "console/parts/chart";
import { choose, drawn, EACH, KINDS } from "console/parts/sql/chart_data";
import { setQuery, useLocation } from "console/router";

const MOST_IN_TABLE = 500;

export function QuickChart({ answer }) {
  const { query } = useLocation();
  const wanted = Object.fromEntries(["along", "up", "split", "kind", "each"].map((name) => [name, query.get(name)]));
  const choice = useMemo(() => choose(answer.columns, answer.rows, wanted), [answer.key, JSON.stringify(wanted)]);
  const data = useMemo(() => (choice.along && answer.rows.length ? drawn(answer.rows, choice) : null), [choice]);
  const canvas = useRef(null);
  if (data === null) return html`<p class="quiet">There is nothing to draw: the answer has no rows.</p>`;
  const { along, up, split, kind, each } = choice;
  const name = `${up.length ? up.map((one) => one.name).join(", ") : "Rows"}${each !== "rows" && up.length && data.several ? ` (${EACH[each]})` : ""} ${kind === "bars" ? "by" : "over"} ${along.name}${split ? `, by ${split.name}` : ""}`;
  return html`<section class="card" aria-label="Chart">
    <${Choices} choice=${choice} several=${data.several} />
    ${kind === "bars" ? html`<${Bars} names=${data.names} series=${data.series} label=${name} />`
      : html`<${Lines} x=${data.x} series=${data.series} time=${along.is === "time"} points=${kind === "points"} label=${name} canvas=${canvas} />`}
    ${data.left > 0 && html`<p class="quiet">The ${data.series.length} largest of ${count(data.series.length + data.left)} are drawn.</p>`}
    ${answer.truncated && html`<p class="quiet">It shows the first ${count(answer.rows.length)} rows only. A GROUP BY in the statement counts all.</p>`}
    ${kind !== "bars" && html`<div class="row"><button type="button" onClick=${() => picture(canvas.current, name)}>Save as picture</button></div>
      <details><summary>The chart as a table</summary><${Figures} data=${data} along=${along} name=${name} /></details>`}
  </section>`;
}

function Choices({ choice, several }) {
  const { all, numbers, along, up, split, kind, fits, each } = choice;
  const names = (columns) => columns.map((column) => column.name);
  const setUp = (columns) => setQuery({ up: columns.filter(Boolean).map(encodeURIComponent).join(",") });
  return html`<div class="row choices">
    <div class="row choice" role="group" aria-label="Kind of chart">${fits.map((one) => html`<button type="button" aria-pressed=${kind === one} onClick=${() => setQuery({ kind: one })}>${KINDS[one]}</button>`)}</div>
    <${Choice} label="Along" value=${along.name} options=${names(all)} take=${(name) => setQuery({ along: name, kind: null })} />
    ${each !== "count" && html`<${Choice} label="Up" value=${up[0].name} options=${names(numbers)} take=${(name) => setUp([name, ...names(up.slice(1))])} />
      ${up.slice(1).map((one, place) => html`<${Choice} label="and" value=${one.name} options=${names(numbers)} none="leave out" take=${(name) => setUp(names(up).map((old, at) => (at === place + 1 ? name : old)))} />`)}
      ${!split && up.length < Math.min(numbers.length, 8) && html`<${Choice} label="and" value="" options=${names(numbers.filter((one) => !up.includes(one)))} none="–" take=${(name) => setUp([...names(up), name])} />`}`}
    ${up.length < 2 && html`<${Choice} label="Split by" value=${split?.name ?? ""} options=${names(all.filter((one) => one !== along))} none="nothing" take=${(name) => setQuery({ split: name })} />`}
    ${(several || each !== "sum") && kind !== "points" && numbers.length > 0 && html`<label class="inline">Several rows: <select value=${each} onChange=${(event) => setQuery({ each: event.currentTarget.value })}>
      ${Object.entries(EACH).filter(([one]) => one !== "rows" || each === "rows").map(([one, words]) => html`<option value=${one}>${words}</option>`)}</select></label>`}
  </div>`;
}

const Choice = ({ label, value, options, none, take }) => html`<label class="inline">${label} <select value=${value} onChange=${(event) => take(event.currentTarget.value)}>
  ${none && html`<option value="">${none}</option>`}${options.map((one) => html`<option value=${one}>${one}</option>`)}</select></label>`;

/** What is drawn as rows, for whoever does not see it. */
function Figures({ data, along, name }) {
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Figures of the chart"><table class="slim"><caption class="visually-hidden">${name}</caption>
    <thead><tr><th>${along.name}</th>${data.series.map((one) => html`<th class="number">${one.name}</th>`)}</tr></thead>
    <tbody>${data.names.slice(0, MOST_IN_TABLE).map((at, row) => html`<tr><th scope="row">${at}</th>${data.series.map((one) => html`<td class="number">${one.values[row] === null ? "–" : cell(one.values[row])}</td>`)}</tr>`)}</tbody></table>
    ${data.names.length > MOST_IN_TABLE && html`<p class="quiet">The first ${MOST_IN_TABLE} of ${count(data.names.length)}.</p>`}</div>`;
}

/** Saves the drawing on the page's paper. */
function picture(drawing, name) {
  const copy = document.createElement("canvas");
  [copy.width, copy.height] = [drawing.width, drawing.height];
  const context = copy.getContext("2d");
  context.fillStyle = getComputedStyle(document.body).backgroundColor;
  context.fillRect(0, 0, copy.width, copy.height);
  context.drawImage(drawing, 0, 0);
  copy.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${name.replace(/[^\w -]+/g, "").slice(0, 80) || "chart"}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  });
}
