/** A form of settings, drawn from their schema: for people who will not write YAML. What it has no field for stays as it is. */

import { html, useState } from "preact";
import { resolved } from "console/parts/configuration_schema";
import { Field } from "console/parts/setting_fields";

const FEW = 6;

export const words = (name) => name.charAt(0).toUpperCase() + name.slice(1).replaceAll("_", " ");

/** `value` is an object, `schema` describes it; `onChange` gets the next object. `columns` are names to propose. */
export function SettingsForm({ schemas, schema, value, onChange, columns = [], hidden = [] }) {
  const [added, setAdded] = useState([]);
  const described = resolved(schemas, schema, value);
  const required = described.required ?? [];
  const names = Object.keys(described.properties ?? {}).filter((name) => !hidden.includes(name));
  const shown = names.length <= FEW ? names : names.filter((name) => required.includes(name) || value?.[name] !== undefined || added.includes(name));
  const others = names.filter((name) => !shown.includes(name));
  const change = (name) => (next) => {
    const { [name]: _, ...rest } = value ?? {};
    onChange(next === undefined ? rest : name in (value ?? {}) ? { ...value, [name]: next } : { ...rest, [name]: next });
  };
  return html`<div class="settings">
    ${shown.map((name) => html`<${Setting} key=${name} name=${name} required=${required.includes(name)} schemas=${schemas} schema=${described.properties[name]} value=${value?.[name]} onChange=${change(name)} columns=${columns} />`)}
    ${others.length > 0 && html`<label class="more">More settings <select value="" onChange=${(event) => { const name = event.currentTarget.value; event.currentTarget.value = ""; if (name) setAdded([...added, name]); }}>
      <option value="">choose one of ${others.length} …</option>${others.map((name) => html`<option value=${name} title=${described.properties[name].description}>${words(name)}</option>`)}</select></label>`}
  </div>`;
}

function Setting({ name, required, schemas, schema, value, onChange, columns }) {
  const plain = schema.$ref ? { ...schemas[schema.$ref.split("/").at(-1)], ...schema } : schema;
  const hint = (plain.description ?? resolved(schemas, schema, value).description ?? "").split("\n\n")[0];
  const standard = plain.default === undefined || plain.default === null || (typeof plain.default === "object" && Object.keys(plain.default).length === 0) ? "" : `${plain.default === true ? "yes" : plain.default === false ? "no" : typeof plain.default === "object" ? JSON.stringify(plain.default) : plain.default} (default)`;
  return html`<div class="setting" role="group" aria-label=${words(name)}><div class="setting-name">${words(name)}${required && html` <span class="late">needed</span>`}
      ${value !== undefined && !required && html`<button type="button" class="plain" aria-label=${`Clear ${words(name)}`} title="Back to the default" onClick=${() => onChange(undefined)}>clear</button>`}</div>
    <${Hint} text=${hint} />
    <${Field} schemas=${schemas} schema=${schema} value=${value} onChange=${onChange} columns=${columns} label=${words(name)} placeholder=${standard} required=${required} /></div>`;
}

/** A description of the schema, whose backquotes mark code. */
export const Hint = ({ text }) => (text ? html`<p class="quiet hint">${text.split("`").map((part, place) => (place % 2 ? html`<code>${part}</code>` : part))}</p>` : null);
