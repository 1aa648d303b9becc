/** The kinds of values of parameters: those of saved queries, and null, which no text is. */

export const KINDS = {
  string: "text", integer: "whole number", number: "number", decimal: "exact decimal", boolean: "true or false",
  date: "date", time: "time of day", datetime: "date and time", null: "null",
};
const FORMS = {
  integer: [/^[+-]?\d+$/, "a whole number, such as 42"],
  number: [/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/, "a number, such as 1.5"],
  decimal: [/^[+-]?(\d+\.?\d*|\.\d+)$/, "a decimal, such as 19.90"],
  boolean: [/^(true|false)$/, "true or false"],
  date: [/^\d{4,}-\d\d-\d\d$/, "a date, such as 2026-01-31"],
  time: [/^\d\d:\d\d(:\d\d(\.\d+)?)?$/, "a time, such as 06:30:00"],
  datetime: [/^\d{4,}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?$/, "a moment, such as 2026-01-31T06:30:00"],
};
const MOST = 2n ** 63n;

/** The kind of the values of a column, by its type in DuckDB or in the catalog. */
export function kindOf(type) {
  const name = type.toUpperCase();
  if (/^(TIMESTAMP|DATETIME(\[[^\]]+\])?$)/.test(name)) return "datetime";
  if (name.endsWith("]") || /^(STRUCT|MAP|UNION|LIST)/.test(name)) return "string";
  if (/^U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?\d*$|^(LONG|SHORT)$/.test(name)) return "integer";
  if (/^(DOUBLE|FLOAT\d*|REAL)$/.test(name)) return "number";
  if (/^(DECIMAL|NUMERIC)/.test(name)) return "decimal";
  return { BOOLEAN: "boolean", BOOL: "boolean", DATE: "date", TIME: "time" }[name] ?? "string";
}

/** What is wrong with a text as a value of a kind, or null. */
export function wrong(kind, text) {
  const [form, words] = FORMS[kind] ?? [];
  return form && !form.test(text) ? `Write ${words}${text === "" ? ", or choose null" : ""}.` : null;
}

/** A value as JSON. Whole numbers stay what they are, whatever a number of this language can hold. */
export function json(kind, text) {
  if (kind === "null") return "null";
  if (kind === "boolean") return text;
  if (kind === "number") return /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(text) ? text : JSON.stringify(Number(text));
  if (kind !== "integer") return JSON.stringify(text);
  const whole = BigInt(text.replace(/^\+/, ""));
  return whole >= -MOST && whole < MOST ? String(whole) : `"${whole}"`; // the service takes longer ones as texts
}

/** A value as Python has it. */
export const python = (kind, text) => ({ null: "None", true: "True", false: "False" })[json(kind, text)] ?? json(kind, text);
