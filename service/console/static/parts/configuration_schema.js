/** What a configuration may hold at a place, by the schema of the plug-ins that the service has. */

import { useEffect, useState } from "preact";

let asked = null;

/** The components of the API's description, or null while they come. */
export function useSchemas() {
  const [schemas, setSchemas] = useState(null);
  useEffect(() => {
    asked ??= fetch("/docs/openapi.json").then((answer) => answer.json()).then((document) => document.components.schemas);
    asked.then(setSchemas, () => { asked = null; });
  }, []);
  return schemas;
}

/** A schema without references, and of those that a value may have the one that fits its `type`. */
export function resolved(schemas, schema, value) {
  let found = schema;
  for (let depth = 0; found && depth < 20; depth += 1) {
    if (found.$ref) found = schemas[found.$ref.split("/").at(-1)];
    else if (found.discriminator) {
      const { propertyName, mapping } = found.discriminator;
      const reference = mapping?.[value?.[propertyName]];
      if (!reference) return found;
      found = { $ref: reference };
    } else if (found.anyOf || found.oneOf) found = chosen(schemas, found.anyOf ?? found.oneOf, value);
    else if (found.allOf?.length === 1) [found] = found.allOf;
    else return found;
  }
  return found ?? {};
}

const kindOf = (value) => (value === null || value === undefined ? "null" : Array.isArray(value) ? "array" : typeof value === "number" ? "number" : typeof value);

/** The setting that tells an object of this schema from others, `[name, value]`: `type`, or `how` of a combination; or null. */
function tagOf(schema) {
  for (const name of ["type", "how"]) {
    const one = schema.properties?.[name];
    const value = one?.const ?? (one?.enum?.length === 1 ? one.enum[0] : undefined);
    if (value !== undefined) return [name, value];
  }
  return null;
}

const hasTag = (schema, value) => {
  const tag = tagOf(schema);
  return tag !== null && value?.[tag[0]] === tag[1];
};

function chosen(schemas, options, value) {
  const plain = options.map((option) => (option.$ref ? schemas[option.$ref.split("/").at(-1)] : option));
  const kind = kindOf(value);
  const tagged = kind === "object" && plain.find((option) => hasTag(option, value));
  if (tagged) return tagged;
  const fits = plain.find((option) => [option.type].flat().some((type) => type === kind || (type === "integer" && kind === "number")));
  return fits ?? plain.find((option) => option.properties || option.discriminator || option.items || option.additionalProperties) ?? plain.find((option) => option.type !== "null") ?? plain[0];
}

/** The schema and the value at a path of names and numbers. */
export function at(schemas, root, document, path) {
  let schema = resolved(schemas, root, document);
  let value = document;
  for (const part of path) {
    value = value?.[part];
    const below = typeof part === "number" ? schema.items : (schema.properties?.[part] ?? (typeof schema.additionalProperties === "object" ? schema.additionalProperties : null));
    if (!below) return { schema: null, value };
    schema = resolved(schemas, below, value);
  }
  return { schema, value };
}

/** What may be written for a schema's key or value: `{label, detail, info}`. */
export function names(schemas, schema, document) {
  const described = resolved(schemas, schema, document);
  if (described.discriminator) return [{ label: described.discriminator.propertyName, detail: Object.keys(described.discriminator.mapping).join(" | ") }];
  return Object.entries(described.properties ?? {}).map(([label, one]) => {
    const plain = one.$ref ? { ...schemas[one.$ref.split("/").at(-1)], ...one } : one;
    return { label, detail: typeText(plain), info: plain.description };
  });
}

/** The values that a schema lists. */
export function values(schemas, schema) {
  const options = schema?.anyOf ?? schema?.oneOf ?? [schema];
  return options.flatMap((option) => {
    const plain = option?.$ref ? schemas[option.$ref.split("/").at(-1)] : option;
    if (plain?.enum) return plain.enum.map(String);
    if (plain?.const !== undefined) return [String(plain.const)];
    return plain?.type === "boolean" ? ["true", "false"] : [];
  });
}

export function typeText(schema) {
  if (schema.enum) return schema.enum.join(" | ");
  if (schema.anyOf) return [...new Set(schema.anyOf.map((one) => one.type ?? (one.enum ? "one of" : "object")))].filter((type) => type !== "null").join(" | ");
  return [schema.type].flat().filter(Boolean).join(" | ");
}

const KIND_WORDS = { boolean: "yes or no", string: "one text", integer: "a whole number", number: "a number", array: "several", object: "settings" };
const FIRST = { boolean: true, integer: 0, number: 0, array: [], object: {} };
const MATCHES = { boolean: (value) => typeof value === "boolean", string: (value) => typeof value === "string", integer: (value) => typeof value === "number" || typeof value === "bigint", number: (value) => typeof value === "number" || typeof value === "bigint", array: Array.isArray, object: (value) => value !== null && typeof value === "object" && !Array.isArray(value) };

/**
 * The kinds that a value may be of, `{kind, word, schema, fits, first, hidden}`; fewer than two where there is nothing to
 * choose. Objects with a tag are kinds of their own.
 */
export function choicesOf(schemas, schema) {
  const plain = schema?.$ref ? schemas[schema.$ref.split("/").at(-1)] : schema;
  const mapped = plain?.discriminator && Object.values(plain.discriminator.mapping).map(($ref) => ({ $ref }));
  const options = mapped ?? plain?.anyOf ?? plain?.oneOf ?? (Array.isArray(plain?.type) ? plain.type.map((type) => ({ ...plain, type })) : null);
  return (options ?? []).flatMap((option) => {
    const one = option.$ref ? schemas[option.$ref.split("/").at(-1)] : option;
    if (one.discriminator || one.anyOf || one.oneOf) return choicesOf(schemas, one);
    const kind = one.type ?? (one.enum || one.const !== undefined ? "string" : null);
    if (kind === "null" || kind === null) return [];
    const tag = kind === "object" ? tagOf(one) : null;
    if (tag !== null) return [{ kind, word: tag[1], schema: option, fits: (value) => hasTag(one, value), first: { [tag[0]]: tag[1] }, hidden: [tag[0]] }];
    const word = one.const !== undefined ? String(one.const) : one.enum && kind === "string" ? one.enum.join(", ") : KIND_WORDS[kind];
    return [{ kind, word, schema: option, fits: MATCHES[kind], first: one.const ?? one.enum?.[0] ?? FIRST[kind], hidden: [] }];
  });
}
