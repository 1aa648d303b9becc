/** A configuration as forms: its sources, steps and storages, when it runs, what is kept, who is told. */

import { html, useState } from "preact";
import { resolved } from "console/parts/configuration_schema";
import { Draft } from "console/parts/draft";
import { ScheduleChoice } from "console/parts/making/schedule_choice";
import { Hint, SettingsForm } from "console/parts/settings_form";

const LISTS = [["collectors", "Collector", "Sources", "a source"], ["processors", "Processor", "Steps", "a step"], ["storage", "Storage", "Stored as", "a storage"]];
const OTHERS = { schedule: "When it runs", trigger: "After other pipelines", publish_if: "Checks before a version is published", retention: "What is kept", notify: "Who is told", execution: "How it runs", combine: "How several sources become one table" };
const MEANINGS = {
  api: "an API", csv: "CSV files", json: "JSON files", parquet: "Parquet files", web: "web pages", pipeline: "rows of another pipeline",
  cleaner: "clean: types, missing values, duplicates", validator: "check rules", analyzer: "describe: profile with charts", transformer: "make features", sql: "SQL query",
  duckdb: "a DuckDB file",
};
const meaning = (type) => (MEANINGS[type] ? `${type}: ${MEANINGS[type]}` : type);

export function StepsForm({ schemas, document, onChange, columns, readOnly }) {
  const root = schemas.PipelineConfiguration;
  const set = (name, value) => {
    const { [name]: _, ...rest } = document;
    onChange(value === undefined ? rest : name in document ? { ...document, [name]: value } : { ...rest, [name]: value });
  };
  return html`<fieldset class="plain-set" disabled=${readOnly}>
    <datalist id="columns">${columns.map((name) => html`<option value=${name} />`)}</datalist>
    <section class="card"><label>Description <${Draft} value=${document.description ?? ""} placeholder="What the pipeline is for" onTake=${(text) => set("description", text || undefined)} /></label>
      <p class="quiet">Name: <code>${document.name}</code></p></section>
    ${LISTS.map(([list, kind, title, one]) => html`<${Steps} key=${list} schemas=${schemas} kind=${kind} title=${title} one=${one} columns=${columns} steps=${document[list] ?? []} onChange=${(steps) => set(list, list === "collectors" || steps.length ? steps : undefined)} />`)}
    ${Object.entries(OTHERS).filter(([name]) => root.properties[name]).map(([name, title]) => html`<details class="card" key=${name} open=${document[name] !== undefined}><summary>${title}</summary>
      ${name === "schedule" && html`<${Times} value=${document.schedule ?? null} onChange=${(value) => set(name, value ?? undefined)} />`}
      ${name === "schedule" && !document.schedule ? null : html`<${SettingsForm} schemas=${schemas} schema=${name === "notify" ? { properties: { notify: root.properties.notify } } : name === "combine" ? { properties: { combine: root.properties.combine } } : root.properties[name]} columns=${columns} hidden=${name === "schedule" ? ["cron"] : []}
        value=${name === "notify" || name === "combine" ? { [name]: document[name] } : (document[name] ?? {})} onChange=${(value) => {
          const next = name === "notify" || name === "combine" ? value[name] : value;
          set(name, next && Object.keys(next).length ? next : undefined);
        }} />`}</details>`)}
  </fieldset>`;
}

function Times({ value, onChange }) {
  const [own, setOwn] = useState(null);
  return html`<${ScheduleChoice} value=${value} onChange=${onChange} forced=${own} onKind=${setOwn} />`;
}

function Steps({ schemas, kind, title, one, columns, steps, onChange }) {
  const known = Object.keys(schemas[kind].discriminator.mapping);
  const [fresh, setFresh] = useState(null);
  const nested = kind === "Processor";
  const add = (type) => {
    const schema = resolved(schemas, schemas[kind], { type });
    const needs = ((nested ? resolved(schemas, schema.properties.config, {}) : schema).required ?? []).filter((name) => name !== "type");
    const example = schema.examples?.[0] ?? {};
    const given = Object.fromEntries(needs.map((name) => [name, (nested ? example.config : example)?.[name] ?? ""]));
    setFresh(steps.length);
    onChange([...steps, nested ? { type, config: given } : { type, ...given }]);
  };
  const move = (from, to) => {
    const next = [...steps];
    next.splice(to, 0, ...next.splice(from, 1));
    onChange(next);
  };
  const set = (place, value) => onChange(steps.map((step, number) => (number !== place ? step : nested ? { ...step, config: value } : value)));
  return html`<section class="stack" aria-label=${title}><h2>${title}</h2>
    ${steps.map((step, place) => {
      const schema = resolved(schemas, schemas[kind], step);
      const inner = nested ? schema.properties?.config : schema;
      const name = `${place + 1}. ${step.type}`;
      return html`<details class="card" key=${`${place}-${step.type}`} open=${steps.length < 4 || fresh === place}><summary>${name}${step.id ? ` (${step.id})` : ""} <span class="quiet">${MEANINGS[step.type] ?? ""}</span></summary>
        <${Hint} text=${(schema.description ?? "").split("\n\n")[0]} />
        ${inner && html`<${SettingsForm} schemas=${schemas} schema=${inner} columns=${columns} hidden=${nested ? [] : ["type"]} value=${nested ? (step.config ?? {}) : step} onChange=${(value) => set(place, value)} />`}
        <div class="row"><button type="button" disabled=${place === 0} aria-label=${`Earlier: ${name}`} onClick=${() => move(place, place - 1)}><span aria-hidden="true">↑ </span>Earlier</button>
          <button type="button" disabled=${place === steps.length - 1} aria-label=${`Later: ${name}`} onClick=${() => move(place, place + 1)}><span aria-hidden="true">↓ </span>Later</button>
          <button type="button" class="danger" aria-label=${`Take out ${name}`} onClick=${() => onChange(steps.filter((_, number) => number !== place))}>Take out</button></div></details>`;
    })}
    ${steps.length === 0 && kind === "Storage" && html`<p class="quiet">Parquet and DuckDB, as by default.</p>`}
    <label class="inline">Add ${one} <select value="" onChange=${(event) => { const type = event.currentTarget.value; event.currentTarget.value = ""; if (type) add(type); }}>
      <option value="">choose …</option>${known.map((type) => html`<option value=${type}>${meaning(type)}</option>`)}</select></label>
  </section>`;
}
