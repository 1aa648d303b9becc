/** The chosen cell in words below the grid, with what can be done with it: for fingers as well as for a mouse. */

import { html } from "preact";
import { count } from "console/format";
import { cells, rectangle } from "console/parts/grid/selection";
import { Cut, kindOf, line } from "console/parts/grid/text";
import { setQuery } from "console/router";
import { canCompare, not, only } from "console/screens/data/conditions";

export function CellBar({ chosen, total, columns, all, add, open, panel }) {
  const hidden = all - columns.length;
  const manage = html`<button type="button" class="plain" aria-pressed=${panel === "columns"} onClick=${() => setQuery({ panel: panel === "columns" ? null : "columns", column: null }, { replace: false })}>Columns${hidden > 0 ? html` <span class="quiet">${count(columns.length)} of ${count(all)}</span>` : ""}</button>`;
  if (!chosen || total === 0 || chosen.choice.row < 0) return html`<div class="cell-bar row">${chosen?.choice.row < 0 && html`<p class="quiet">Space sorts by ${columns[chosen.choice.column].name}, with Shift also by it; Enter opens it.</p>`}<span class="grow"></span>${manage}</div>`;
  const { choice, tools, value } = chosen;
  const many = cells(choice);
  const { top, bottom, left, right } = rectangle(choice);
  const column = columns[choice.column];
  const comparable = value !== undefined && !(value instanceof Cut) && canCompare(column.type) && (value === null || typeof value !== "object");
  return html`<div class="cell-bar row">
    <p class="grow clip"><span class="quiet">row ${count(choice.row + 1)}</span> ${many > 1
      ? html`${count(bottom - top + 1)} × ${count(right - left + 1)} cells`
      : html`<strong>${column.name}</strong> <span class=${kindOf(value, false)[0]}>${value === undefined ? "…" : kindOf(value, false)[1] ?? line(value)}</span>`}</p>
    ${many === 1 && html`<button type="button" class="plain" disabled=${!comparable} onClick=${() => add(only(column, value))}>Only this</button>
      <button type="button" class="plain" disabled=${!comparable} onClick=${() => add(not(column, value))}>Not this</button>`}
    <button type="button" class="plain" onClick=${() => tools.copy()}>Copy</button>
    ${many > 1 && html`<button type="button" class="plain" onClick=${() => tools.copy(true)}>Copy with names</button>`}
    <button type="button" class="plain" onClick=${() => open(choice.row, choice.column)}>Row</button>
    ${manage}
  </div>`;
}
