/** How wide the columns of a grid are, so that names and most values show whole. */

import { isNumber, line } from "console/parts/grid/text";

const MOST = 340;
const LOOKED_AT = 60;
const PADDING = 26;
const KINDS = [[/^TIMESTAMP/, "2026-12-01T00:00:00"], [/^DATE/, "2026-12-01"], [/^U?(BIG|HUGE)INT/, "1000000000"], [/^DOUBLE|^FLOAT/, "0.1234567890123"], [/./, "a short text"]];

const pen = document.createElement("canvas").getContext("2d");

const measured = (font, text) => {
  pen.font = font;
  return pen.measureText(text).width;
};

/** `valueOf(row, place)` is undefined for what is not here yet; a column without values is as wide as its type may need. */
export function widths(columns, valueOf, room, least) {
  const family = getComputedStyle(document.body).fontFamily;
  return columns.map((column, place) => {
    let longest = "";
    let known = false;
    for (let row = 0; row < LOOKED_AT; row += 1) {
      const value = valueOf(row, place);
      if (value === undefined) continue;
      known = true;
      const text = value === null ? "null" : line(value).slice(0, 60);
      if (text.length > longest.length) longest = text;
    }
    if (!known) longest = KINDS.find(([type]) => type.test(column.type.toUpperCase()))[1];
    const name = measured(`600 15px ${family}`, column.name.slice(0, 60)) + room;
    const values = measured(`13px ${family}`, longest) + PADDING;
    return Math.round(Math.min(Math.max(name, values, least), isNumber(column) ? MOST + 60 : MOST));
  });
}
