/**
 * What an address of the screen asks: `sql` or a saved `query`, the values of parameters (`p.NAME=kind:text`), and how
 * the answer is shown (`view`). An address that is opened runs by itself, as in Datasette: it can only read, with the
 * rights of who opens it, within the limits of time, memory and rows that hold for every statement; it is in the audit
 * log; nothing of the answer leaves the page; and leaving the page, or Stop, ends it.
 */

import { address } from "console/api";
import { KINDS, json } from "console/parts/sql/kinds";
import { isWord, meaning, parametersOf } from "console/parts/sql/statement";
import { to } from "console/router";

export const MOST = 10_000;
const LONGEST = 50_000; // characters of an address that every part on the way takes
export const PLANS = { plan: "EXPLAIN ", timed: "EXPLAIN ANALYZE " };

/** What the query of an address asks; null where it asks nothing. */
export function read(query) {
  const [sql, saved] = [query.get("sql"), query.get("query")];
  if (!sql && !saved) return null;
  const values = {};
  for (const [name, text] of query) if (name.startsWith("p.")) values[name.slice(2)] = valueOf(text);
  return { sql: sql || null, saved: saved || null, values, view: query.get("view") ?? "rows" };
}

/** A value of an address; without a kind it is a text whose kind is told elsewhere. */
function valueOf(text) {
  const [, kind, rest] = /^([a-z]+):([\s\S]*)$/.exec(text) ?? [];
  return Object.hasOwn(KINDS, kind ?? "") ? { kind, text: rest } : { kind: null, text };
}

/** The address that asks this. `kept` are further parameters of it, such as the choices of the chart. */
export function addressOf({ sql, saved, values, view }, kept = {}) {
  const told = Object.entries(values).filter(([, one]) => sql || one.text !== ""); // a saved query fills in what is left out
  const given = Object.fromEntries(told.map(([name, { kind, text }]) => [`p.${name}`, kind === null ? text : `${kind}:${text}`]));
  return to(["sql"], { query: saved, sql, ...given, view: view === "rows" ? null : view, ...kept });
}

export const tooLong = (url) => url.length > LONGEST;

/** Whether a statement asks for a plan by itself. */
export const explains = (sql) => isWord(meaning(sql)[0], "EXPLAIN");

/** The statement as it is sent, and how many characters stand before what was written. */
export function sent({ sql, view }) {
  const before = PLANS[view] && !explains(sql) ? PLANS[view] : "";
  return { text: before + sql, shift: before.length };
}

/** The values of a statement's parameters as `[name, value, mark]`; one without a kind is a text. */
const given = (sql, values) => parametersOf(sql).map(({ name, mark }) => [name, values[name] ?? { kind: "null", text: "" }, mark]);

/** `parameters` of the body as text in a language, `write(kind, text)`; null without any. */
export function parameters(sql, values, write) {
  const all = given(sql, values).map(([name, { kind, text }, mark]) => [name, write(kind ?? "string", text), mark]);
  if (all.length === 0) return null;
  return all[0][2] ? `[${all.map(([, text]) => text).join(", ")}]` : `{${all.map(([name, text]) => `${JSON.stringify(name)}: ${text}`).join(", ")}}`;
}

/** The body of `POST /query` as JSON. It is put together by hand: numbers of this language would round whole ones. */
export function body(asked, limit = MOST) {
  const values = parameters(asked.sql, asked.values, json);
  return `{"sql": ${JSON.stringify(sent(asked).text)}${values ? `, "parameters": ${values}` : ""}${limit === null ? "" : `, "limit": ${limit}`}}`;
}

/** What the query string of a saved query is for these values. */
export const savedValues = (values) => Object.fromEntries(Object.entries(values).filter(([, one]) => one.kind !== "null" && one.text !== "").map(([name, one]) => [name, one.text]));

/** The request that answers this: `[method, path, options]` of `fetched`. A saved query is asked under its own address. */
export function request(asked, { limit = MOST, format = null } = {}) {
  if (asked.sql === null) return ["GET", `/q/${asked.saved}`, { query: { ...savedValues(asked.values), limit, format } }];
  return ["POST", "/query", { query: { format }, body: new Blob([body(asked, limit)]), headers: { "content-type": "application/json" } }];
}

/** The address of a saved query for programs, whole. */
export const programAddress = (name, values, format = null) => location.origin + address(`/q/${name}`, { ...savedValues(values), format });
