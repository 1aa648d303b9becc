/** A form of settings, drawn from their schema: for people who will not write YAML. What it has no field for stays as it is. */

import { html, useState } from "preact";
import { resolved, typeText } from "console/parts/configuration_schema";
import { dump, load } from "yaml";

const words = (name) => name.charAt(0).toUpperCase() + name.slice(1).replaceAll("_", " ");

/** `value` is an object, `schema` describes it; `onChange` gets the next object. */
export function SettingsForm({ schemas, schema, value, onChange, hidden = [] }) {
  const [all, setAll] = useState(false);
  const described = resolved(schemas, schema, value);
  const required = described.required ?? [];
  const names = Object.keys(described.properties ?? {}).filter((name) => !hidden.includes(name));
  const first = names.filter((name) => required.includes(name) || value?.[name] !== undefined);
  const shown = all || first.length === 0 ? names : first;
  const change = (name) => (next) => {
    const { [name]: _, ...rest } = value ?? {};
    onChange(next === undefined ? rest : { ...rest, [name]: next });
  };
  return html`<div class="settings">
    ${shown.map((name) => html`<${Setting} key=${name} name=${name} required=${required.includes(name)} schemas=${schemas} schema=${described.properties[name]} value=${value?.[name]} onChange=${change(name)} />`)}
    ${names.length > shown.length && html`<button type="button" class="plain" onClick=${() => setAll(true)}>${names.length - shown.length} more settings</button>`}
  </div>`;
}

function Setting({ name, required, schemas, schema, value, onChange }) {
  const plain = schema.$ref ? { ...schemas[schema.$ref.split("/").at(-1)], ...schema } : schema;
  const described = resolved(schemas, schema, value);
  const hint = plain.description ?? described.description;
  const empty = plain.default === undefined || plain.default === null ? "" : `default: ${JSON.stringify(plain.default)}`;
  const label = html`<span>${words(name)}${required && html` <span class="late">needed</span>`}</span>${hint && html`<span class="quiet hint">${hint}</span>`}`;
  const options = described.enum ?? (described.const !== undefined ? [described.const] : null);
  if (options) {
    return html`<label>${label}<select value=${value ?? ""} onChange=${(event) => onChange(event.currentTarget.value || undefined)}>
      ${!required && html`<option value="">${empty || "–"}</option>`}${options.map((one) => html`<option>${one}</option>`)}</select></label>`;
  }
  if (described.type === "boolean" && typeof (value ?? false) === "boolean") {
    return html`<label class="inline"><input type="checkbox" checked=${value ?? plain.default ?? false} onChange=${(event) => onChange(event.currentTarget.checked)} /> ${label}</label>`;
  }
  if (["integer", "number"].includes(described.type)) {
    return html`<label>${label}<input type="number" step=${described.type === "integer" ? 1 : "any"} placeholder=${empty} value=${value ?? ""} onChange=${(event) => onChange(event.currentTarget.value === "" ? undefined : Number(event.currentTarget.value))} /></label>`;
  }
  if (described.type === "string" && (value === undefined || typeof value === "string")) {
    return html`<label>${label}<input value=${value ?? ""} placeholder=${empty} required=${required} onChange=${(event) => onChange(event.currentTarget.value === "" ? undefined : event.currentTarget.value)} /></label>`;
  }
  return html`<${Written} label=${label} value=${value} detail=${typeText(plain)} onChange=${onChange} />`;
}

/** A setting that has no field of its own: lists, maps and choices between kinds, as YAML. */
function Written({ label, value, detail, onChange }) {
  const [wrong, setWrong] = useState(null);
  const text = value === undefined ? "" : dump(value).trimEnd();
  const change = (event) => {
    const written = event.currentTarget.value;
    try {
      onChange(written.trim() === "" ? undefined : load(written));
      setWrong(null);
    } catch (error) {
      setWrong(error.reason ?? error.message);
    }
  };
  return html`<label>${label}<textarea class="mono" rows=${Math.min(Math.max(text.split("\n").length, 1), 12)} placeholder=${detail} spellcheck="false" value=${text} onChange=${change}></textarea>${wrong && html`<span class="late" role="alert">${wrong}</span>`}</label>`;
}
