/** What can be done with one column of a new pipeline: its name, type, missing and odd values, checks, masking. */

import { html, useEffect, useRef, useState } from "preact";
import { cell, counted } from "console/format";
import { Draft } from "console/parts/draft";
import { nameOf, withColumn } from "console/parts/making/choices";
import { FORMATS, formatWords, isNumber, NUMBERS, numberExample, TYPES, typeWord } from "console/parts/making/types";

const FILLS = [["", "leave them missing"], ["drop", "leave out these rows"], ["value", "fill with a value"], ["mean", "fill with the mean"], ["median", "fill with the median"], ["mode", "fill with the most frequent value"], ["forward", "fill with the value of the row above"]];
const OUTLIERS = [["", "keep them"], ["clip", "move them to the bound"], ["null", "make them missing"], ["drop", "leave out these rows"]];
const CHECKS = [["", "no check"], ["not_null", "is never missing"], ["unique", "has each value once"], ["in_range", "lies between"], ["in_set", "is one of"], ["regex", "matches a pattern"]];
const MASKS = [["", "show them"], ["hash", "put a fingerprint in their place (SHA-256)"], ["end", "show the last four characters only"]];

const select = (value, options, change) => html`<select value=${value} onChange=${(event) => change(event.currentTarget.value)}>${options.map(([key, words]) => html`<option value=${key}>${words}</option>`)}</select>`;
const number = (text) => (text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text);

export function ColumnPanel({ probe, choices, column, onChange, onClose }) {
  const found = probe.columns.find((one) => one.name === column);
  const own = choices.columns[column];
  const heading = useRef(null);
  useEffect(() => heading.current?.focus(), [column]);
  const change = (changes) => onChange(withColumn(choices, column, changes));
  const type = own.cast?.type ?? found.type;
  return html`<section class="card column-panel" aria-label=${`Column ${column}`} onKeyDown=${(event) => event.key === "Escape" && onClose()}>
    <header class="row spread"><h2 tabindex="-1" ref=${heading}>${column}</h2><button type="button" class="plain" onClick=${onClose}>Close</button></header>
    <p class="quiet">${typeWord(found.type)}${found.distinct !== null ? `, ${counted(found.distinct, "value")}` : ""}: ${found.samples.slice(0, 4).map(cell).join(" · ")}</p>
    <label>Name <${Draft} value=${nameOf(choices, column)} onTake=${(text) => change({ name: text.trim() })} /></label>
    <${TypeChoice} found=${found} cast=${own.cast} change=${(cast) => change({ cast })} />
    ${found.type === "string" && html`<label class="inline"><input type="checkbox" checked=${Boolean(own.trim)} onChange=${(event) => change({ trim: event.currentTarget.checked })} /> Trim spaces around values</label>`}
    <${MissingChoice} choices=${choices} onChange=${onChange} own=${own} text=${found.type === "string"} numeric=${isNumber(type)} change=${change} />
    ${isNumber(type) && html`<label>Values far from all others ${select(own.outliers?.action ?? "", OUTLIERS, (action) => change({ outliers: action ? { method: "iqr", action } : null }))}</label>`}
    <${RuleChoice} rule=${own.rule} change=${(rule) => change({ rule })} />
    ${found.type === "string" && html`<label>Secret values ${select(own.mask ?? "", MASKS, (mask) => change({ mask }))}</label>`}
    <button type="button" class="danger" onClick=${() => { change({ dropped: true }); onClose(); }}>Leave this column out</button>
  </section>`;
}

function TypeChoice({ found, cast, change }) {
  const kind = (cast?.type ?? "").replace(/\[.*/, "");
  const options = [["", `as it is (${typeWord(found.type).toLowerCase()})`], ...TYPES.filter(([type]) => type !== found.type)];
  const known = options.some(([type]) => type === (cast?.type ?? ""));
  const choose = (type) => change(type === "" ? null : found.cast?.type === type ? found.cast : { type });
  const formats = FORMATS[kind];
  const text = found.type === "string";
  const format = String(cast?.format ?? ""); // several are a list, which stays one as long as nobody chooses another
  const own = formats && format && !formats.some(([one]) => one === format);
  return html`<label>Type ${select(cast?.type ?? "", known ? options : [...options, [cast.type, cast.type]], choose)}</label>
    ${text && formats && html`<label>Written like ${select(format, own ? [...formats, [format, formatWords(kind, cast.format)]] : formats, (next) => change({ ...cast, format: next || undefined }))}</label>`}
    ${text && cast && isNumber(cast.type) && html`<label>Written like <select value=${numberExample(cast)} onChange=${(event) => {
        const { thousands: _, decimal_comma: __, ...rest } = cast;
        change({ ...rest, ...NUMBERS.find(([example]) => example === event.currentTarget.value)[1] });
      }}>${NUMBERS.map(([example]) => html`<option>${example}</option>`)}</select></label>
      <label class="inline"><input type="checkbox" checked=${Boolean(cast.currency)} onChange=${(event) => change(without(cast, "currency", event.currentTarget.checked))} /> Leave out currency signs</label>
      <label class="inline"><input type="checkbox" checked=${Boolean(cast.percent)} onChange=${(event) => change(without(cast, "percent", event.currentTarget.checked))} /> Read 12 % as 0.12</label>`}
    ${cast && html`<label>Values that cannot be read ${select(cast.on_error ?? "null", [["null", "become missing, and are counted"], ["quarantine", "their rows go to quarantine"], ["fail", "fail the run"]], (on_error) => change({ ...cast, on_error }))}</label>`}`;
}

function without(cast, name, on) {
  const { [name]: _, ...rest } = cast;
  return on ? { ...rest, [name]: true } : rest;
}

function MissingChoice({ choices, onChange, own, text, numeric, change }) {
  const [adding, setAdding] = useState("");
  const fill = own.needed ? "drop" : typeof own.fill === "object" ? own.fill.strategy : own.fill !== undefined ? "value" : "";
  const [value, setValue] = useState(fill === "value" ? String(own.fill) : null);
  const choose = (next) => {
    setValue(next === "value" ? "" : null);
    change({ needed: next === "drop", fill: ["", "drop", "value"].includes(next) ? null : { strategy: next } });
  };
  const add = () => {
    if (!choices.missing.includes(adding)) onChange({ ...choices, missing: [...choices.missing, adding] });
    setAdding("");
  };
  return html`<label>Missing values ${select(value === null ? fill : "value", FILLS.filter(([key]) => numeric || !["mean", "median"].includes(key)), choose)}</label>
    ${value !== null && html`<label>Value <${Draft} value=${value} onTake=${(written) => { setValue(written); change({ needed: false, fill: written === "" ? null : numeric ? number(written) : written }); }} /></label>`}
    ${text && html`<div class="row"><span class="quiet">Texts that mean missing, in all columns:</span>
      ${choices.missing.map((mark) => html`<button type="button" class="tag" aria-label=${`${mark || "an empty text"} is a value again`} onClick=${() => onChange({ ...choices, missing: choices.missing.filter((one) => one !== mark) })}>${mark || "(empty)"} ×</button>`)}
      <input class="short" aria-label="Another text that means missing" placeholder="n/a" value=${adding} onInput=${(event) => setAdding(event.currentTarget.value)} onKeyDown=${(event) => event.key === "Enter" && add()} /><button type="button" disabled=${adding === ""} onClick=${add}>Add</button></div>`}`;
}

function RuleChoice({ rule, change }) {
  const set = (what) => change({ ...rule, ...what });
  const list = (text) => text.split(",").map((one) => number(one.trim())).filter((one) => one !== "");
  return html`<label>Check that it ${select(rule?.check ?? "", CHECKS, (check) => change(check ? { check, ...(check === "in_set" ? { values: [] } : check === "regex" ? { pattern: "" } : {}) } : null))}</label>
    ${rule?.check === "in_range" && html`<div class="row"><label>Least <${Draft} class="short" value=${rule.min ?? ""} onTake=${(text) => set({ min: text === "" ? undefined : number(text) })} /></label>
      <label>Greatest <${Draft} class="short" value=${rule.max ?? ""} onTake=${(text) => set({ max: text === "" ? undefined : number(text) })} /></label></div>`}
    ${rule?.check === "in_set" && html`<label>Values, with commas between them <${Draft} value=${rule.values.join(", ")} onTake=${(text) => set({ values: list(text) })} /></label>`}
    ${rule?.check === "regex" && html`<label>Pattern <${Draft} class="mono" value=${rule.pattern} placeholder="^[A-Z]{2}[0-9]+$" onTake=${(pattern) => set({ pattern })} /></label>`}
    ${rule && html`<p class="quiet hint">Rows that break it go to quarantine, where you can mend them.</p>`}`;
}
