/** The conditions that rows fit: each a chip that can be changed and removed, and a field for another one. */

import { html, useRef, useState } from "preact";
import { setFilters } from "console/screens/data/address";
import { described } from "console/screens/data/conditions";
import { Expression } from "console/screens/data/expression";

export function Conditions({ filters, places, columns, error, busy }) {
  const [changed, setChanged] = useState(null); // the place of the one that is being rewritten
  const [text, setText] = useState("");
  const field = useRef(null);
  const wrong = error?.details?.field === "filter" ? located(error, filters, places) : null;
  const rewrite = (place) => {
    setChanged(place);
    setText(filters[place]);
    field.current.focus();
  };
  const take = () => {
    const condition = text.trim();
    if (changed !== null && changed < filters.length) setFilters(condition ? filters.with(changed, condition) : filters.filter((_, place) => place !== changed));
    else if (condition && !filters.includes(condition)) setFilters([...filters, condition]);
    setChanged(null);
    setText("");
  };
  return html`<div class="conditions">
    <form class="row" role="search" onSubmit=${(event) => { event.preventDefault(); take(); }}>
      <${Expression} field=${field} value=${text} onChange=${setText} columns=${columns} onEscape=${() => { setChanged(null); setText(""); }} />
      <button disabled=${!text.trim() && changed === null}>${changed === null ? "Filter" : "Change"}</button></form>
    ${filters.length > 0 && html`<div class="row tight"><ul class="chips" aria-label="Conditions">${filters.map((one, place) => html`<${Chip} key=${one} condition=${one} bad=${wrong?.place === place} busy=${busy}
      rewrite=${() => rewrite(place)} remove=${() => { setFilters(filters.filter((_, other) => other !== place)); field.current.focus(); }} />`)}</ul>
      ${filters.length > 1 && html`<button type="button" class="plain" onClick=${() => setFilters([])}>Remove all</button>`}</div>`}
    ${wrong && html`<div class="problem" role="alert"><p>${wrong.message}</p>${wrong.lines && html`<pre>${wrong.lines}</pre>`}
      <button type="button" onClick=${() => rewrite(wrong.place)}>Change this condition</button></div>`}
  </div>`;
}

function Chip({ condition, bad, rewrite, remove }) {
  const { column, words } = described(condition);
  const text = column === null ? words : `${column} ${words}`;
  return html`<li class=${`chip ${bad ? "bad" : ""}`}><button type="button" class="plain" title=${condition} onClick=${rewrite} aria-label=${`Change: ${text}`}>${column === null ? html`<code>${words}</code>` : html`<strong>${column}</strong> ${words}`}</button>
    <button type="button" class="plain" aria-label=${`Remove: ${text}`} onClick=${remove}>×</button></li>`;
}

/** Which condition an error is about, and its text with a mark at the place. */
function located(error, filters, places) {
  const message = error.message.replace(/^filter: /, "").replace(/^Parser Error: /, "");
  const { position, column } = error.details;
  const named = (one) => one.toLowerCase().includes(String(column).toLowerCase());
  let place = 0;
  let at = null;
  if (typeof position === "number") {
    place = Math.max(places.findLastIndex((begun) => begun <= position), 0);
    at = Math.min(position - places[place], filters[place].length);
  } else if (column !== undefined) {
    place = Math.max(filters.findIndex(named), 0);
    at = filters[place].toLowerCase().indexOf(String(column).toLowerCase());
  } else place = filters.length - 1;
  if (at === null || at < 0) return { place, message, lines: null };
  const begun = filters[place].lastIndexOf("\n", at - 1) + 1;
  const line = filters[place].slice(begun).split("\n")[0];
  return { place, message, lines: `${line}\n${" ".repeat(at - begun)}^` };
}
