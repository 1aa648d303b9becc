/** The tables that SQL can read, with their columns: a click writes a name where the cursor is. */

import { html, useState } from "preact";
import { count } from "console/format";
import { quoted } from "console/parts/sql/statement";
import { RESERVED } from "console/parts/sql/words";

const MANY = 12;
const SHOWN = 200;

/** `insert` gets a name as a statement has it, `look` a statement that shall run. */
export function Tables({ tables, insert, look }) {
  const [words, setWords] = useState("");
  const fitting = tables.filter((one) => one.name.toLowerCase().includes(words.toLowerCase()) || one.columns.some((column) => words && column.name.toLowerCase().includes(words.toLowerCase())));
  if (tables.length === 0) return html`<p class="quiet">No tables yet: each pipeline that has run is one.</p>`;
  return html`
    ${tables.length > MANY && html`<input type="search" aria-label="Search tables and columns" placeholder="Search" value=${words} onInput=${(event) => setWords(event.currentTarget.value)} />`}
    ${fitting.slice(0, SHOWN).map((one) => html`<${Table} key=${one.name} table=${one} insert=${insert} look=${look} />`)}
    ${fitting.length > SHOWN && html`<p class="quiet">And ${count(fitting.length - SHOWN)} more: search for them.</p>`}`;
}

function Table({ table, insert, look }) {
  const [open, setOpen] = useState(false);
  const name = quoted(table.name, RESERVED);
  return html`<details class="table" onToggle=${(event) => setOpen(event.currentTarget.open)}><summary>${table.name} <span class="quiet">${table.row_count === null ? "" : count(table.row_count)}</span></summary>
    ${open && html`<div class="row tight"><button type="button" class="plain" onClick=${() => look(`SELECT *\nFROM ${name}\nLIMIT 100`)}>See rows</button>
      <button type="button" class="plain" onClick=${() => look(`SUMMARIZE ${name}`)}>Summarize</button></div>
      <ul>${table.columns.slice(0, SHOWN).map((column) => html`<li><button type="button" class="plain column" title=${`Write ${column.name} at the cursor`} onClick=${() => insert(quoted(column.name, RESERVED))}><code>${column.name}</code></button> <span class="quiet small">${column.type}</span></li>`)}</ul>
      ${table.columns.length > SHOWN && html`<p class="quiet">And ${count(table.columns.length - SHOWN)} more columns.</p>`}`}</details>`;
}
