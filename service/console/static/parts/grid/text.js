/** What a cell shows: one line of bounded text in which nothing is hidden, and what it is where it has no text. */

import { cell } from "console/format";

export const LONGEST_TEXT = 300;
const NUMBER = /^(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|U?INT\d+|DOUBLE|FLOAT\d*|REAL|DECIMAL.*)$/i;
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
const PICTURES = { "\n": "↵", "\t": "⇥" };

export const isNumber = (column) => NUMBER.test(column.type);

/** A value that was cut as it came: the beginning of its text, and how long it is. */
export class Cut {
  constructor(text, length) {
    this.text = text;
    this.length = length;
  }
}

/** Characters without a shape of their own, and those that turn the direction of others, as signs that can be seen. */
export const visible = (text) => text.replaceAll("\r\n", "\n").replace(HIDDEN, picture);

/** The same in a text of many lines, whose line ends and tabs stay. */
export const visibleLines = (text) => text.replaceAll("\r\n", "\n").replace(HIDDEN, (sign) => (sign === "\n" || sign === "\t" ? sign : picture(sign)));

function picture(sign) {
  const code = sign.codePointAt(0);
  return PICTURES[sign] ?? `‹U+${code.toString(16).toUpperCase().padStart(4, "0")}›`;
}

/** The beginning of a value as one line. */
export function line(value) {
  if (value instanceof Cut) return `${visible(value.text)}…`;
  const text = cell(value);
  return text.length > LONGEST_TEXT ? `${visible(text.slice(0, LONGEST_TEXT))}…` : visible(text);
}

/** The class of a cell, and what to say where its text would say nothing. */
export function kindOf(value, number) {
  if (value === null) return ["null", "null"];
  if (value === "") return ["null", "empty"];
  return [number ? "number" : "", null];
}
