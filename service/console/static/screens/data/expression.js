/** A field for a condition in SQL, which offers the columns and words that may stand where somebody writes. */

import { html, useState } from "preact";
import { quoted } from "console/screens/data/conditions";

const WORDS = ["AND", "OR", "NOT", "IS NULL", "IS NOT NULL", "IN (", "BETWEEN", "LIKE '%", "ILIKE '%", "lower(", "length(", "contains(", "starts_with(", "regexp_matches(", "year(", "date_trunc('month', ", "abs(", "round(", "DATE '", "TIMESTAMP '"];
const SHOWN = 8;
const PLAIN = /^[A-Za-z_][A-Za-z0-9_]*$/;

const write = (name) => (PLAIN.test(name) ? name : quoted(name));

/** The word that ends at the cursor, unless that is within a text. */
function wordAt(text, end) {
  const before = text.slice(0, end);
  if ((before.match(/'/g) ?? []).length % 2) return null;
  const found = /"[^"]*$|[A-Za-z_][\w]*$/.exec(before);
  return found && { from: found.index, text: found[0].replace(/^"/, "").toLowerCase() };
}

export function Expression({ field, value, onChange, columns, onEscape }) {
  const [offer, setOffer] = useState(null); // {from, to, options, chosen}
  const look = (input) => {
    const word = wordAt(input.value, input.selectionStart);
    if (!word || !word.text) return setOffer(null);
    const names = columns.map((column) => column.name).filter((name) => name.toLowerCase().includes(word.text))
      .sort((a, b) => b.toLowerCase().startsWith(word.text) - a.toLowerCase().startsWith(word.text));
    const options = [...names.map((name) => ({ text: name, write: write(name), detail: columns.find((column) => column.name === name).type })),
      ...WORDS.filter((one) => one.toLowerCase().startsWith(word.text)).map((one) => ({ text: one, write: one, detail: "" }))].slice(0, SHOWN);
    const done = options.length === 0 || options[0].write.toLowerCase() === input.value.slice(word.from, input.selectionStart).toLowerCase();
    setOffer(done ? null : { from: word.from, to: input.selectionStart, options, chosen: -1 });
  };
  const take = (option) => {
    const text = `${value.slice(0, offer.from)}${option.write}${value.slice(offer.to)}`;
    const at = offer.from + option.write.length;
    field.current.value = text; // at once: the next key may come before the next drawing
    field.current.focus();
    field.current.setSelectionRange(at, at);
    onChange(text);
    setOffer(null);
  };
  const key = (event) => {
    if (event.key === "Escape") {
      if (offer) setOffer(null);
      else onEscape();
      return;
    }
    if (!offer) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) setOffer({ ...offer, chosen: (offer.chosen + step + offer.options.length) % offer.options.length });
    else if ((event.key === "Enter" || event.key === "Tab") && offer.chosen >= 0) take(offer.options[offer.chosen]);
    else return;
    event.preventDefault();
  };
  return html`<div class="expression grow"><input class="mono" ref=${field} type="search" name="filter" role="combobox" aria-label="Filter: a condition in SQL" aria-expanded=${offer !== null} aria-controls="condition-words" aria-autocomplete="list"
      aria-activedescendant=${offer && offer.chosen >= 0 ? `condition-word-${offer.chosen}` : null} placeholder="Filter, such as price > 10 AND city = 'Oslo'" autocomplete="off" autocapitalize="off" spellcheck="false"
      value=${value} onInput=${(event) => { onChange(event.currentTarget.value); look(event.currentTarget); }} onKeyDown=${key} onBlur=${() => setOffer(null)} />
    <ul id="condition-words" role="listbox" aria-label="Columns and words" hidden=${offer === null}>${offer?.options.map((one, place) => html`<li role="option" id=${`condition-word-${place}`} aria-selected=${place === offer.chosen} onPointerDown=${(event) => { event.preventDefault(); take(one); }}>
      <span class="clip">${one.text}</span> <span class="quiet">${one.detail}</span></li>`)}</ul></div>`;
}
