/** Conditions in SQL as people choose them: made from a column and values, and read again to say them in words. */

import { cell } from "console/format";

export const quoted = (name) => `"${name.replaceAll('"', '""')}"`;
const text = (value) => `'${String(value).replaceAll("'", "''")}'`;

const WHOLE = /^U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?$/i;
const BROKEN = /^(DOUBLE|FLOAT|REAL)/i;
const DECIMAL = /^DECIMAL/i;
const TIMES = /^(DATE|TIME|TIMESTAMP|TIMESTAMP WITH TIME ZONE|TIMESTAMP_\w+)$/i;

/** What a column holds: "number", "time", "text", "truth", or "other". */
export function sort(type) {
  if (WHOLE.test(type) || BROKEN.test(type) || DECIMAL.test(type)) return "number";
  if (TIMES.test(type)) return "time";
  if (/^BOOL/i.test(type)) return "truth";
  return /^(VARCHAR|UUID|ENUM)/i.test(type) && !type.endsWith("[]") ? "text" : "other";
}

/** Whether a value of the column can be written as SQL. */
export const canCompare = (type) => sort(type) !== "other" || /^(BLOB|INTERVAL)$/i.test(type);

/** A value as SQL that means exactly it. */
export function literal(value, type) {
  if (typeof value === "boolean") return String(value);
  if (WHOLE.test(type) || DECIMAL.test(type)) return /^[+-]?\d+(\.\d+)?$/.test(String(value).trim()) ? String(value).trim() : `CAST(${text(value)} AS ${type})`;
  if (BROKEN.test(type)) return `CAST(${text(value)} AS DOUBLE)`;
  if (/^BLOB$/i.test(type)) return `from_base64(${text(value)})`;
  if (TIMES.test(type) || /^INTERVAL$/i.test(type)) return `CAST(${text(value)} AS ${type})`;
  return text(cell(value));
}

export const missing = (column) => `${quoted(column.name)} IS NULL`;
export const present = (column) => `${quoted(column.name)} IS NOT NULL`;
export const only = (column, value) => (value === null ? missing(column) : `${quoted(column.name)} = ${literal(value, column.type)}`);
export const not = (column, value) => (value === null ? present(column) : `${quoted(column.name)} IS DISTINCT FROM ${literal(value, column.type)}`);
export const contains = (column, words) => `contains(lower(${quoted(column.name)}), ${text(words.toLowerCase())})`;
export const begins = (column, words) => `starts_with(lower(${quoted(column.name)}), ${text(words.toLowerCase())})`;
export function between(column, least, most) {
  const name = quoted(column.name);
  return [least !== "" && `${name} >= ${literal(least, column.type)}`, most !== "" && `${name} <= ${literal(most, column.type)}`].filter(Boolean).join(" AND ");
}

/** Any of these values; null is one of them. */
export function among(column, values) {
  const known = values.filter((value) => value !== null);
  if (known.length === values.length) return known.length === 1 ? only(column, known[0]) : `${quoted(column.name)} IN (${known.map((value) => literal(value, column.type)).join(", ")})`;
  return known.length === 0 ? missing(column) : `(${quoted(column.name)} IS NULL OR ${among(column, known)})`;
}

const NAME = String.raw`"((?:[^"]|"")*)"`;
const VALUE = String.raw`(?:CAST\('((?:[^']|'')*)' AS [\w ]+(?:\([\d, ]+\))?\)|'((?:[^']|'')*)'|([+-]?\d+(?:\.\d+)?|true|false))`;
const name = (found) => found.replaceAll('""', '"');
const value = (...parts) => {
  const found = parts.find((part) => part !== undefined);
  return parts[2] !== undefined ? found : `“${found.replaceAll("''", "'")}”`;
};
const FORMS = [
  [new RegExp(`^${NAME} IS (NOT )?NULL$`), (column, no) => [column, no ? "is not null" : "is null"]],
  [new RegExp(`^${NAME} = ${VALUE}$`), (column, ...given) => [column, `= ${value(...given)}`]],
  [new RegExp(`^${NAME} IS DISTINCT FROM ${VALUE}$`), (column, ...given) => [column, `is not ${value(...given)}`]],
  [new RegExp(`^contains\\(lower\\(${NAME}\\), ${VALUE}\\)$`), (column, ...given) => [column, `contains ${value(...given)}`]],
  [new RegExp(`^starts_with\\(lower\\(${NAME}\\), ${VALUE}\\)$`), (column, ...given) => [column, `begins with ${value(...given)}`]],
  [new RegExp(`^${NAME} >= ${VALUE}$`), (column, ...given) => [column, `≥ ${value(...given)}`]],
  [new RegExp(`^${NAME} <= ${VALUE}$`), (column, ...given) => [column, `≤ ${value(...given)}`]],
  [new RegExp(`^${NAME} >= ${VALUE} AND ${NAME} <= ${VALUE}$`), (column, a, b, c, other, ...given) => (column === other ? [column, `from ${value(a, b, c)} to ${value(...given)}`] : null)],
];
const LIST = new RegExp(`^(\\()?(?:${NAME} IS NULL OR )?${NAME} (?:IN \\((.*)\\)|= (${VALUE}))(\\))?$`, "s");

/** `{column, words}` of a condition that was made here, `{column: null, words}` of any other. */
export function described(condition) {
  for (const [form, say] of FORMS) {
    const found = form.exec(condition);
    const said = found && say(...found.slice(1));
    if (said) return { column: name(said[0]), words: said[1] };
  }
  const list = chosen(condition);
  return list ? { column: list.column, words: `is ${list.values.map((one) => (one === null ? "null" : `“${one}”`)).join(" or ")}` } : { column: null, words: condition };
}

/** `{column, values}` of a condition that chooses values, the values as texts; null is one of them. */
export function chosen(condition) {
  const missing = new RegExp(`^${NAME} IS NULL$`).exec(condition);
  if (missing) return { column: name(missing[1]), values: [null] };
  const found = LIST.exec(condition);
  if (!found || (found[2] !== undefined && found[2] !== found[3]) || (found[1] !== undefined) !== (found[2] !== undefined)) return null;
  const values = listed(found[4] ?? found[5]);
  return values && { column: name(found[3]), values: [...(found[2] !== undefined ? [null] : []), ...values] };
}

/** The values of a list of literals, or null if there is anything else in it. */
function listed(written) {
  const each = new RegExp(`${VALUE}(?:, |$)`, "gy");
  const values = [];
  let last = 0;
  for (let found = each.exec(written); found; found = each.exec(written)) {
    values.push((found[1] ?? found[2] ?? found[3]).replaceAll("''", "'"));
    last = each.lastIndex;
    if (last === written.length) break;
  }
  return last === written.length && values.length ? values : null;
}
