/** Which columns are shown, in which order, and how many stay at the left. */

import { html, useState } from "preact";
import { count } from "console/format";
import { useWindow } from "console/parts/windowed";
import { setQuery } from "console/router";
import { setColumns } from "console/screens/data/address";
import { Panel } from "console/screens/data/panel";

const HEIGHT = 36;

export function ColumnsPanel({ columns, shown, freeze, close }) {
  const [words, setWords] = useState("");
  const names = shown.map((column) => column.name);
  const isShown = new Set(names);
  const order = [...shown, ...columns.filter((column) => !isShown.has(column.name))];
  const found = order.filter((column) => column.name.toLowerCase().includes(words.toLowerCase()));
  const sight = useWindow(found.length, HEIGHT);
  const change = (next) => next.length > 0 && setColumns(next.length === columns.length && next.every((name, place) => name === columns[place].name) ? null : next);
  const move = (place, by) => {
    const next = [...names];
    next.splice(place + by, 0, ...next.splice(place, 1));
    change(next);
  };
  return html`<${Panel} title="Columns" detail=${`${count(shown.length)} of ${count(columns.length)} are shown`} close=${close}>
    <label class="inline">Freeze the first <input class="short" type="number" min="0" max=${Math.min(shown.length, 20)} value=${freeze} onChange=${(event) => setQuery({ freeze: Number(event.currentTarget.value) || null }, { replace: false })} /></label>
    <input type="search" aria-label="Search columns" placeholder="Search columns" value=${words} onInput=${(event) => setWords(event.currentTarget.value)} />
    <div class="row"><button type="button" disabled=${shown.length === columns.length} onClick=${() => setColumns(null)}>Show all</button>
      <button type="button" disabled=${!words || !found.length} onClick=${() => change(found.map((column) => column.name))}>Only those found</button></div>
    <div class="choices" ref=${sight.ref} onScroll=${sight.onScroll} style=${{ height: `${Math.min(found.length * HEIGHT + 2, 12 * HEIGHT)}px` }} tabindex="0" role="group" aria-label="Columns to show">
      <div style=${{ height: `${found.length * HEIGHT}px`, position: "relative" }}>${found.slice(sight.first, sight.last).map((column, line) => {
        const place = names.indexOf(column.name);
        return html`<div key=${column.name} class="choice-line" style=${{ top: `${(sight.first + line) * HEIGHT}px`, height: `${HEIGHT}px` }}>
          <label class="inline"><input type="checkbox" checked=${place >= 0} disabled=${place >= 0 && names.length === 1} onChange=${() => change(place >= 0 ? names.filter((one) => one !== column.name) : [...names, column.name])} /><span class="clip">${column.name}</span></label>
          ${place >= 0 && html`<button type="button" class="plain" disabled=${place === 0} aria-label=${`Move ${column.name} to the left`} onClick=${() => move(place, -1)}>←</button>
            <button type="button" class="plain" disabled=${place === names.length - 1} aria-label=${`Move ${column.name} to the right`} onClick=${() => move(place, 1)}>→</button>`}</div>`;
      })}</div></div>
  <//>`;
}
