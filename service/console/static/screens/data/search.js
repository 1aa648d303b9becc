/** Conditions by a column without writing SQL: its text, a range, whether there is a value. */

import { html, useState } from "preact";
import { begins, between, contains, missing, not, only, present, sort } from "console/screens/data/conditions";

const HOW = [["contains", "contains", contains], ["equals", "is", (column, words) => only(column, words)], ["begins", "begins with", begins], ["not", "is not", (column, words) => not(column, words)]];

/** What a field for a value of the column takes. */
const WRITTEN = { number: /^\s*[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?\s*$/i, time: /\d/ };

export function Search({ column, add }) {
  const kind = sort(column.type);
  return html`<section class="stack" aria-label="Choose rows"><h3>Choose rows</h3>
    ${kind === "text" && html`<${Text} column=${column} add=${add} />`}
    ${(kind === "number" || kind === "time") && html`<${Range} column=${column} kind=${kind} add=${add} />`}
    <div class="row tight"><button type="button" class="plain" onClick=${() => add(missing(column))}>Only null</button><button type="button" class="plain" onClick=${() => add(present(column))}>Not null</button>
      ${kind === "text" && html`<button type="button" class="plain" onClick=${() => add(only(column, ""))}>Only empty texts</button>`}</div></section>`;
}

function Text({ column, add }) {
  const [how, setHow] = useState("contains");
  const [words, setWords] = useState("");
  const submit = (event) => {
    event.preventDefault();
    if (words === "" && how !== "equals" && how !== "not") return;
    add(HOW.find(([name]) => name === how)[2](column, words));
    setWords("");
  };
  return html`<form class="row tight" onSubmit=${submit}><select aria-label="How" value=${how} onChange=${(event) => setHow(event.currentTarget.value)}>${HOW.map(([name, word]) => html`<option value=${name}>${word}</option>`)}</select>
    <input class="grow-small" aria-label=${`Text of ${column.name}`} value=${words} onInput=${(event) => setWords(event.currentTarget.value)} /><button>Choose</button></form>`;
}

function Range({ column, kind, add }) {
  const [least, setLeast] = useState("");
  const [most, setMost] = useState("");
  const [wrong, setWrong] = useState(null);
  const field = kind === "number" ? { type: "text", inputmode: "decimal" } : { type: /^DATE$/i.test(column.type) ? "date" : /^TIME$/i.test(column.type) ? "time" : "datetime-local", step: /^DATE$/i.test(column.type) ? null : "0.001" };
  const submit = (event) => {
    event.preventDefault();
    const given = [least, most].filter((one) => one !== "");
    const bad = given.find((one) => !WRITTEN[kind].test(one));
    setWrong(bad === undefined ? null : `“${bad}” is not a number; write it as 1234.5`);
    if (bad !== undefined || !given.length) return;

    add(least === most ? only(column, least.trim()) : between(column, least.trim(), most.trim()));
    setLeast("");
    setMost("");
  };
  return html`<form class="stack" onSubmit=${submit}><div class="row tight"><label class="inline">from <input class="range" ...${field} aria-label=${`Least ${column.name}`} value=${least} onInput=${(event) => setLeast(event.currentTarget.value)} /></label>
    <label class="inline">to <input class="range" ...${field} aria-label=${`Greatest ${column.name}`} value=${most} onInput=${(event) => setMost(event.currentTarget.value)} /></label><button>Choose</button></div>
    ${wrong && html`<p class="late" role="alert">${wrong}</p>`}</form>`;
}
