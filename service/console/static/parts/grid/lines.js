/** The rows in sight. */

import { html } from "preact";
import { count } from "console/format";
import { isNumber, kindOf, line } from "console/parts/grid/text";
import { cells, isChosen, rectangle } from "console/parts/grid/selection";
import { ROW } from "console/parts/grid/scale";

export function Lines({ columns, places, fixed, style, choice, name, gutter, blocks, from, last, top }) {
  const area = rectangle(choice);
  const many = cells(choice) > 1;
  const styles = places.map(style);
  return html`<div role="presentation" class="grid-sight" style=${{ top: `${top}px` }}>
    ${Array.from({ length: Math.max(last - from, 0) }, (_, number) => {
      const row = from + number;
      return html`<div class="grid-row" role="row" aria-rowindex=${row + 2} key=${row} style=${{ height: `${ROW}px` }}>
        ${gutter > 0 && html`<div class="grid-cell grid-number frozen" aria-hidden="true" style=${{ width: `${gutter}px`, position: "sticky", left: 0 }}>${count(row + 1)}</div>`}
        ${places.map((place, order) => {
          const value = blocks.value(row, place);
          const active = choice.row === row && choice.column === place;
          const chosen = isChosen(area, row, place);
          const [kind, instead] = value === undefined ? ["quiet", "…"] : kindOf(value, isNumber(columns[place]));
          return html`<div key=${columns[place].name} class=${`grid-cell ${kind}${active ? " active" : ""}${chosen && many ? " chosen" : ""}${place < fixed ? " frozen" : ""}`} role="gridcell" id=${active ? name : null}
            aria-colindex=${place + 1} aria-selected=${chosen} style=${styles[order]}>${instead ?? line(value)}</div>`;
        })}
      </div>`;
    })}
  </div>`;
}
