/** What a probe found of a source, in plain words, with what can be chosen of it: which table of a page, how a file is read. */

import { html } from "preact";
import { cell, count, counted, sentence } from "console/format";
import { Facts } from "console/parts/basics";
import { Draft } from "console/parts/draft";

const FORMATS = { csv: "Table of text (CSV)", json: "JSON", ndjson: "JSON, one record a line", parquet: "Parquet", html: "Web page" };
const PAGES = { page: "numbered pages", offset: "pages by offset", cursor: "pages by a cursor", next_url: "a link to the next page in the answer", link_header: "a link to the next page in a header", next_page: "a link to the next page" };
const SEPARATORS = [[",", "comma"], [";", "semicolon"], ["\t", "tab"], ["|", "bar"], [" ", "space"]];
const ENCODINGS = ["utf-8", "cp1252", "latin-1", "utf-16", "cp1250", "cp1251", "shift_jis", "gb18030"];

export function Source({ probe, collector, onLook }) {
  const paged = probe.pagination?.verified;
  return html`<${Facts} facts=${[
      ["Format", FORMATS[probe.format] ?? probe.format],
      ["Rows looked at", count(probe.sample_rows)], ["Columns", count(probe.columns.length)],
      probe.records_path && ["Records are at", html`<${Draft} class="mono" aria-label="Records are at" value=${probe.records_path} onTake=${(text) => text.trim() !== probe.records_path && onLook({ records_path: text.trim() || null })} />`],
      probe.pagination && ["Pages", html`${paged ? `${PAGES[probe.pagination.type] ?? probe.pagination.type}; two of them were read` : "one only"} <span class="quiet">${paged ? "" : probe.pagination.how}</span>`],
      probe.robots && ["robots.txt", probe.robots.allowed ? "allows it" : "forbids it"],
    ]} />
    ${collector?.type === "csv" && html`<${Dialect} collector=${collector} onLook=${onLook} />`}
    ${collector?.type === "web" && html`<${Parts} probe=${probe} collector=${collector} onLook=${onLook} />`}
    ${probe.notes.map((note) => html`<div class="warning" key=${note}>${sentence(note)}</div>`)}`;
}

function Dialect({ collector, onLook }) {
  const change = (name, value) => onLook({ [name]: value });
  const encoding = collector.encoding ?? "utf-8";
  return html`<details><summary>How the file is read <span class="quiet">${encoding}, ${SEPARATORS.find(([mark]) => mark === (collector.separator ?? ","))?.[1] ?? collector.separator} between fields</span></summary>
    <div class="settings">
      <label>Encoding <select value=${encoding} onChange=${(event) => change("encoding", event.currentTarget.value)}>${[...new Set([encoding, ...ENCODINGS])].map((one) => html`<option>${one}</option>`)}</select></label>
      <label>Between fields <select value=${collector.separator ?? ","} onChange=${(event) => change("separator", event.currentTarget.value)}>${SEPARATORS.map(([mark, word]) => html`<option value=${mark}>${word}</option>`)}</select></label>
      <label>Lines to skip above the names <${Draft} type="number" min="0" value=${collector.skip_rows ?? 0} onTake=${(text) => change("skip_rows", Number(text) || null)} /></label>
      <label>Rows of the wrong shape <select value=${collector.on_malformed ?? "fail"} onChange=${(event) => change("on_malformed", event.currentTarget.value)}><option value="fail">fail the run</option><option value="quarantine">go to quarantine</option><option value="pad">get missing values</option><option value="skip">are left out, and counted</option></select></label>
      <label class="inline"><input type="checkbox" checked=${collector.has_header ?? true} onChange=${(event) => change("has_header", event.currentTarget.checked)} /> The first line has the names of the columns</label>
    </div></details>`;
}

/** The tables and lists of a web page; another one is looked at anew. */
function Parts({ probe, collector, onLook }) {
  const parts = [
    ...probe.tables.map((table) => [`Table of ${counted(table.rows, "row")}`, table.columns.join(", "), { table: table.selector }]),
    ...probe.structures.map((one) => [`List of ${counted(one.rows, "entry", "entries")}`, Object.keys(one.css_selectors).filter((name) => name !== "container").join(", "), { css_selectors: one.css_selectors }]),
  ];
  if (parts.length < 2) return null;
  const chosen = (what) => cell(what.table ?? what.css_selectors) === cell(collector.table ?? collector.css_selectors);
  return html`<fieldset><legend>Which part of the page</legend>${parts.map(([title, names, what]) => html`<label class="inline"><input type="radio" name="part" checked=${chosen(what)} onChange=${() => onLook({ table: null, css_selectors: null, ...what })} /> <span>${title} <span class="quiet">${names}</span></span></label>`)}</fieldset>`;
}
