/** The words of a statement, as far as its parameters, its tables and completion need them. DuckDB alone parses it. */

const PIECES = [
  ["comment", /--[^\n]*/y],
  ["text", /[eE]'(?:[^'\\]|\\[\s\S]|'')*(?:'|$)|'(?:[^']|'')*(?:'|$)|\$([A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*|)\$[\s\S]*?(?:\$\1\$|$(?![\s\S]))/y],
  ["quoted", /"(?:[^"]|"")*(?:"|$)/y],
  ["parameter", /\$\w+|\?/y],
  ["word", /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/y],
  ["number", /\d\w*(?:\.\d\w*)?/y],
  ["sign", /::|[<>!=]=|<>|\S/y],
];

/** The end of a comment that begins at `from`; such comments hold others. */
function commentEnd(sql, from) {
  let depth = 0;
  for (let place = from; place < sql.length; place += 1) {
    const two = sql.slice(place, place + 2);
    if (two === "/*") depth += 1;
    else if (two === "*/") depth -= 1;
    else continue;
    place += 1;
    if (depth === 0) return place + 1;
  }
  return sql.length;
}

/** The pieces of a statement, each `{kind, text, from, to}`, without the space between them. */
export function tokens(sql) {
  const found = [];
  let from = 0;
  const add = (kind, to) => {
    found.push({ kind, text: sql.slice(from, to), from, to });
    from = to;
  };
  while (from < sql.length) {
    if (/\s/.test(sql[from])) from += 1;
    else if (sql.startsWith("/*", from)) add("comment", commentEnd(sql, from));
    else {
      const [kind, pattern] = PIECES.find(([, one]) => { one.lastIndex = from; return one.test(sql); });
      add(kind, pattern.lastIndex);
    }
  }
  return found;
}

/** The pieces that mean something to DuckDB. */
export const meaning = (sql) => tokens(sql).filter((one) => one.kind !== "comment");

/** The name that a piece is: as written, or what its quotes hold; null if it is none. */
export function nameOf(token) {
  if (token?.kind === "word") return token.text;
  return token?.kind === "quoted" ? token.text.replace(/^"|"$/g, "").replaceAll('""', '"') : null;
}

/** Whether a piece is this keyword. */
export const isWord = (token, ...words) => token?.kind === "word" && words.includes(token.text.toUpperCase());

/**
 * The parameters of a statement in their order, `{name, at}`: `$name` by its name, `$1` by its number, each `?` by its
 * place. DuckDB does not tell `$A` from `$a`. `at` is where it stands first, as a place in `meaning`.
 */
export function parametersOf(sql) {
  const found = new Map();
  let marks = 0;
  meaning(sql).forEach((token, at) => {
    if (token.kind !== "parameter") return;
    marks += token.text === "?" ? 1 : 0;
    const name = token.text === "?" ? String(marks) : token.text.slice(1);
    if (!found.has(name.toLowerCase())) found.set(name.toLowerCase(), { name, at, mark: token.text === "?" });
  });
  return [...found.values()];
}

/** A name as a statement has it: quoted where it would be read otherwise. */
export const quoted = (name, reserved = new Set()) =>
  (/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !reserved.has(name.toUpperCase()) ? name : `"${name.replaceAll('"', '""')}"`);

const ENDS = ["WHERE", "GROUP", "ORDER", "HAVING", "LIMIT", "UNION", "EXCEPT", "INTERSECT", "QUALIFY", "WINDOW", "SELECT", "SET", "USING", "ON",
  "JOIN", "LEFT", "RIGHT", "FULL", "INNER", "OUTER", "CROSS", "NATURAL", "SEMI", "ANTI", "ASOF", "POSITIONAL", "LATERAL", "TABLESAMPLE", "PIVOT", "UNPIVOT", "OFFSET"];

/** The tables that a statement reads, `{path, alias}`, and the names that it gives to queries of its own. */
export function tablesOf(pieces) {
  const tables = [];
  const own = [];
  pieces.forEach((piece, place) => {
    if (nameOf(piece) !== null && isWord(pieces[place + 1], "AS") && pieces[place + 2]?.text === "(") own.push(nameOf(piece));
    if (!isWord(piece, "FROM", "JOIN", "DESCRIBE", "SUMMARIZE")) return;
    for (let next = place + 1; next !== null;) next = oneTable(pieces, next, tables);
  });
  return { tables, own };
}

/** Reads one table at a place; returns where the next of the list stands, or null. */
function oneTable(pieces, at, tables) {
  let place = at;
  const path = [];
  while (nameOf(pieces[place]) !== null && !isWord(pieces[place], ...ENDS)) {
    path.push(nameOf(pieces[place]));
    place += 1;
    if (pieces[place]?.text !== ".") break;
    place += 1;
  }
  if (path.length === 0) return null;
  if (isWord(pieces[place], "AS")) place += 1;
  const alias = isWord(pieces[place], ...ENDS) ? null : nameOf(pieces[place]);
  tables.push({ path, alias });
  if (alias !== null) place += 1;
  return pieces[place]?.text === "," ? place + 1 : null;
}
