/**
 * A configuration as a document and as text, in YAML or JSON: two views of one. A change by a form touches only what it
 * is about, so that comments and the writing of numbers stay. Whole numbers beyond 2^53 are BigInt.
 */

import { isMap, isScalar, isSeq, parseDocument, stringify } from "yaml";

const TAG = "tag:yaml.org,2002:";

/** As the service reads YAML (PyYAML's 1.1): no dates; y and n are texts; numbers with an exponent have a point. */
const tags = (all) => all.filter((one) => one.tag !== `${TAG}timestamp`).map((one) => {
  if (one.tag === `${TAG}bool`) return { ...one, test: one.identify(true) ? /^(?:[Yy]es|YES|[Tt]rue|TRUE|[Oo]n|ON)$/ : /^(?:[Nn]o|NO|[Ff]alse|FALSE|[Oo]ff|OFF)$/ };
  if (one.tag !== `${TAG}float`) return one;
  const test = one.format === "EXP" ? /^[-+]?[0-9][0-9_]*\.[0-9_]*[eE][-+][0-9]+$/ : one.test;
  return { ...one, test, stringify: (node) => (one.stringify?.(node) ?? String(node.value)).replace(/^(-?\d+)e/, "$1.0e") };
});
const HOW = { version: "1.1", schema: "yaml-1.1", customTags: tags, lineWidth: 110, aliasDuplicateObjects: false };
const plain = (value) => (typeof value === "bigint" && value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value);
const read = (text) => parseDocument(text, { ...HOW, intAsBigInt: true, uniqueKeys: true });

export const isJson = (text) => text.trimStart().startsWith("{");
export const mediaType = (text) => (isJson(text) ? "application/json" : "application/yaml");
export const asYaml = (value) => stringify(value, HOW);
/** As JSON. A BigInt, which JSON of this language has not, goes through as a text between zeros, which no text has. */
export const asJson = (value) => JSON.stringify(value, (_, one) => (typeof one === "bigint" ? `\0${one}\0` : one), 2).replace(/"\\u0000(-?\d+)\\u0000"/g, "$1");

/** The document that a text holds, or undefined if it cannot be read. */
export function parsed(text) {
  try {
    const document = read(text);
    const found = document.errors.length ? undefined : document.toJS({ reviver: (_, value) => plain(value), maxAliasCount: 100 });
    return found !== null && typeof found === "object" ? found : undefined;
  } catch {
    return undefined;
  }
}

/** The first fault of a text's writing, `{from, to, message}`, or null. */
export function fault(text) {
  const [error] = read(text).errors;
  return error ? { from: error.pos[0], to: error.pos[1], message: error.message.split("\n")[0].replace(/ at line.*$/, "") } : null;
}

export const hasComments = (text) => !isJson(text) && /(^|\s)#/.test(text);

/** The text with `next` as its document. What is as before keeps its place, its comments and its writing. */
export function rewritten(text, next) {
  if (isJson(text)) return asJson(next);
  const before = parsed(text);
  const document = read(text);
  if (before === undefined) return asYaml(next);
  change(document, [], before, next);
  return document.toString(HOW);
}

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const same = (one, other) => one === other || asJson(one) === asJson(other);

function change(document, path, before, next) {
  if (same(before, next)) return;
  if (isObject(before) && isObject(next) && isMap(document.getIn(path))) {
    for (const name of Object.keys(before)) if (!(name in next)) document.deleteIn([...path, name]);
    for (const [name, value] of Object.entries(next)) {
      if (name in before) change(document, [...path, name], before[name], value);
      else document.setIn([...path, name], document.createNode(value));
    }
  } else if (Array.isArray(before) && Array.isArray(next) && isSeq(document.getIn(path))) changeList(document, path, before, next);
  else if (isScalar(document.getIn(path, true)) && (next === null || typeof next !== "object")) Object.assign(document.getIn(path, true), { value: next, source: undefined, type: undefined });
  else if (path.length === 0) document.contents = document.createNode(next);
  else document.setIn(path, document.createNode(next));
}

/** Entries that only moved, came or went keep their nodes. */
function changeList(document, path, before, next) {
  const list = document.getIn(path);
  const nodes = [...list.items];
  const rest = before.map((value, place) => ({ value, node: nodes[place], place }));
  const kept = next.map((value) => {
    const found = rest.findIndex((one) => same(one.value, value));
    return found < 0 ? null : rest.splice(found, 1)[0];
  });
  list.items = next.map((value, place) => {
    if (kept[place]) return kept[place].node;
    const other = rest.findIndex((one) => one.place === place);
    return other < 0 ? document.createNode(value) : rest.splice(other, 1)[0].node;
  });
  next.forEach((value, place) => {
    const origin = nodes.indexOf(list.items[place]);
    if (!kept[place] && origin >= 0) change(document, [...path, place], before[origin], value);
  });
}

/** The characters `[from, to]` of what a path of the service, such as `processors[1].config.cast`, names; as far as it is there. */
export function placeOf(text, field) {
  const wanted = [...(field ?? "").matchAll(/\[(\d+)\]|([^.[\]]+)/g)].map((found) => found[1] ?? found[2]);
  const document = read(text);
  let node = document.contents;
  let place = [0, Math.max(text.indexOf("\n"), 1)];
  for (let number = 0; number < wanted.length; number += 1) {
    if (isSeq(node)) {
      node = node.items[Number(wanted[number])];
      if (node?.range) place = [node.range[0], Math.min(node.range[1], endOfLine(text, node.range[0]))];
    } else if (isMap(node)) {
      const pair = pairOf(node, wanted, number);
      if (!pair) break;
      number += pair.parts - 1;
      place = [pair.item.key.range[0], endOfLine(text, pair.item.key.range[0])];
      node = pair.item.value;
    } else break;
  }
  return place;
}

/** A name may have dots of its own. */
function pairOf(map, wanted, number) {
  for (let parts = 1; number + parts <= wanted.length; parts += 1) {
    const name = wanted.slice(number, number + parts).join(".");
    const item = map.items.find((one) => String(one.key?.value ?? one.key) === name);
    if (item?.key?.range) return { item, parts };
  }
  return null;
}

const endOfLine = (text, from) => (text.indexOf("\n", from) < 0 ? text.length : text.indexOf("\n", from));
