/** What a table shows as a statement: the same columns, conditions and order. */

import { quoted } from "console/screens/data/conditions";

export function statement(table, { columns, filter, sorts }) {
  return [
    `SELECT ${columns?.length ? columns.map(quoted).join(", ") : "*"}`,
    `FROM ${quoted(table)}`,
    filter && `WHERE ${filter}`,
    sorts.length && `ORDER BY ${sorts.map(({ column, down }) => `${quoted(column)} ${down ? "DESC" : "ASC"} NULLS LAST`).join(", ")}`,
  ].filter(Boolean).join("\n");
}
