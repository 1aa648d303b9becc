/** Figures of one column over the rows that fit the conditions, asked for in SQL when somebody looks at the column. */

import { useEffect, useState } from "preact";
import { post } from "console/api";
import { combined } from "console/screens/data/address";
import { chosen, quoted, sort } from "console/screens/data/conditions";

const PATIENCE = 25;
const BARS = 20;
const FACETS = 50;
const LONGEST = 200;
const AT_ONCE = 40; // columns of a query

const where = (filters, more) => {
  const { text } = combined([...filters, ...(more ? [more] : [])]);
  return text ? `\nWHERE ${text}` : "";
};

async function ask(sql, signal) {
  const answer = await post("/query", { sql, limit: FACETS + 1, timeout_seconds: PATIENCE }, { signal });
  return answer.data.map((row) => (Array.isArray(row) ? row : answer.columns.map((column) => row[column.name])));
}

/** What is missing and distinct in each column, some columns at a time; `told` gets a map of those that are counted. */
export async function overview(table, columns, signal, told) {
  const found = new Map();
  for (let from = 0; from < columns.length; from += AT_ONCE) {
    const some = columns.slice(from, from + AT_ONCE);
    const asked = some.map(({ name, type }, place) => `count(*) - count(${quoted(name)}) AS m${place}, ${sort(type) === "other" ? "NULL" : `approx_count_distinct(${quoted(name)})`} AS d${place}`);
    const [row] = await ask(`SELECT ${asked.join(",\n  ")}\nFROM ${quoted(table)}`, signal);
    some.forEach(({ name }, place) => found.set(name, { missing: row[2 * place], distinct: row[2 * place + 1], about: true, profile: null }));
    told(new Map(found));
  }
}

/** As the profile says it: `{count, missing, distinct, min, max, mean, std, quantiles, histogram}` as far as it goes. */
async function figures(table, column, filters, signal) {
  const [name, kind] = [quoted(column.name), sort(column.type)];
  const whole = kind === "other" ? "" : `, approx_count_distinct(${name}) AS n`;
  const parts = { number: `, min(${name}) AS a, max(${name}) AS b, avg(${name}) AS c, stddev(${name}) AS d, CAST(quantile_cont(CAST(${name} AS DOUBLE), [0.25, 0.5, 0.75]) AS VARCHAR) AS e`,
    time: `, min(${name}) AS a, max(${name}) AS b`, text: `, min(length(${name})) AS a, max(length(${name})) AS b, count_if(${name} = '') AS c`, truth: "", other: "" };
  const [[rows, count, distinct, a, b, c, d, e]] = await ask(`SELECT count(*) AS r, count(${name}) AS k${whole}${parts[kind]}\nFROM ${quoted(table)}${where(filters)}`, signal);
  const found = { name: column.name, type: column.type.toLowerCase(), rows, count, missing: rows - count, distinct };
  if (kind === "text") return { ...found, min_length: a, max_length: b, empty: c };
  if (kind !== "number" && kind !== "time") return found;
  const quantiles = kind === "number" && e ? Object.fromEntries(JSON.parse(e).map((value, place) => [["0.25", "0.5", "0.75"][place], value])) : undefined;
  return { ...found, min: a, max: b, mean: c, std: d, quantiles, histogram: /^time$/i.test(column.type) ? undefined : await histogram(table, column, filters, kind, a, b, signal) };
}

async function histogram(table, column, filters, kind, least, most, signal) {
  const written = (value) => (kind === "time" ? Date.parse(/\d\d:/.test(value) ? (/(Z|[+-]\d\d(:?\d\d)?)$/.test(value) ? value : `${value}Z`) : `${value}T00:00:00Z`) / 1000 : Number(value));
  const [low, high] = [written(least), written(most)];
  if (least === null || !Number.isFinite(low) || !Number.isFinite(high) || !(high > low)) return undefined;
  const number = kind === "time" ? `epoch(${quoted(column.name)})` : `CAST(${quoted(column.name)} AS DOUBLE)`;
  const step = (high - low) / BARS;
  const rows = await ask(`SELECT least(floor((${number} - (${low})) / ${step}), ${BARS - 1}) AS bar, count(*) AS n\nFROM ${quoted(table)}${where(filters, `${quoted(column.name)} IS NOT NULL`)}\nGROUP BY bar`, signal);
  const counts = Array.from({ length: BARS }, () => 0);
  for (const [bar, found] of rows) if (counts[bar] !== undefined) counts[bar] += found;
  return { edges: Array.from({ length: BARS + 1 }, (_, place) => (place === BARS ? high : low + place * step)), counts };
}

/** The most frequent values: `{items: [[value, rows]], more}`. Conditions that choose among them do not count. */
async function facets(table, column, filters, signal) {
  const others = filters.filter((one) => chosen(one)?.column !== column.name);
  const name = sort(column.type) === "text" ? `left(${quoted(column.name)}, ${LONGEST + 1})` : quoted(column.name);
  const rows = await ask(`SELECT ${name} AS value, count(*) AS n\nFROM ${quoted(table)}${where(others)}\nGROUP BY ALL\nORDER BY n DESC, value NULLS LAST\nLIMIT ${FACETS + 1}`, signal);
  return { items: rows.filter(([value]) => typeof value !== "string" || value.length <= LONGEST).slice(0, FACETS), more: rows.length > FACETS };
}

/** `{data, error}` of one of both, again when the conditions change; what was there stays meanwhile. */
function useMeasured(measure, table, column, filters, wanted) {
  const [state, setState] = useState({ data: null, error: null, busy: true });
  const key = JSON.stringify([table, column.name, filters]);
  useEffect(() => {
    if (!wanted) return undefined;
    const stop = new AbortController();
    setState((before) => ({ ...before, busy: true }));
    measure(table, column, filters, stop.signal).then((data) => setState({ data, error: null, busy: false }), (error) => stop.signal.aborted || setState({ data: null, error, busy: false }));
    return () => stop.abort();
  }, [key, wanted]);
  return state;
}

export const useColumn = (table, column, filters, wanted) => useMeasured(figures, table, column, filters, wanted);
export const useFacets = (table, column, filters, wanted) => useMeasured(facets, table, column, filters, wanted);
