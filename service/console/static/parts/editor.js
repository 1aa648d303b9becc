/**
 * An editor for SQL, YAML and JSON. It lives in a shadow tree, since its styles are made by script and the page's
 * policy allows no style elements; style sheets of shadow trees are allowed.
 */

import { html, useEffect, useRef } from "preact";
import * as cm from "codemirror";
import { KEYWORDS, TYPES } from "console/parts/sql/words";

const THEME = cm.EditorView.theme({
  "&": { backgroundColor: "var(--paper)", color: "var(--ink)", fontSize: "13px", border: "1px solid var(--line)", borderRadius: "6px", height: "100%" },
  "&.cm-focused": { outline: "2px solid var(--accent)", outlineOffset: "1px" },
  ".cm-scroller": { fontFamily: "var(--mono)", overflow: "auto", lineHeight: "1.5" },
  ".cm-content": { caretColor: "var(--ink)", padding: "8px 0" },
  ".cm-cursor": { borderLeftColor: "var(--ink)" },
  ".cm-gutters": { backgroundColor: "var(--raised)", color: "var(--quiet)", border: "none" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "color-mix(in srgb, var(--accent) 7%, transparent)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "color-mix(in srgb, var(--accent) 28%, transparent)" },
  ".cm-tooltip": { backgroundColor: "var(--raised)", color: "var(--ink)", border: "1px solid var(--line)" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { backgroundColor: "var(--accent)", color: "var(--on-accent)" },
  ".cm-panels": { backgroundColor: "var(--raised)", color: "var(--ink)" },
  ".cm-matchingBracket": { backgroundColor: "var(--mark)" },
  ".cm-diagnostic": { fontFamily: "system-ui, sans-serif" },
});
const { tags } = cm;
const COLOURS = cm.HighlightStyle.define([
  { tag: [tags.keyword, tags.operatorKeyword], color: "var(--accent)", fontWeight: "600" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--good)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--wait)" },
  { tag: [tags.comment], color: "var(--quiet)", fontStyle: "italic" },
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--accent)" },
]);

/** DuckDB's words; those of PostgreSQL would mark columns such as "day". Its class is not among what the vendored file names. */
const DUCKDB = cm.PostgreSQL.constructor.define({
  keywords: KEYWORDS.join(" ").toLowerCase(), types: TYPES.join(" ").toLowerCase(), doubleDollarQuotedStrings: true, specialVar: "$", slashComments: false,
});

function language(name) {
  if (name === "yaml") return cm.yaml();
  return name === "json" ? cm.json() : cm.sql({ dialect: DUCKDB });
}

/**
 * Writes over a selection. Chromium would keep the look of the words that go, by a style that the policy of the page
 * refuses; the editor is asked as the browser would ask it.
 */
const OVERWRITE = cm.EditorView.domEventHandlers({
  beforeinput: (event, view) => {
    const { from, to, empty } = view.state.selection.main;
    if (event.inputType !== "insertText" || !event.data || empty || view.composing || view.state.readOnly || view.state.selection.ranges.length > 1) return false;
    event.preventDefault();
    const insert = () => view.state.update({ ...view.state.replaceSelection(event.data), userEvent: "input.type", scrollIntoView: true });
    if (!view.state.facet(cm.EditorView.inputHandler).some((handle) => handle(view, from, to, event.data, insert))) view.dispatch(insert());
    return true;
  },
});

const controls = (view) => ({
  selected: () => view.state.sliceDoc(view.state.selection.main.from, view.state.selection.main.to),
  insert: (text) => { view.dispatch(view.state.replaceSelection(text)); view.focus(); },
  show: (from, to) => { view.dispatch({ selection: { anchor: from, head: to }, scrollIntoView: true }); view.focus(); },
});

/**
 * `value` is the text at first and whenever it is another than the editor gave last; `onChange` gets each new text,
 * `onSubmit` is Ctrl+Enter. `complete` is a completion source, and `problems` are
 * `{from, to, message}` marks. `at` is the character that is in sight at first. `control` is a ref that gets
 * `{selected, insert, show}`: the selected text, a text at the cursor, the cursor at a place.
 */
export function Editor({ value, onChange, onSubmit, kind, label, complete, problems = [], readOnly = false, at = null, control = null, height = "12rem" }) {
  const host = useRef(null);
  const view = useRef(null);
  const last = useRef(value);
  const told = useRef(new Set());
  const given = useRef(false);
  const calls = useRef({});
  calls.current = { onChange, onSubmit };
  const speech = useRef(new cm.Compartment()).current;
  useEffect(() => {
    const root = host.current.shadowRoot ?? host.current.attachShadow({ mode: "open", delegatesFocus: true });
    const submit = { key: "Mod-Enter", run: () => { calls.current.onSubmit?.(); return true; } };
    const state = cm.EditorState.create({
      doc: value,
      extensions: [
        cm.lineNumbers(), cm.foldGutter(), cm.history(), cm.drawSelection(), cm.highlightActiveLine(), cm.indentOnInput(), cm.bracketMatching(), cm.closeBrackets(),
        cm.highlightSelectionMatches(), cm.lintGutter(), cm.syntaxHighlighting(COLOURS), THEME, cm.indentUnit.of("  "), cm.EditorView.lineWrapping, OVERWRITE,
        cm.autocompletion(complete ? { override: [complete] } : {}),
        cm.keymap.of([submit, ...cm.closeBracketsKeymap, ...cm.defaultKeymap, ...cm.searchKeymap, ...cm.historyKeymap, ...cm.foldKeymap, ...cm.completionKeymap, ...cm.lintKeymap]),
        cm.EditorView.contentAttributes.of({ "aria-label": label, tabindex: "0" }), speech.of(language(kind)),
        cm.EditorState.readOnly.of(readOnly),
        cm.EditorView.updateListener.of((update) => {
          if (!update.docChanged) return;
          last.current = update.state.doc.toString();
          if (given.current) return;
          told.current.add(last.current);
          calls.current.onChange?.(last.current);
        }),
      ],
    });
    view.current = new cm.EditorView({ state, parent: root, root });
    if (control) control.current = controls(view.current);
    return () => view.current.destroy();
  }, [readOnly, complete]);
  useEffect(() => {
    const late = told.current.has(value); // what was typed a moment ago, drawn after more was typed
    if (value === last.current) told.current.clear();
    if (late || value === last.current) return;
    given.current = true;
    view.current.dispatch({ changes: { from: 0, to: view.current.state.doc.length, insert: value } });
    given.current = false;
  }, [value]);
  useEffect(() => view.current.dispatch({ effects: speech.reconfigure(language(kind)) }), [kind]);
  useEffect(() => {
    const most = view.current.state.doc.length;
    const marks = problems.map(({ from, to, message }) => ({ from: Math.min(from, most), to: Math.min(Math.max(to, from + 1), most), message, severity: "error" }));
    view.current.dispatch(cm.setDiagnostics(view.current.state, marks));
  }, [problems]);
  useEffect(() => {
    if (at !== null) view.current.dispatch({ selection: { anchor: Math.min(at, view.current.state.doc.length) }, effects: cm.EditorView.scrollIntoView(Math.min(at, view.current.state.doc.length), { y: "center" }) });
  }, [at, readOnly, complete]);
  return html`<div class="editor" ref=${host} style=${{ height }}></div>`;
}
