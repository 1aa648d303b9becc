/** Writes a configuration: as text with completion and live problems, or by forms; shows rows after each step, and the plan. */

import { html, useCallback, useEffect, useMemo, useRef, useState } from "preact";
import { post } from "console/api";
import { Problem, Tabs } from "console/parts/basics";
import { at, names, useSchemas, values } from "console/parts/configuration_schema";
import { parsed } from "console/parts/document";
import { Editor } from "console/parts/editor";
import { Planned, Previewed } from "console/parts/dry_runs";
import { StepsForm } from "console/parts/steps_form";
import { pathOf, placeOf } from "console/parts/yaml_place";

const ROOT = { $ref: "#/components/schemas/PipelineConfiguration" };
const WAIT = 350;

export function ConfigurationEditor({ text, onChange, readOnly = false }) {
  const schemas = useSchemas();
  const [view, setView] = useState("text");
  const checked = useChecked(text);
  const last = useRef({});
  const document = useMemo(() => parsed(text), [text]);
  if (document !== undefined) last.current = document;
  const complete = useCallback((context) => completion(context, schemas, last.current), [schemas]);
  const problems = useMemo(() => (checked.problems ?? []).map(({ field, message }) => {
    const [from, to] = placeOf(text, field);
    return { from, to, message: field ? `${field}: ${message}` : message };
  }), [checked]);
  const tab = (name, word) => html`<a href="#" role="button" aria-current=${view === name ? "page" : null} onClick=${(event) => { event.preventDefault(); setView(name); }}>${word}</a>`;
  return html`<div class="stack">
    <${Tabs} label="Views of the configuration">${tab("text", "Text")}${tab("steps", "Forms")}${tab("preview", "Preview")}${tab("plan", "Plan")}<//>
    <p class=${checked.problems?.length ? "late" : "quiet"} role="status">${checked.problems === null ? "Checking …" : checked.problems.length === 0 ? `No problems${checked.warnings?.length ? `, ${checked.warnings.length} to look at` : ""}.` : `${checked.problems.length} ${checked.problems.length === 1 ? "problem" : "problems"}`}</p>
    ${checked.problems?.length > 0 && html`<ul class="problems">${checked.problems.map(({ field, message }) => html`<li>${field && html`<code>${field}</code> `}${message}</li>`)}</ul>`}
    ${checked.warnings?.map((one) => html`<div class="warning">${one.message ?? one}</div>`)}
    <${Problem} error=${checked.error} />
    ${view === "text" && html`<${Editor} value=${text} onChange=${onChange} kind="yaml" label="Configuration" complete=${complete} problems=${problems} readOnly=${readOnly} height="max(24rem, calc(100dvh - 24rem))" />`}
    ${view === "steps" && (schemas && document ? html`<${StepsForm} schemas=${schemas} document=${document} onChange=${onChange} readOnly=${readOnly} />` : html`<p class="quiet">${document ? "Loading …" : "The text cannot be read; mend it first."}</p>`)}
    ${view === "preview" && document && html`<${Previewed} document=${document} />`}
    ${view === "plan" && document && html`<${Planned} document=${document} />`}
  </div>`;
}

/** What the service says of a text, a moment after it was changed: `{problems, warnings, error}`; null while it checks. */
function useChecked(text) {
  const [state, setState] = useState({ problems: null, warnings: [], error: null });
  useEffect(() => {
    const stop = new AbortController();
    const timer = setTimeout(async () => {
      try {
        const found = await post("/pipeline/validate", new Blob([text]), { headers: { "content-type": "application/yaml" }, signal: stop.signal });
        setState({ problems: [], warnings: found.warnings, error: null });
      } catch (error) {
        if (stop.signal.aborted) return;
        setState(error.status === 400 ? { problems: error.problems, warnings: [], error: null } : { problems: [], warnings: [], error });
      }
    }, WAIT);
    setState((before) => ({ ...before, problems: before.problems?.length ? before.problems : null }));
    return () => { clearTimeout(timer); stop.abort(); };
  }, [text]);
  return state;
}

/** Names of settings where a key is written, listed values after its colon. */
function completion(context, schemas, document) {
  if (schemas === null) return null;
  const line = context.state.doc.lineAt(context.pos);
  const before = line.text.slice(0, context.pos - line.from);
  const lines = context.state.doc.toString().split("\n");
  const path = pathOf(lines, line.number - 1);
  const value = /^\s*(?:- +)*([\w$-]+):\s+(\S*)$/.exec(before);
  if (value) {
    const { schema, value: holder } = at(schemas, ROOT, document, path);
    const known = schema?.discriminator?.propertyName === value[1] ? Object.keys(schema.discriminator.mapping) : values(schemas, schema?.properties?.[value[1]] ?? null);
    const tags = known.length === 0 && value[1] === "type" ? kinds(schemas, path) : known;
    return tags.length || holder ? { from: context.pos - value[2].length, options: tags.map((label) => ({ label, type: "enum" })) } : null;
  }
  const word = /^\s*(?:- +)*([\w$-]*)$/.exec(before);
  if (!word || (word[1] === "" && !context.explicit)) return null;
  const { schema, value: holder } = at(schemas, ROOT, document, path);
  if (!schema) return null;
  const present = Object.keys(holder ?? {});
  const options = names(schemas, schema, holder).filter((one) => !present.includes(one.label) || one.label === word[1])
    .map((one) => ({ ...one, type: "property", apply: `${one.label}: ` }));
  return options.length ? { from: context.pos - word[1].length, options, validFor: /^[\w$-]*$/ } : null;
}

/** The kinds of plug-in of a list such as `processors`. */
function kinds(schemas, path) {
  const name = { collectors: "Collector", processors: "Processor", storage: "Storage" }[path[0]];
  return Object.keys(schemas[name]?.discriminator?.mapping ?? {});
}
