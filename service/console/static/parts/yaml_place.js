/** The path of a line in YAML written in blocks, also while it is being written and cannot be read yet. */

const LINE = /^(\s*)((?:- +)*)(?:("[^"]*"|'[^']*'|[^\s:#][^:#]*?)\s*:(?=\s|$))?/;

/** What a line begins: the indent of its key, how many list items open on it, and its key, if any. */
function shape(line) {
  const [, space, dashes, key] = LINE.exec(line);
  const items = [...dashes.matchAll(/-/g)].map((found) => space.length + found.index);
  return { indent: space.length + dashes.length, items, key: key?.replace(/^(["'])(.*)\1$/, "$2"), empty: /^\s*(#.*)?$/.test(line) };
}

/** The path to what is written at a line: names and, in lists, numbers; without the key of the line itself. */
export function pathOf(lines, number) {
  const path = [];
  const own = shape(lines[number]);
  let below = own.empty ? lines[number].length : own.indent;
  let items = [...own.items];
  const count = (column, from) => {
    let found = 0;
    for (let line = from - 1; line >= 0; line -= 1) {
      const one = shape(lines[line]);
      if (one.empty) continue;
      if (one.items.includes(column)) found += 1;
      else if (one.indent < column || (one.indent === column && one.key !== undefined && !one.items.length)) break;
    }
    return found;
  };
  for (const column of items.toReversed()) { path.unshift(count(column, number)); below = column; }
  for (let line = number - 1; line >= 0 && below > 0; line -= 1) {
    const one = shape(lines[line]);
    if (one.empty) continue;
    if (one.key !== undefined && one.indent < below) { path.unshift(one.key); below = one.indent; items = []; }
    else if (one.key !== undefined && one.indent === below && items.length) { path.unshift(one.key); items = []; }
    for (const column of one.items.toReversed()) if (column < below) { path.unshift(count(column, line)); below = column; items = [column]; }
  }
  return path;
}
