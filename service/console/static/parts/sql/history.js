/** The statements of this tab. They may hold values that nobody else shall see, so that they end with the tab. */

import { html, useEffect, useState } from "preact";
import { counted, duration } from "console/format";
import { Time } from "console/parts/basics";
import { addressOf } from "console/parts/sql/asked";

const KEY = "penstock-sql";
const MOST = 50;
const LONGEST = 20_000;
const listeners = new Set();

export const past = () => JSON.parse(sessionStorage.getItem(KEY) ?? "[]");

/** Notes what was asked and how it went; the same statement with the same values is noted once. */
export function remember({ sql, saved, values, view }, outcome) {
  if ((sql ?? "").length > LONGEST) return;
  const asked = { sql, saved, values, view: view === "chart" ? "rows" : view };
  const same = addressOf(asked);
  write([{ asked, at: new Date().toISOString(), ...outcome }, ...past().filter((one) => addressOf(one.asked) !== same)].slice(0, MOST));
}

function write(entries) {
  sessionStorage.setItem(KEY, JSON.stringify(entries));
  for (const listener of listeners) listener();
}

/** The list, newest first; `open` gets what to ask again. */
export function History({ open }) {
  const [, look] = useState(0);
  useEffect(() => {
    const listener = () => look((before) => before + 1);
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, []);
  const entries = past();
  if (entries.length === 0) return html`<p class="quiet">Nothing ran in this tab yet.</p>`;
  return html`<ol class="past" aria-label="History">${entries.map((one) => html`<li key=${addressOf(one.asked)}>
      <button type="button" class="plain clip" title="Run it again" onClick=${() => open(one.asked)}>${one.asked.sql?.replace(/\s+/g, " ") ?? `Query ${one.asked.saved}`}</button>
      <span class="quiet small"><${Time} at=${one.at} /> · ${one.failed ? "failed" : `${counted(one.rows, "row")} · ${duration(one.milliseconds / 1000)}`}${one.asked.view === "rows" ? "" : " · plan"}</span></li>`)}</ol>
    <button type="button" onClick=${() => write([])}>Clear the history</button>`;
}
