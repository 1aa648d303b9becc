/** Fields for the values of settings, each by its kind: lists, maps, choices between kinds, settings within settings. */

import { html, useState } from "preact";
import { choicesOf, resolved } from "console/parts/configuration_schema";
import { Draft } from "console/parts/draft";
import { SettingsForm } from "console/parts/settings_form";

const ofKind = (kind) => ({ boolean: false, string: "", integer: 0, number: 0, array: [], object: {} })[kind];
const COLUMN = "A column.";

/** One value. `columns` are names to propose where a column is asked for. */
export function Field({ schemas, schema, value, onChange, columns, label, placeholder, required, hidden = [] }) {
  const described = resolved(schemas, schema, value);
  const more = { schemas, columns };
  const kinds = choicesOf(schemas, schema);
  if (kinds.length > 1) return html`<${Kinds} ...${more} kinds=${kinds} value=${value} onChange=${onChange} label=${label} />`;
  if (described.enum || described.const !== undefined) {
    const options = described.enum ?? [described.const];
    return html`<select aria-label=${label} value=${value ?? ""} onChange=${(event) => onChange(event.currentTarget.value || undefined)}>${!required && html`<option value="">${placeholder || "–"}</option>`}${options.filter((one) => one !== "").map((one) => html`<option>${one}</option>`)}</select>`;
  }
  const kind = [described.type].flat().find((one) => one !== "null");
  if (kind === "boolean") return html`<select aria-label=${label} value=${value === undefined ? "" : String(value)} onChange=${(event) => onChange(event.currentTarget.value === "" ? undefined : event.currentTarget.value === "true")}><option value="">${placeholder || "–"}</option><option value="true">yes</option><option value="false">no</option></select>`;
  if (kind === "integer" || kind === "number") return html`<${Draft} aria-label=${label} type="number" step=${kind === "integer" ? 1 : "any"} placeholder=${placeholder} value=${value ?? ""} onTake=${(text) => onChange(text === "" ? undefined : Number(text))} />`;
  if (kind === "array") return html`<${List} ...${more} schema=${described} value=${value ?? []} onChange=${onChange} label=${label} />`;
  if (kind === "object" && described.properties) return html`<div class="nested"><${SettingsForm} ...${more} schema=${described} value=${value ?? {}} onChange=${onChange} hidden=${hidden} /></div>`;
  if (kind === "object") return html`<${Pairs} ...${more} schema=${described} value=${value ?? {}} onChange=${onChange} label=${label} />`;
  if (described.type === undefined && value !== undefined && typeof value !== "string") return html`<code>${JSON.stringify(value)}</code>`;
  return html`<${Text} value=${value} onChange=${onChange} label=${label} placeholder=${placeholder} columns=${described.description?.startsWith(COLUMN) || /column/i.test(label ?? "") ? columns : []} long=${/query|sql|filter|expression/i.test(label ?? "")} />`;
}

function Text({ value, onChange, label, placeholder, columns, long }) {
  const take = (text) => onChange(text === "" ? undefined : text);
  if (long) return html`<${Draft} tag="textarea" aria-label=${label} class="mono" rows=${Math.min(Math.max((value ?? "").split("\n").length, 2), 10)} value=${value ?? ""} placeholder=${placeholder} spellcheck="false" onTake=${take} />`;
  return html`<${Draft} aria-label=${label} value=${value ?? ""} placeholder=${placeholder} list=${columns.length ? "columns" : null} onTake=${take} />`;
}

/** A value that may be of several kinds: which, and then its field. */
function Kinds({ schemas, kinds, value, onChange, columns, label }) {
  const [chosen, setChosen] = useState(null);
  const now = value === undefined ? chosen : kinds.findIndex((kind) => kind.fits(value));
  const choose = (event) => {
    const place = event.currentTarget.value === "" ? null : Number(event.currentTarget.value);
    setChosen(place);
    onChange(place === null ? undefined : kinds[place].first);
  };
  return html`<div class="kinds"><select aria-label=${`Kind of ${label}`} value=${now === null || now < 0 ? "" : String(now)} onChange=${choose}><option value="">–</option>${kinds.map(({ word }, place) => html`<option value=${String(place)}>${word}</option>`)}</select>
    ${kinds[now] && html`<${Field} schemas=${schemas} columns=${columns} schema=${kinds[now].schema} value=${value} onChange=${onChange} label=${label} hidden=${kinds[now].hidden} required />`}</div>`;
}

function List({ schemas, schema, value, onChange, columns, label }) {
  const items = schema.items ?? {};
  const inner = resolved(schemas, items, value[0]);
  const whole = inner.properties || inner.discriminator;
  const set = (place, next) => onChange(value.map((one, number) => (number === place ? next ?? (whole ? {} : "") : one)));
  const column = inner.description?.startsWith(COLUMN) ? "column" : "entry";
  return html`<div class=${whole ? "list whole" : "list"}>${value.map((one, place) => html`<div class="entry" key=${place}>
      <${Field} schemas=${schemas} columns=${columns} schema=${items} value=${one} onChange=${(next) => set(place, next)} label=${`${label}, ${column} ${place + 1}`} required />
      <button type="button" class="plain" aria-label=${`Take out ${column} ${place + 1} of ${label}`} onClick=${() => onChange(value.length > 1 ? value.filter((_, number) => number !== place) : undefined)}>×</button></div>`)}
    <button type="button" onClick=${() => onChange([...value, whole ? {} : inner.enum?.[0] ?? ""])}>Add</button></div>`;
}

/** Names and values, such as columns and their types. */
function Pairs({ schemas, schema, value, onChange, columns, label }) {
  const rows = Object.entries(value);
  const inner = typeof schema.additionalProperties === "object" ? schema.additionalProperties : {};
  const change = (place, name, next) => onChange(Object.fromEntries(rows.map((row, number) => (number === place ? [name, next] : row))));
  const propose = schema.propertyNames?.description?.startsWith(COLUMN) || /columns?|cast|schema/i.test(label);
  const first = choicesOf(schemas, inner)[0]?.kind ?? resolved(schemas, inner, undefined).type;
  return html`<div class="list whole">${rows.map(([name, one], place) => html`<div class="entry" key=${place}>
      <${Draft} aria-label=${`${label}, name ${place + 1}`} value=${name} list=${propose && columns.length ? "columns" : null} onTake=${(text) => text && change(place, text, one)} />
      <${Field} schemas=${schemas} columns=${columns} schema=${inner} value=${one} onChange=${(next) => change(place, name, next ?? ofKind(first) ?? "")} label=${`${label}, value of ${name}`} required />
      <button type="button" class="plain" aria-label=${`Take out ${name} of ${label}`} onClick=${() => onChange(rows.length > 1 ? Object.fromEntries(rows.filter((_, number) => number !== place)) : undefined)}>×</button></div>`)}
    <button type="button" onClick=${() => onChange({ ...value, [columns.find((one) => !(one in value)) ?? `name${rows.length + 1}`]: ofKind(first) ?? "" })}>Add</button></div>`;
}
