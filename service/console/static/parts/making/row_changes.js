/** Which row before a step became which row after it, so that changed cells can be marked. Rows keep their order. */

import { cell } from "console/format";

const LOOK = 60;

const same = (one, other) => cell(one) === cell(other);

/**
 * For each row after: the row before, or null. `before(name)` is the earlier name of a column. A step that leaves rows
 * out moves all below, so that the likeliest of the next rows is taken.
 */
export function earlierRows(rowsBefore, rowsAfter, columns, before) {
  const pairs = columns.map((name) => [name, before(name)]);
  const least = pairs.length / 3;
  let place = 0;
  return rowsAfter.map((row) => {
    let [best, most] = [-1, 0];
    for (let next = place; next < Math.min(place + LOOK, rowsBefore.length); next += 1) {
      const alike = pairs.filter(([name, earlier]) => same(row[name], rowsBefore[next][earlier])).length;
      if (alike > most) [best, most] = [next, alike];
      if (most === pairs.length) break;
    }
    if (best < 0 || most < least) return null;
    place = best + 1;
    return rowsBefore[best];
  });
}

export const changed = (earlier, name, value) => earlier !== null && name in earlier && !same(earlier[name], value);
