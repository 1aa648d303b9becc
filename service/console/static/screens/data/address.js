/**
 * The address of a table holds all that is to be seen of it: version, conditions (`filter`, as often as there are), `sort`,
 * `columns` in their order, how many are frozen, the panel that is open, and the cell.
 */

import { go, setQuery } from "console/router";

const split = (text) => (text ? (text.match(/(?:\\.|[^,\\])+/g) ?? []).map((part) => part.replace(/\\(.)/g, "$1")) : null);
const joined = (names) => names.map((one) => one.replace(/[\\,]/g, "\\$&")).join(",");

/** What the query says. */
export function read(query) {
  const number = (name) => (/^\d+$/.test(query.get(name) ?? "") ? Number(query.get(name)) : 0);
  return {
    version: query.get("version"),
    filters: query.getAll("filter").filter((one) => one.trim()),
    sorts: (split(query.get("sort")) ?? []).map((one) => (one.startsWith("-") ? { column: one.slice(1), down: true } : { column: one, down: false })),
    columns: split(query.get("columns")),
    freeze: number("freeze"),
    panel: query.get("panel"),
    column: query.get("column"),
    row: Math.max(number("row"), 1) - 1,
    cell: query.get("cell"),
  };
}

/** All conditions as one, and where each of them begins in it. */
export function combined(filters) {
  if (filters.length < 2) return { text: filters[0] ?? null, places: [0] };
  let text = "";
  const places = filters.map((one, place) => {
    text += place ? " AND (" : "(";
    const begun = text.length;
    text += `${one}\n)`; // a comment ends with its line
    return begun;
  });
  return { text, places };
}

export function setFilters(filters) {
  const query = new URLSearchParams(location.search);
  query.delete("filter");
  for (const one of filters) query.append("filter", one);
  query.delete("row");
  const text = query.toString();
  go(location.pathname + (text ? `?${text}` : ""));
}

export const setSorts = (sorts) => setQuery({ sort: joined(sorts.map(({ column, down }) => (down ? `-${column}` : column))) || null, row: null }, { replace: false });

/** `names` in their order; null shows all as they are stored. */
export const setColumns = (names, more = {}) => setQuery({ columns: names === null ? null : joined(names), ...more }, { replace: false });

/** The sort after a click on a column: up, down, not; `also` keeps the others. */
export function nextSorts(sorts, column, also) {
  const known = sorts.find((one) => one.column === column);
  const next = known === undefined ? { column, down: false } : known.down ? null : { column, down: true };
  if (!also) return next === null ? [] : [next];
  return known === undefined ? [...sorts, next] : sorts.flatMap((one) => (one === known ? (next ? [next] : []) : [one]));
}

/** As the API takes names: it parts them at commas. */
export const plain = (name) => !name.includes(",") && name === name.trim() && name !== "";
export const sortText = (sorts) => sorts.filter((one) => plain(one.column)).map(({ column, down }) => (down ? `-${column}` : column)).join(",") || null;
