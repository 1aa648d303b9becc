/** What a person chose for a new pipeline, and the configuration that it makes. Columns are known by the names of the source. */

const SIMPLE = /^[\p{Ll}_][\p{Ll}\p{N}_]*$/u;

/** A name as pipelines have it, from a path or an address. */
export function nameFrom(source) {
  const last = source.replace(/[?#].*$/, "").split("/").filter(Boolean).at(-1) ?? "data";
  const plain = last.replace(/(\.(csv|tsv|txt|json|ndjson|jsonl|parquet|html?|gz|zst))+$/i, "").toLowerCase().replace(/[^a-z0-9_-]+/g, "-").replace(/^[^a-z]+|-+$/g, "");
  return plain.slice(0, 63) || "data";
}

/** Simple names for all columns: small letters, digits and _; one that is taken gets a number. */
function simpleNames(names) {
  const taken = new Set();
  return Object.fromEntries(names.map((name, place) => {
    const parted = name.normalize("NFKC").replace(/([\p{Ll}\d])(\p{Lu})/gu, "$1_$2").toLowerCase();
    const base = parted.replace(/[^\p{L}\p{M}\p{N}]+/gu, "_").replace(/^_+|_+$/g, "") || `column_${place + 1}`;
    let found = base;
    for (let number = 2; taken.has(found); number += 1) found = `${base}_${number}`;
    taken.add(found);
    return [name, found];
  }));
}

/** The choices that the findings of a probe propose. */
export function proposed(probe, source) {
  const names = probe.columns.map((column) => column.name);
  const simple = simpleNames(names);
  return {
    name: nameFrom(source), collector: probe.collector, simple: names.some((name) => !SIMPLE.test(name)), names: simple,
    missing: [...new Set(probe.columns.flatMap((column) => column.missing_texts))], repeated: probe.repeated_rows > 0, key: [], schedule: null,
    columns: Object.fromEntries(probe.columns.map((column) => [column.name, { cast: column.cast, trim: column.padded > 0 }])),
  };
}

/** Proposed choices for a source that is read in another way: name, times, and what was chosen for columns that are as they were stay. */
export function carried(choices, probe, last) {
  if (last === null) return choices;
  const before = Object.fromEntries(last.probe.columns.map((column) => [column.name, JSON.stringify(column)]));
  const same = probe.columns.filter((column) => before[column.name] === JSON.stringify(column)).map((column) => column.name);
  const kept = Object.fromEntries(same.map((name) => [name, last.choices.columns[name]]));
  return { ...choices, name: last.choices.name, schedule: last.choices.schedule, columns: { ...choices.columns, ...kept } };
}

/** The name that a column gets. */
export const nameOf = (choices, column) => choices.columns[column].name || (choices.simple ? choices.names[column] : column);

const filled = (settings) => Object.fromEntries(Object.entries(settings).filter(([, value]) => value && (typeof value !== "object" || Object.keys(value).length > 0)));
const quoted = (name) => `"${name.replaceAll('"', '""')}"`;
const MASKS = {
  hash: (name) => `sha256(CAST(${name} AS VARCHAR))`,
  end: (name) => `concat('…', right(CAST(${name} AS VARCHAR), 4))`,
};

/** The document that the choices make. */
export function documentOf(choices) {
  const all = Object.keys(choices.columns);
  const kept = all.filter((name) => !choices.columns[name].dropped);
  const per = (key) => Object.fromEntries(kept.filter((name) => choices.columns[name][key]).map((name) => [name, choices.columns[name][key]]));
  const first = filled({
    drop_columns: all.filter((name) => !kept.includes(name)),
    strip_strings: Object.keys(per("trim")),
    null_values: choices.missing,
    cast: Object.fromEntries(Object.entries(per("cast")).map(([name, cast]) => [name, Object.keys(cast).length === 1 ? cast.type : cast])),
    drop_na: Object.keys(per("needed")),
    fill_na: per("fill"),
    outliers: per("outliers"),
    drop_duplicates: choices.key.length ? { columns: choices.key, keep: "last" } : choices.repeated,
  });
  const renamed = filled({ rename_columns: Object.fromEntries(kept.map((name) => [name, nameOf(choices, name)]).filter(([from, to]) => from !== to)) });
  const rules = Object.entries(per("rule")).map(([name, rule]) => ({ column: nameOf(choices, name), ...rule }));
  const masks = Object.entries(per("mask")).map(([name, kind]) => `${MASKS[kind](quoted(nameOf(choices, name)))} AS ${quoted(nameOf(choices, name))}`);
  return {
    name: choices.name,
    collectors: [choices.collector],
    processors: [
      ...[first, renamed].filter((config) => Object.keys(config).length).map((config) => ({ type: "cleaner", config })),
      ...(rules.length ? [{ type: "validator", config: { rules, on_fail: "quarantine" } }] : []),
      ...(masks.length ? [{ type: "sql", config: { query: `SELECT * REPLACE (${masks.join(", ")}) FROM input` } }] : []),
      { type: "analyzer", config: {} },
    ],
    ...(choices.schedule ? { schedule: choices.schedule } : {}),
  };
}

/** Choices with some of a column's changed; undefined, null, "" and false take one out. */
export function withColumn(choices, name, changes) {
  return { ...choices, columns: { ...choices.columns, [name]: filled({ ...choices.columns[name], ...changes }) } };
}
