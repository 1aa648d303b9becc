/** What may be written at a place of a configuration: names of settings, listed values, columns of the preview. */

import { at, choicesOf, names, values } from "console/parts/configuration_schema";
import { isJson } from "console/parts/document";
import { pathOf } from "console/parts/yaml_place";

const ROOT = { $ref: "#/components/schemas/PipelineConfiguration" };
const LISTS = { collectors: "Collector", processors: "Processor", storage: "Storage" };
const COLUMN = /^(A column|The column)/;

/** A completion source of the editor, by the schemas, the last readable document and the columns of the preview. */
export function completion(context, { schemas, document, columns }) {
  if (schemas === null || isJson(context.state.doc.toString())) return null;
  const line = context.state.doc.lineAt(context.pos);
  const before = line.text.slice(0, context.pos - line.from);
  const path = pathOf(context.state.doc.toString().split("\n"), line.number - 1);
  const value = /^\s*(?:- +)*([\w$-]+):\s+(.*?)([\w.-]*)$/.exec(before);
  if (value) return written(context, schemas, document, columns, path, value);
  const item = /^\s*- +([\w.-]*)$/.exec(before);
  const word = /^\s*(?:- +)*([\w$-]*)$/.exec(before);
  if (!word || (word[1] === "" && !context.explicit)) return null;
  const from = context.pos - word[1].length;
  const { schema, value: holder } = at(schemas, ROOT, document, path);
  if (item && !schema?.properties && !schema?.discriminator) {
    const list = at(schemas, ROOT, document, path.slice(0, -1)).schema;
    return listed(from, entriesOf(schemas, list, columns));
  }
  if (!schema) return null;
  if (COLUMN.test(schema.propertyNames?.description ?? "")) return listed(from, columns.map((label) => ({ label, type: "variable", detail: "column", apply: `${label}: ` })));
  const present = Object.keys(holder ?? {});
  const options = names(schemas, schema, holder).filter((one) => !present.includes(one.label) || one.label === word[1])
    .map((one) => ({ ...one, type: "property", apply: `${one.label}: ` }));
  return listed(from, options);
}

const listed = (from, options) => (options.length ? { from, options, validFor: /^[\w$.-]*$/ } : null);

function written(context, schemas, document, columns, path, [, name, start, word]) {
  const { schema } = at(schemas, ROOT, document, path);
  const below = schema?.properties?.[name] ?? null;
  const from = context.pos - word.length;
  if (start.startsWith("[")) return listed(from, entriesOf(schemas, below, columns));
  const known = schema?.discriminator?.propertyName === name ? Object.keys(schema.discriminator.mapping) : values(schemas, below);
  const tags = known.length === 0 && name === "type" ? Object.keys(schemas[LISTS[path[0]]]?.discriminator?.mapping ?? {}) : known;
  if (tags.length) return listed(from, tags.map((label) => ({ label, type: "enum" })));
  const isColumn = [below, ...(below?.anyOf ?? [])].some((one) => COLUMN.test(one?.description ?? ""));
  return isColumn ? listed(from, columns.map((label) => ({ label, type: "variable", detail: "column" }))) : null;
}

/** The entries that a list may have. */
function entriesOf(schemas, schema, columns) {
  const list = schema?.items ? schema : choicesOf(schemas, schema).find((one) => one.kind === "array")?.schema;
  if (!list?.items) return [];
  if (COLUMN.test(list.items.description ?? "")) return columns.map((label) => ({ label, type: "variable", detail: "column" }));
  return values(schemas, list.items).map((label) => ({ label, type: "enum" }));
}
