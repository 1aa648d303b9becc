/** What is wrong with a statement, in plain words, and where it stands in the text. */

import { html } from "preact";
import { Problem } from "console/parts/basics";
import { tokens } from "console/parts/sql/statement";
import { sent } from "console/parts/sql/asked";

const TITLES = {
  INVALID_SQL: "The statement does not work as it is written", SQL_NOT_ALLOWED: "This is not allowed here",
  QUERY_TIMEOUT: "It took too long and was stopped", QUERY_TOO_LARGE: "It needed too much memory and was stopped",
};
const HELP = {
  SQL_NOT_ALLOWED: "SQL here reads stored tables and changes nothing. To change what is stored, change its pipeline or send rows to it.",
  QUERY_TIMEOUT: "Read fewer rows (a condition, a sample), or make a pipeline that prepares what you ask often.",
  QUERY_TOO_LARGE: "Read fewer columns or rows, group before you join, or download the answer as Parquet.",
};

/** Where an error points to in the text that was asked: `{from, to, line, column}`, or null. The service counts characters. */
export function placeOf(error, asked) {
  const position = error?.details?.position;
  if (typeof position !== "number" || asked?.sql == null) return null;
  const { text, shift } = sent(asked);
  const from = [...text].slice(0, position).join("").length - shift;
  if (from < 0 || from > asked.sql.length) return null;
  const word = tokens(asked.sql).find((one) => one.from <= from && from < one.to);
  const before = asked.sql.slice(0, from).split("\n");
  return { from, to: word?.to ?? from + 1, line: before.length, column: [...before.at(-1)].length + 1 };
}

/** DuckDB's message without the name of its error; the first letter is large. */
export function plain(error) {
  const text = error.message.replace(/^[A-Z][A-Za-z ]* Error: /, "");
  return text[0].toUpperCase() + text.slice(1);
}

/** The error; `show` leads to its place in the editor. */
export function SqlProblem({ error, asked, show }) {
  if (!TITLES[error.code]) return html`<${Problem} error=${error} />`;
  const place = placeOf(error, asked);
  return html`<div class="problem" role="alert">
    <strong>${TITLES[error.code]}</strong>
    <p class="whole-text">${place && html`<button type="button" class="link" onClick=${() => show(place)}>Line ${place.line}, column ${place.column}</button>: `}${plain(error)}</p>
    ${HELP[error.code] && html`<p>${HELP[error.code]}</p>`}
    ${error.requestId && html`<p class="quiet"><code>${error.code}</code> Request <code>${error.requestId}</code></p>`}
  </div>`;
}
