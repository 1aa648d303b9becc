/** The steps of a configuration as forms: add one, change its settings, move it, take it out. */

import { html, useState } from "preact";
import { resolved } from "console/parts/configuration_schema";
import { SettingsForm } from "console/parts/settings_form";
import { dump } from "yaml";

const LISTS = [["collectors", "Collector", "Collect from"], ["processors", "Processor", "Process"], ["storage", "Storage", "Store in"]];
const OTHERS = ["schedule", "execution", "publish_if", "retention"];

export function StepsForm({ schemas, document, onChange, readOnly }) {
  const write = (next) => onChange(dump(next, { noRefs: true, lineWidth: 110 }));
  const root = schemas.PipelineConfiguration;
  return html`<fieldset class="plain-set" disabled=${readOnly}>
    <${SettingsForm} schemas=${schemas} schema=${{ ...root, properties: { name: root.properties.name, description: root.properties.description }, required: ["name", "description"] }} value=${document} onChange=${write} />
    ${LISTS.map(([list, kind, text]) => html`<${Steps} key=${list} schemas=${schemas} kind=${kind} text=${text} steps=${document[list] ?? []} onChange=${(steps) => write({ ...document, [list]: steps })} />`)}
    ${OTHERS.filter((name) => root.properties[name]).map((name) => html`<details class="card" open=${document[name] !== undefined}><summary>${name.charAt(0).toUpperCase() + name.slice(1).replaceAll("_", " ")}</summary>
      <${SettingsForm} schemas=${schemas} schema=${root.properties[name]} value=${document[name] ?? {}} onChange=${(value) => {
        const { [name]: _, ...rest } = document;
        write(Object.keys(value).length ? { ...rest, [name]: value } : rest);
      }} /></details>`)}
  </fieldset>`;
}

function Steps({ schemas, kind, text, steps, onChange }) {
  const known = schemas[kind].discriminator.mapping;
  const add = (type) => {
    const example = resolved(schemas, schemas[kind], { type }).examples?.[0];
    onChange([...steps, kind === "Processor" ? { type, config: example ?? {} } : { ...(example ?? {}), type }]);
  };
  const move = (from, to) => {
    const next = [...steps];
    next.splice(to, 0, ...next.splice(from, 1));
    onChange(next);
  };
  return html`<section class="stack"><h2>${text}</h2>
    ${steps.map((step, place) => {
      const schema = resolved(schemas, schemas[kind], step);
      const inner = kind === "Processor" ? schema.properties?.config : schema;
      return html`<details class="card" key=${`${place}-${step.type}`} open><summary>${place + 1}. ${step.type}${step.id ? ` (${step.id})` : ""}</summary>
        ${inner && html`<${SettingsForm} schemas=${schemas} schema=${inner} hidden=${kind === "Processor" ? [] : ["type"]} value=${kind === "Processor" ? (step.config ?? {}) : step}
          onChange=${(value) => onChange(steps.map((one, number) => (number !== place ? one : kind === "Processor" ? { ...one, config: value } : value)))} />`}
        <div class="row"><button type="button" disabled=${place === 0} onClick=${() => move(place, place - 1)}>Earlier</button>
          <button type="button" disabled=${place === steps.length - 1} onClick=${() => move(place, place + 1)}>Later</button>
          <button type="button" class="danger" onClick=${() => onChange(steps.filter((_, number) => number !== place))}>Take out</button></div></details>`;
    })}
    <label class="inline">Add <select value="" onChange=${(event) => { if (event.currentTarget.value) add(event.currentTarget.value); event.currentTarget.value = ""; }}>
      <option value="">choose …</option>${Object.keys(known).map((type) => html`<option>${type}</option>`)}</select></label>
  </section>`;
}
