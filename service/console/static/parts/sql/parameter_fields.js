/** A field for each parameter: its kind, and a field that fits the kind. Null is a kind, so that no text means it. */

import { html } from "preact";
import { KINDS, wrong } from "console/parts/sql/kinds";

const INPUTS = { date: "date", time: "time" };
const EXAMPLES = { integer: "42", number: "1.5", decimal: "19.90", datetime: "2026-01-31T06:30:00" };

/**
 * `fields` are `{name, kind, text, about}` (`about`: the parameter of a saved query, or null); `change(name, value)`
 * takes `{kind, text}`. With `strict` what is wrong is said also where nobody has written yet.
 */
export function ParameterFields({ fields, change, strict }) {
  return html`<fieldset class="parameters"><legend>Parameters</legend>
    ${fields.map((field) => html`<${Field} key=${field.name} field=${field} change=${(value) => change(field.name, value)} strict=${strict} />`)}</fieldset>`;
}

/** What is wrong with a field, or null. A saved query fills in what may be left out. */
export function faultOf({ kind, text, about }) {
  if (about && text === "" && kind !== "null") return about.required ? "This query needs a value." : null;
  return wrong(kind, text);
}

function Field({ field, change, strict }) {
  const { name, kind, text, about } = field;
  const fault = strict || text !== "" ? faultOf(field) : null;
  const shown = /^\d+$/.test(name) ? `Parameter ${name}` : `$${name}`;
  const write = (event) => change({ kind, text: event.currentTarget.value });
  const common = { "aria-label": `${shown}, value`, "aria-invalid": fault ? "true" : null, "aria-describedby": fault ? `fault-${name}` : null, value: text, onInput: write };
  const empty = about ? (about.required ? "needed" : about.default === null ? "null" : `${about.default} if empty`) : EXAMPLES[kind] ?? "";
  const choices = kind === "boolean" ? ["true", "false"] : about?.enum?.map(String);
  return html`<div class="parameter" role="group" aria-label=${shown}>
    <code>${shown}</code>
    <select aria-label=${`${shown}, kind`} value=${kind} onChange=${(event) => change({ kind: event.currentTarget.value, text: event.currentTarget.value === "null" ? "" : text })}>
      ${Object.entries(KINDS).filter(([one]) => !about || one === about.type).map(([one, words]) => html`<option value=${one}>${words}</option>`)}</select>
    ${kind === "null" ? html`<span class="quiet">no value</span>`
      : choices ? html`<select ...${common} onChange=${write}>${!choices.includes(text) && html`<option value=${text}>${text || empty || "choose"}</option>`}${choices.map((one) => html`<option>${one}</option>`)}${about && !about.required && text !== "" && html`<option value="">${empty}</option>`}</select>`
      : html`<input type=${INPUTS[kind] ?? "text"} inputmode=${{ integer: "numeric", number: "decimal", decimal: "decimal" }[kind] ?? null} step=${kind === "time" ? "1" : null} autocomplete="off" spellcheck="false" placeholder=${empty} ...${common} />`}
    ${about?.description && html`<span class="quiet small">${about.description}</span>`}
    ${fault && html`<span class="fault" id=${`fault-${name}`} role="status">${fault}</span>`}
  </div>`;
}
