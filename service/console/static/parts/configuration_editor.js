/** Writes a configuration: as text with completion and live problems, or by forms; shows rows after each step, and the plan. */

import { html, useCallback, useEffect, useMemo, useRef, useState } from "preact";
import { post } from "console/api";
import { Problem } from "console/parts/basics";
import { completion } from "console/parts/completion";
import { useSchemas } from "console/parts/configuration_schema";
import { asJson, asYaml, fault, hasComments, isJson, mediaType, parsed, placeOf, rewritten } from "console/parts/document";
import { Planned, Previewed } from "console/parts/dry_runs";
import { Editor } from "console/parts/editor";
import { StepsForm } from "console/parts/steps_form";
import { setQuery, useLocation } from "console/router";

const WAIT = 350;
const VIEWS = [["text", "Text"], ["forms", "Forms"], ["preview", "Preview"], ["plan", "Plan"]];

export function ConfigurationEditor({ text, onChange, readOnly = false }) {
  const schemas = useSchemas();
  const { query } = useLocation();
  const view = query.get("view") || "text";
  const wanted = query.get("at"); // a place such as processors[0], where a run failed
  const at = useMemo(() => (wanted ? placeOf(text, wanted)[0] : null), [wanted]);
  const checked = useChecked(text);
  const known = useRef({ schemas: null, document: {}, columns: [] });
  const [columns, setColumns] = useState([]);
  const document = useMemo(() => parsed(text), [text]);
  if (document !== undefined) known.current.document = document;
  Object.assign(known.current, { schemas, columns });
  const complete = useCallback((context) => completion(context, known.current), []); // another one would make another editor
  const see = useCallback((names) => setColumns([...new Set(names)]), []);
  const marks = useMemo(() => marked(text, checked), [checked]);
  const readable = view === "text" || document !== undefined;
  const switchTo = (json) => {
    if (json && hasComments(text) && !window.confirm("JSON has no comments: those of this text would be lost. Go on?")) return;
    onChange(json ? asJson(document) : asYaml(document));
  };
  return html`<div class="stack">
    <div class="row spread"><div class="row choice" role="group" aria-label="Views of the configuration">${VIEWS.map(([name, word]) => html`<button type="button" key=${name} aria-pressed=${view === name} onClick=${() => setQuery({ view: name === "text" ? null : name })}>${word}</button>`)}</div>
      ${view === "text" && document && html`<div class="row choice" role="group" aria-label="Language of the text">${[["YAML", false], ["JSON", true]].map(([word, json]) => html`<button type="button" key=${word} aria-pressed=${isJson(text) === json} disabled=${readOnly} onClick=${() => isJson(text) !== json && switchTo(json)}>${word}</button>`)}</div>`}</div>
    <${Found} checked=${checked} text=${text} />
    ${view === "text" && html`<${Editor} value=${text} onChange=${onChange} kind=${isJson(text) ? "json" : "yaml"} label="Configuration" complete=${complete} problems=${marks} readOnly=${readOnly} at=${at} height="max(22rem, calc(100dvh - 26rem))" />`}
    ${!readable && html`<p class="late">The text cannot be read yet; mend it first.</p>`}
    ${view === "forms" && document && (schemas ? html`<${StepsForm} schemas=${schemas} document=${document} columns=${columns} onChange=${(next) => onChange(rewritten(text, next))} readOnly=${readOnly} />` : html`<p class="quiet">Loading …</p>`)}
    ${view === "preview" && document && html`<${Previewed} text=${text} document=${document} onColumns=${see} />`}
    ${view === "plan" && document && html`<${Planned} text=${text} onColumns=${see} />`}
  </div>`;
}

/** How many problems there are, and which; each with its line. */
function Found({ checked, text }) {
  const { problems, warnings, error } = checked;
  const number = problems?.length ?? 0;
  return html`<p class=${number ? "late" : "quiet"} role="status">${problems === null ? "Checking …" : number === 0 ? `No problems${warnings.length ? `, ${warnings.length} to look at` : ""}.` : `${number} ${number === 1 ? "problem" : "problems"}`}</p>
    ${number > 0 && html`<ul class="problems">${problems.map(({ field, message }) => html`<li key=${message}>${field && html`<span class="quiet">Line ${text.slice(0, placeOf(text, field)[0]).split("\n").length}</span> <code>${field}</code> `}${message}</li>`)}</ul>`}
    ${warnings.map((one) => html`<div class="warning" key=${one.message}>${one.message ?? one}</div>`)}
    <${Problem} error=${error} />`;
}

function marked(text, { problems }) {
  const wrong = fault(text);
  if (wrong) return [wrong];
  return (problems ?? []).map(({ field, message }) => {
    const [from, to] = placeOf(text, field);
    return { from, to, message: field ? `${field}: ${message}` : message };
  });
}

/** What the service says of a text, a moment after it was changed: `{problems, warnings, error}`; null while it checks. */
function useChecked(text) {
  const [state, setState] = useState({ problems: null, warnings: [], error: null });
  useEffect(() => {
    const stop = new AbortController();
    const timer = setTimeout(async () => {
      try {
        const found = await post("/pipeline/validate", new Blob([text]), { headers: { "content-type": mediaType(text) }, signal: stop.signal });
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
