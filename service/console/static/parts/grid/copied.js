/** Cells as a spreadsheet takes them: tabs between columns, a line for each row, quotes around what has either. */

import { cell } from "console/format";
import { Cut } from "console/parts/grid/text";

/** A copy holds at most so many cells; beyond that a download is the way. */
export const MOST_CELLS = 200_000;
const MOST_ROWS = 2000; // of one request
const FORMULA = /^[=+\-@\t\r]/;

const field = (text) => (/["\t\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/** A text that a spreadsheet would calculate begins with ', as in a CSV file of the service. */
const harmless = (value) => (typeof value === "string" && FORMULA.test(value) && Number.isNaN(Number(value)) ? `'${value}` : cell(value));

export const asTable = (rows) => rows.map((row) => row.map((value) => field(harmless(value))).join("\t")).join("\n");

/** The rows of a rectangle with whole values, from what is here or read anew. */
export async function rowsOf(source, blocks, { top, bottom, left, right }) {
  const places = Array.from({ length: right - left + 1 }, (_, place) => left + place);
  const here = [];
  for (let row = top; row <= bottom; row += 1) {
    const values = places.map((place) => blocks.value(row, place));
    if (values.some((value) => value === undefined || value instanceof Cut)) break;
    here.push(values);
  }
  const found = here;
  const read = source.whole ?? (async (offset, limit, wanted) => (await source.read(offset, limit)).map((row) => wanted.map((place) => row[place])));
  while (found.length < bottom - top + 1) {
    const rows = await read(top + found.length, Math.min(bottom - top + 1 - found.length, MOST_ROWS), places);
    if (!rows.length) break;
    found.push(...rows);
  }
  return found;
}

/** A choice as text: one cell as it is, more of them as a table, with the names of the columns if `header`. */
export async function textOf(source, blocks, area, header) {
  const rows = await rowsOf(source, blocks, area);
  if (area.top === area.bottom && area.left === area.right && !header) return cell(rows[0]?.[0]);
  const names = source.columns.slice(area.left, area.right + 1).map((column) => column.name);
  return asTable(header ? [names, ...rows] : rows);
}
