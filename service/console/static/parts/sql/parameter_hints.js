/** What kind of value a parameter takes, by what stands beside it in the statement. */

import { kindOf } from "console/parts/sql/kinds";
import { isWord, meaning, nameOf, tablesOf } from "console/parts/sql/statement";

const COMPARE = ["=", "<", ">", "<=", ">=", "<>", "!=", "=="];

/** The kinds of `parameters` (of `parametersOf`) by name; `tables` are those of the catalog. Text where nothing tells. */
export function hints(sql, parameters, tables) {
  const pieces = meaning(sql);
  const read = tablesOf(pieces).tables.map((one) => one.path.at(-1).toLowerCase());
  const types = new Map(tables.filter((one) => read.includes(one.name.toLowerCase())).flatMap((one) => one.columns.map((column) => [column.name.toLowerCase(), column.type])));
  const valueBefore = (place) => {
    const name = nameOf(pieces[place]);
    if (name === null) return null;
    return pieces[place - 1]?.text === "::" ? kindOf(name) : types.has(name.toLowerCase()) ? kindOf(types.get(name.toLowerCase())) : null;
  };
  const valueAfter = (place) => {
    let last = place;
    while (pieces[last + 1]?.text === "." && nameOf(pieces[last + 2]) !== null) last += 2;
    return pieces[last + 1]?.text === "::" ? valueBefore(last + 2) : valueBefore(last);
  };
  const kind = (at) => {
    const [before, after] = [pieces[at - 1], pieces[at + 1]];
    if (after?.text === "::" && nameOf(pieces[at + 2])) return kindOf(nameOf(pieces[at + 2]));
    if (isWord(after, "AS") && before?.text === "(" && isWord(pieces[at - 2], "CAST", "TRY_CAST")) return kindOf(nameOf(pieces[at + 2]) ?? "");
    if (isWord(before, "LIMIT", "OFFSET")) return "integer";
    if (COMPARE.includes(before?.text) || isWord(before, "BETWEEN")) return valueBefore(at - 2) ?? closed(at - 2);
    if (isWord(before, "AND") && isWord(pieces[at - 3], "BETWEEN")) return valueBefore(at - 4);
    return COMPARE.includes(after?.text) ? valueAfter(at + 2) : null;
  };
  /** `CAST(day AS DATE) >= $since`: the type in the parentheses. */
  const closed = (place) => (pieces[place]?.text === ")" && isWord(pieces[place - 2], "AS") ? kindOf(nameOf(pieces[place - 1]) ?? "") : null);
  return Object.fromEntries(parameters.map(({ name, at }) => [name, kind(at) ?? "string"]));
}
