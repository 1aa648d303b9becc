/** What a chart of an answer shows: which column goes along, which go up, and the numbers of each line or bar. */

import { cell } from "console/format";

const NUMBER = /^(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|DOUBLE|FLOAT|DECIMAL.*)$/i;
const TIME = /^(DATE|TIMESTAMP.*)$/i;
const MOMENT = /^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d(?::?\d\d)?)?)?$/;
const IDENTIFIER = /(^|_)id$/i;
const PROBED = 200;
const MOST_SERIES = 8;
export const EACH = { sum: "their sum", mean: "their mean", min: "the least", max: "the greatest", count: "number of rows", rows: "every row" };
export const KINDS = { lines: "Lines", bars: "Bars", points: "Points" };

const isNumber = (column) => NUMBER.test(column.type) && !column.type.endsWith("]");

/** Whether a column holds moments: by its type, or since each text of the first rows is one. */
function isTime(column, place, rows) {
  if (TIME.test(column.type)) return true;
  if (column.type !== "VARCHAR") return false;
  const some = rows.slice(0, PROBED).map((row) => row[place]).filter((value) => value !== null);
  return some.length > 0 && some.every((value) => MOMENT.test(value));
}

/** Seconds since 1970 of a moment; one without a zone is read as UTC, as the service counts. */
function seconds(text) {
  const iso = String(text).replace(" ", "T");
  return Date.parse(/[Zz]$|[+-]\d\d(:?\d\d)?$/.test(iso.slice(10)) ? iso : iso.length > 10 ? `${iso}Z` : iso) / 1000;
}

/**
 * The columns as a chart sees them, and what it shows: what `wanted` (texts of the address) names, else what fits the
 * types: lines over time, bars over names, points of two numbers.
 */
export function choose(columns, rows, wanted) {
  const all = columns.map((column, place) => ({ ...column, place, is: isNumber(column) ? "number" : isTime(column, place, rows) ? "time" : "name" }));
  const named = (name) => all.find((one) => one.name === name) ?? null;
  const numbers = all.filter((one) => one.is === "number");
  const measures = numbers.filter((one) => !IDENTIFIER.test(one.name));
  const along = named(wanted.along) ?? all.find((one) => one.is === "time") ?? all.find((one) => one.is === "name" && !IDENTIFIER.test(one.name)) ?? (measures.length > 1 ? measures : all)[0] ?? null;
  const asked = (wanted.up ?? "").split(",").filter(Boolean).map((part) => named(decodeURIComponent(part))).filter((one) => one?.is === "number");
  const up = asked.length ? asked : [(measures.length ? measures : numbers).find((one) => one !== along) ?? numbers[0]].filter(Boolean);
  const split = named(wanted.split) === along ? null : named(wanted.split);
  const fits = along?.is === "name" ? ["bars"] : ["lines", "bars", "points"];
  const kind = fits.includes(wanted.kind) ? wanted.kind : along?.is === "name" ? "bars" : along?.is === "number" && !ascending(rows, along.place) ? "points" : "lines";
  const each = up.length === 0 ? "count" : Object.hasOwn(EACH, wanted.each ?? "") ? wanted.each : kind === "points" ? "rows" : "sum";
  return { all, numbers, along, up: each === "count" ? [] : split ? up.slice(0, 1) : up, split, kind, fits, each };
}

const ascending = (rows, place) => rows.every((row, at) => at === 0 || row[place] === null || rows[at - 1][place] === null || Number(row[place]) >= Number(rows[at - 1][place]));

const GATHER = {
  sum: (values) => values.reduce((all, one) => all + one, 0),
  mean: (values) => values.reduce((all, one) => all + one, 0) / values.length,
  min: (values) => values.reduce((least, one) => Math.min(least, one)),
  max: (values) => values.reduce((most, one) => Math.max(most, one)),
};

/**
 * `{x, names, series: [{name, values}], several, left}`: `x` are numbers or seconds in order (of a name its place),
 * `names` their words, `several` whether an x has several rows, and `left` the parts of a split that are not drawn.
 */
export function drawn(rows, { along, up, split, kind, each }) {
  const points = new Map();
  const parts = new Map();
  let several = false;
  for (const row of rows) {
    const value = row[along.place];
    const x = along.is === "name" ? cell(value) || "null" : value === null ? NaN : along.is === "time" ? seconds(value) : Number(value);
    if (Number.isNaN(x)) continue;
    const part = split ? cell(row[split.place]) || "null" : "";
    const key = each === "rows" ? points.size : x;
    if (!points.has(key)) points.set(key, { x, name: cell(value) || "null", parts: new Map() });
    const known = points.get(key).parts;
    if (known.has(part)) { known.get(part).push(row); several = true; } else known.set(part, [row]);
    if (split) parts.set(part, (parts.get(part) ?? 0) + (up[0] ? Math.abs(Number(row[up[0].place] ?? 0)) : 1));
  }
  const list = [...points.values()];
  if (along.is !== "name") list.sort((a, b) => a.x - b.x);
  const largest = [...parts].sort((a, b) => b[1] - a[1]).map(([name]) => name);
  const made = split
    ? largest.slice(0, MOST_SERIES).map((name) => ({ name, column: up[0] ?? null, part: name }))
    : (up.length ? up : [null]).slice(0, MOST_SERIES).map((column) => ({ name: column?.name ?? "rows", column, part: "" }));
  const series = made.map(({ name, column, part }) => ({ name, values: list.map((point) => gathered(point.parts.get(part) ?? [], column, each)) }));
  return { x: along.is === "name" ? list.map((_, place) => place) : list.map((one) => one.x), names: list.map((one) => one.name), series, several, left: Math.max(largest.length - MOST_SERIES, 0) };
}

function gathered(rows, column, each) {
  if (column === null) return rows.length || null;
  const values = rows.map((row) => row[column.place]).filter((value) => value !== null).map(Number);
  return values.length === 0 ? null : (GATHER[each] ?? GATHER.max)(values);
}
