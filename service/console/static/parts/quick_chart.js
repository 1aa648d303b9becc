/** A chart of an answer in two clicks: what goes along, what goes up; the kind follows from the types. */

import { html, useMemo, useState } from "preact";
import { cell } from "console/format";
import { Bars, Lines } from "console/parts/chart";

const NUMBER = /^(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|U?INT\d+|DOUBLE|FLOAT\d*|DECIMAL.*)$/i;
const TIME = /^(DATE|TIMESTAMP.*|DATETIME.*)$/i;

export function QuickChart({ columns, rows }) {
  const numbers = columns.filter((column) => NUMBER.test(column.type));
  const [along, setAlong] = useState((columns.find((column) => TIME.test(column.type)) ?? columns.find((column) => !NUMBER.test(column.type)) ?? columns[0])?.name);
  const [up, setUp] = useState(numbers.find((column) => column.name !== along)?.name ?? numbers[0]?.name);
  const place = (name) => columns.findIndex((column) => column.name === name);
  const type = columns[place(along)]?.type ?? "";
  const lines = NUMBER.test(type) || TIME.test(type);
  const drawn = useMemo(() => {
    if (!along || !up) return null;
    const [from, to] = [place(along), place(up)];
    const value = (row) => (row[to] === null ? null : Number(row[to]));
    if (!lines) return { names: rows.map((row) => (row[from] === null ? null : cell(row[from]))), values: rows.map(value) };
    const read = (row) => (TIME.test(type) ? Date.parse(/Z|[+-]\d\d/.test(String(row[from]).slice(10)) ? row[from] : `${row[from]}Z`.replace(/^(\d{4}-\d\d-\d\d)Z$/, "$1T00:00Z")) / 1000 : Number(row[from]));
    const points = rows.filter((row) => row[from] !== null).map((row) => [read(row), value(row)]).sort((a, b) => a[0] - b[0]);
    return { x: points.map(([x]) => x), series: [{ name: up, values: points.map(([, y]) => y) }] };
  }, [rows, along, up]);
  if (!numbers.length) return html`<p class="quiet">A chart needs a column of numbers.</p>`;
  const choice = (label, value, set, from) => html`<label class="inline">${label} <select value=${value} onChange=${(event) => set(event.currentTarget.value)}>${from.map((column) => html`<option>${column.name}</option>`)}</select></label>`;
  return html`<section class="card" aria-label="Chart">
    <div class="row">${choice("Along", along, setAlong, columns)} ${choice("Up", up, setUp, numbers)}</div>
    ${drawn && (lines
      ? html`<${Lines} x=${drawn.x} series=${drawn.series} time=${TIME.test(type)} label=${`${up} over ${along}`} />`
      : html`<${Bars} names=${drawn.names} values=${drawn.values} label=${`${up} by ${along}`} />`)}
  </section>`;
}
