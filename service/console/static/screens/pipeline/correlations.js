/** Which columns move together: a matrix of those that do most, and the closest of one column. */

import { html, useMemo, useState } from "preact";
import { counted } from "console/format";
import { setQuery } from "console/router";

const MOST = 24;
const CLOSEST = 6;
const WORTH = 0.1;

/** The columns that move with `name`, closest first, as `[name, correlation]`. */
export function correlated({ columns, matrix }, name) {
  const place = columns.indexOf(name);
  if (place < 0) return [];
  return matrix[place].map((value, other) => [columns[other], value]).filter(([other, value]) => other !== name && value !== null && Math.abs(value) >= WORTH)
    .sort((a, b) => Math.abs(b[1]) - Math.abs(a[1])).slice(0, CLOSEST);
}

/** The places of the columns with the strongest correlations, in their order. */
function strongest(matrix) {
  const most = matrix.map((row, place) => [place, row.reduce((best, value, other) => (other === place || value === null ? best : Math.max(best, Math.abs(value))), 0)]);
  return most.sort((a, b) => b[1] - a[1]).slice(0, MOST).map(([place]) => place).sort((a, b) => a - b);
}

export function Correlations({ correlation: { method, columns, matrix } }) {
  const places = useMemo(() => strongest(matrix), [matrix]);
  const [told, setTold] = useState(null);
  const share = (value) => (value === null ? {} : { "--share": `${Math.round(Math.abs(value) * 70)}%` });
  return html`<section class="card" aria-label="Correlation"><header class="row spread"><h2>Correlation <span class="quiet">${method}${columns.length > MOST ? `, the ${MOST} of ${counted(columns.length, "column")} that move together most` : ""}</span></h2><span class="quiet" aria-hidden="true">${told}</span></header>
    <div class="scroll" tabindex="0" role="region" aria-label="Correlation matrix"><table class="matrix">
      <thead><tr><td></td>${places.map((place) => html`<th scope="col"><span class="clip" title=${columns[place]}>${columns[place]}</span></th>`)}</tr></thead>
      <tbody>${places.map((row) => html`<tr><th scope="row"><button type="button" class="link clip" onClick=${() => setQuery({ column: columns[row] })}>${columns[row]}</button></th>
        ${places.map((column) => {
          const value = matrix[row][column];
          return html`<td class="number" style=${share(row === column ? null : value)} data-sign=${value < 0 ? "below" : "above"} onPointerEnter=${() => setTold(value === null ? null : `${columns[row]} and ${columns[column]}: ${value.toFixed(3)}`)}>${value === null ? "–" : row === column ? html`<span class="quiet">1</span>` : value.toFixed(2)}</td>`;
        })}</tr>`)}</tbody></table></div></section>`;
}
