/** What the probe found to mend, as choices: each says what it would do and can be taken back. */

import { html } from "preact";
import { counted } from "console/format";
import { nameOf, withColumn } from "console/parts/making/choices";
import { castWords } from "console/parts/making/types";

/** What becomes of the values that a cast does not read. */
function lossWords(losses, way = "null") {
  if (!losses) return "";
  const one = losses === 1;
  const ends = { null: one ? "becomes missing" : "become missing", quarantine: one ? "goes to quarantine with its row" : "go to quarantine with their rows", fail: one ? "fails the run" : "fail the run" };
  return `; ${counted(losses, "value")} of another form ${ends[way]}`;
}

export function Proposals({ probe, choices, onChange }) {
  const rows = probe.columns.flatMap((column) => {
    const own = choices.columns[column.name];
    const change = (changes) => onChange(withColumn(choices, column.name, changes));
    return [
      column.cast && [`Read “${column.name}” as ${castWords(column.cast)}${lossWords(column.cast_losses, own.cast?.on_error)}`, Boolean(own.cast), (on) => change({ cast: on ? column.cast : null })],
      column.padded > 0 && [`Trim spaces around ${counted(column.padded, "value")} of “${column.name}”`, Boolean(own.trim), (on) => change({ trim: on })],
    ].filter(Boolean);
  });
  const marks = [...new Set(probe.columns.flatMap((column) => column.missing_texts))];
  if (marks.length) rows.push([`Take ${marks.map((mark) => (mark === "" ? "an empty text" : `“${mark}”`)).join(", ")} as missing`, marks.every((mark) => choices.missing.includes(mark)), (on) => onChange({ ...choices, missing: on ? [...new Set([...choices.missing, ...marks])] : choices.missing.filter((mark) => !marks.includes(mark)) })]);
  if (probe.repeated_rows) rows.push([`Leave out ${counted(probe.repeated_rows, "row")} that ${probe.repeated_rows === 1 ? "is" : "are"} there again`, choices.repeated, (on) => onChange({ ...choices, repeated: on })]);
  const odd = probe.columns.find((column) => choices.names[column.name] !== column.name);
  if (odd) rows.push([`Simple names of columns, such as “${choices.names[odd.name]}” for “${odd.name}”`, choices.simple, (on) => onChange({ ...choices, simple: on })]);
  if (rows.length === 0) return html`<p class="quiet">Nothing to mend was found. Choose a column to change it.</p>`;
  return html`<fieldset class="proposals"><legend>Found to mend</legend>
    ${rows.map(([words, on, set]) => html`<label class="inline" key=${words}><input type="checkbox" checked=${on} onChange=${(event) => set(event.currentTarget.checked)} /> ${words}</label>`)}</fieldset>`;
}

/** By which column rows are known, so that the newest of each stays. */
export function KeyChoice({ probe, choices, onChange }) {
  const likely = probe.primary_keys.flatMap((key) => (key.columns.length === 1 ? key.columns : []));
  const kept = Object.keys(choices.columns).filter((name) => !choices.columns[name].dropped);
  return html`<label>Keep one row for each <select value=${choices.key[0] ?? ""} onChange=${(event) => onChange({ ...choices, key: event.currentTarget.value ? [event.currentTarget.value] : [] })}>
    <option value="">row (keep all)</option>${kept.map((name) => html`<option value=${name}>${nameOf(choices, name)}${likely.includes(name) ? " (each value once)" : ""}</option>`)}</select></label>`;
}
