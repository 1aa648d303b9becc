/** Windows of rows for the grid: bounded in bytes, with long values cut as they come. */

import { exact, fetched } from "console/api";
import { cell } from "console/format";
import { TooLarge } from "console/parts/blocks";
import { Cut, LONGEST_TEXT } from "console/parts/grid/text";
import { plain } from "console/screens/data/address";

const MOST_BYTES = 4 * 2 ** 20;
const MOST_OF_ONE = 128 * 2 ** 20;
const KEPT = 4 * LONGEST_TEXT;
const SPAN = 60;

/** The JSON of an answer, unless it has more than so many bytes: then `TooLarge`. */
async function bounded(answer, most, stop) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  const parts = [];
  let size = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    size += part.value.length;
    if (size > most) {
      stop.abort();
      throw new TooLarge();
    }
    parts.push(part.value);
  }
  return exact(parts.join(""));
}

/** A value that is not kept whole in memory, since only its beginning is shown. */
function cut(value) {
  if (typeof value === "string") return value.length > KEPT ? new Cut(value.slice(0, LONGEST_TEXT), value.length) : value;
  if (value === null || typeof value !== "object") return value;
  const text = cell(value);
  return text.length > KEPT ? new Cut(text.slice(0, LONGEST_TEXT), text.length) : value;
}

/** A source of the grid: `rows` names them, `shown` are its columns; `query` is version, filter and sort for the API. */
export function sourceOf(rows, path, query, shown, page) {
  const named = shown.every((column) => plain(column.name)) ? shown.length < page.columns.length || shown.length > SPAN : false;
  const ask = async (offset, limit, places, outer, most) => {
    const names = places.map((place) => shown[place].name);
    const stop = new AbortController();
    const end = () => stop.abort();
    outer?.addEventListener("abort", end);
    try {
      const columns = named && names.length < page.columns.length ? names.join(",") : null;
      const answer = await fetched("GET", path, { query: { ...query, columns, offset, limit }, signal: stop.signal });
      const { data } = await bounded(answer, limit === 1 ? MOST_OF_ONE : most, stop);
      return data.map((row) => names.map((name) => row[name]));
    } finally {
      outer?.removeEventListener("abort", end);
    }
  };
  return {
    key: `${rows} ${shown.map((column) => column.name).join("\n")}`,
    rows,
    columns: shown,
    total: page.total_rows,
    span: named ? SPAN : undefined,
    sample: page.data.map((row) => shown.map((column) => cut(row[column.name]))),
    read: async (offset, limit, signal, places) => (await ask(offset, limit, places, signal, MOST_BYTES)).map((row) => row.map(cut)),
    whole: (offset, limit, places, signal) => ask(offset, limit, places, signal, MOST_OF_ONE),
  };
}
