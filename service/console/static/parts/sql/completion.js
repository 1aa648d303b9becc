/** What may be written at a place of a statement: columns of its tables, tables, functions, parameters, keywords. */

import { isWord, nameOf, parametersOf, quoted, tablesOf, tokens } from "console/parts/sql/statement";
import { AGGREGATES, FUNCTIONS, KEYWORDS, RESERVED, TABLE_FUNCTIONS } from "console/parts/sql/words";

const SYSTEM = ["pipelines", "runs", "steps", "versions", "columns", "queries", "quarantine"];
const WORD = /(?:"(?:[^"]|"")*|[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)$/;
const AFTER_TABLE = ["FROM", "JOIN", "DESCRIBE", "SUMMARIZE"];

/** A completion source of the editor; `tables` are those of the catalog, with their columns. */
export function completion(context, tables) {
  const text = context.state.doc.toString();
  const pieces = tokens(text);
  const inside = pieces.find((one) => one.from < context.pos && context.pos <= one.to);
  if (inside && (inside.kind === "comment" || (inside.kind === "text" && (context.pos < inside.to || !/^'(?:[^']|'')*'$/.test(inside.text))))) return null;
  const before = text.slice(0, context.pos);
  const parameter = /\$\w*$/.exec(before)?.[0];
  if (parameter) return listed(context.pos - parameter.length, parametersOf(text).map(({ name }) => ({ label: `$${name}`, type: "variable", detail: "parameter" })).filter((one) => one.label !== parameter), /^\$\w*$/);
  const word = WORD.exec(before)?.[0] ?? "";
  const from = context.pos - word.length;
  if (inside?.kind === "number" || (word === "" && !context.explicit && before.at(-1) !== ".")) return null;
  const { tables: read, own } = tablesOf(pieces.filter((one) => one.kind !== "comment"));
  const known = { tables, read, own };
  const behind = pieces.filter((one) => one.to <= from && one.kind !== "comment");
  const after = text.slice(context.pos, context.pos + 1) === '"' ? 1 : 0; // the editor closes quotes by itself
  const options = optionsAt(behind, known, word).map((one) => (word.startsWith('"') ? closedQuotes(one, after) : one));
  return listed(from, options, word.startsWith('"') ? /^"(?:[^"]|"")*$/ : /^[\w\u0080-\uffff]*$/);
}

const listed = (from, options, validFor) => (options.length ? { from, options, validFor } : null);

/** Within quotes the whole name is written, whatever stands behind the cursor. */
function closedQuotes(option, after) {
  const label = `"${option.label.replaceAll('"', '""')}"`;
  return { ...option, label, displayLabel: option.label, apply: (view, _, from, to) => put(view, from, to + after, label, label.length) };
}

function put(view, from, to, text, cursor) {
  view.dispatch({ changes: { from, to, insert: text }, selection: { anchor: from + cursor }, userEvent: "input.complete" });
}

function optionsAt(behind, known, word) {
  const last = behind.at(-1);
  if (last?.text === ".") return membersOf(behind, known);
  if (isWord(last, ...AFTER_TABLE) || inTableList(behind)) return tableOptions(known);
  if (word.startsWith('"')) return [...columnOptions(known), ...tableOptions(known)];
  return [...columnOptions(known), ...aliasOptions(known), ...wordOptions(), ...tableOptions(known).map((one) => ({ ...one, boost: (one.boost ?? 0) - 30 }))];
}

/** Whether a comma leads to another table: `FROM orders, …`. */
function inTableList(behind) {
  if (behind.at(-1)?.text !== ",") return false;
  let place = behind.length - 2;
  while (place >= 0 && (behind[place].kind === "quoted" || behind[place].kind === "word" || [",", "."].includes(behind[place].text))) {
    if (isWord(behind[place], ...AFTER_TABLE)) return true;
    if (isWord(behind[place], "SELECT", "BY", "WHERE")) return false;
    place -= 1;
  }
  return false;
}

const same = (a, b) => a.toLowerCase() === b.toLowerCase();
const found = (known, path) => known.tables.find((one) => same(one.name, path.at(-1)));

/** After `x.`: the columns of a table or alias, the tables of the schema `penstock`. */
function membersOf(behind, known) {
  const name = nameOf(behind.at(-2));
  if (name === null) return [];
  if (same(name, "penstock")) return SYSTEM.map((label) => ({ label, type: "class", detail: "system table" }));
  const used = known.read.find((one) => same(one.alias ?? "", name)) ?? null;
  const table = used ? found(known, used.path) : found(known, [name]);
  return (table?.columns ?? []).map((column) => option(column.name, "property", column.type, 50));
}

/** Columns of the tables that the statement reads; of all tables while it names none. */
function columnOptions(known) {
  const read = [...new Set(known.read.map((one) => found(known, one.path)).filter(Boolean))];
  const seen = new Map();
  for (const table of read.length ? read : known.tables) {
    for (const column of table.columns) {
      const detail = read.length === 1 ? column.type : `${column.type} · ${table.name}`;
      if (!seen.has(column.name)) seen.set(column.name, option(column.name, "property", detail, read.length ? 50 : 5));
    }
  }
  return [...seen.values()];
}

const aliasOptions = (known) => known.read.filter((one) => one.alias !== null).map((one) => option(one.alias, "class", one.path.join("."), 30));

const tableOptions = (known) => [
  ...known.own.map((name) => option(name, "class", "of this statement", 40)),
  ...known.tables.map((one) => option(one.name, "class", "table", 30)),
  { label: "penstock", type: "namespace", detail: "system tables", apply: "penstock." },
  ...TABLE_FUNCTIONS.map((name) => called(name, -20)),
];

const option = (label, type, detail, boost) => ({ label, type, detail, boost, apply: quoted(label, RESERVED) });

/** A function: its parentheses come with it, the cursor between them. */
const called = (label, boost) => ({
  label, type: "function", detail: AGGREGATES.includes(label) ? "over rows" : "", boost,
  apply: (view, _, from, to) => {
    const open = view.state.sliceDoc(to, to + 1) === "(";
    put(view, from, to, open ? label : `${label}()`, label.length + 1);
  },
});

let words = null;
function wordOptions() {
  words ??= [
    ...KEYWORDS.map((label) => ({ label, type: "keyword", boost: 10 })),
    ...AGGREGATES.map((name) => called(name, 0)), ...FUNCTIONS.map((name) => called(name, -5)),
  ];
  return words;
}
