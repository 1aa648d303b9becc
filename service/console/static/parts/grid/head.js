/** The names of the columns in sight: each sorts, and leads to what there is to know and do about it. */

import { html } from "preact";

const WORDS = { true: "descending", false: "ascending" };

export function Head({ columns, places, fixed, style, choice, name, gutter, width, height, sorts, onSort, header, onOpen }) {
  return html`<div class="grid-head" role="row" aria-rowindex="1" style=${{ width: `${width}px`, height: `${height}px` }}>
    ${gutter > 0 && html`<div class="grid-title grid-number frozen" role="presentation" style=${{ width: `${gutter}px`, position: "sticky", left: 0 }}></div>`}
    ${places.map((place) => html`<${Title} key=${columns[place].name} column=${columns[place]} place=${place} style=${style(place)} frozen=${place < fixed}
      active=${choice.row < 0 && choice.column === place} id=${choice.row < 0 && choice.column === place ? name : null}
      rank=${sorts.findIndex((one) => one.column === columns[place].name)} sorts=${sorts} onSort=${onSort} header=${header} onOpen=${onOpen} />`)}
  </div>`;
}

function Title({ column, place, style, frozen, active, id, rank, sorts, onSort, header, onOpen }) {
  const direction = rank < 0 ? null : WORDS[sorts[rank].down];
  const mark = direction === null ? "" : `${direction === "ascending" ? "▲" : "▼"}${sorts.length > 1 ? rank + 1 : ""}`;
  return html`<div class=${`grid-title ${frozen ? "frozen" : ""} ${active ? "active" : ""}`} id=${id} role="columnheader" aria-label=${column.name} aria-colindex=${place + 1} aria-sort=${rank === 0 ? direction : "none"} style=${style}>
    ${onSort
      ? html`<button type="button" class="plain" tabindex="-1" onClick=${(event) => onSort(column.name, event.shiftKey)} title=${`${column.name} (${column.type}): sort; with Shift, also by it`}>${column.name} <span class="mark">${mark}</span></button>`
      : html`<span title=${column.type}>${column.name}</span>`}
    ${onOpen && html`<button type="button" class="plain more" tabindex="-1" onClick=${() => onOpen(place)} aria-label=${`Column ${column.name}`}>▾</button>`}
    ${header ? header(column) : html`<span class="quiet type">${column.type}</span>`}
  </div>`;
}
