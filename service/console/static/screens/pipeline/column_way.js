/** The way of one column: from which columns of which sources it is made, and which columns elsewhere are made of it. */

import { get } from "console/api";

const MOST = 60;
const LEVELS = 20;

const step = (collector) => /^[a-z]+\[\d+\]/.exec(collector)?.[0] ?? collector;

/**
 * Walks up and down from `column` of `pipeline`. Resolves to `{at, edges, cut}`: `at` has the columns by the id of their
 * node, `edges` the edges (as `from to`) on the way; `cut` says that there were more pipelines than were asked.
 */
export async function wayOf(pipeline, column, graph, signal) {
  const known = new Map([[pipeline, graph]]);
  const at = new Map();
  const edges = new Set();
  let cut = false;
  const lineage = async (name) => {
    if (!known.has(name)) {
      if (known.size >= MOST) { cut = true; return null; }
      known.set(name, await get(`/pipeline/${name}/lineage`, { depth: 1 }, { signal }).catch(() => null));
    }
    return known.get(name);
  };
  const mark = (id, name) => {
    const columns = at.get(id) ?? at.set(id, new Set()).get(id);
    const fresh = !columns.has(name);
    columns.add(name);
    return fresh;
  };
  const up = async (name, wanted, level) => {
    const found = await lineage(name);
    const origins = found?.columns?.find((one) => one.name === wanted)?.origins ?? [];
    for (const origin of origins) {
      for (const edge of readers(found.edges, name).filter((one) => one.step === step(origin.collector))) {
        edges.add(`${edge.from} ${edge.to}`);
        for (const source of origin.columns) {
          if (mark(edge.from, source) && edge.from.startsWith("pipeline:") && level < LEVELS) await up(edge.from.slice(9), source, level + 1);
        }
      }
    }
  };
  const down = async (name, wanted, level) => {
    for (const edge of graph.edges.filter((one) => one.kind === "reads" && one.from === `pipeline:${name}`)) {
      const target = edge.to.slice(9);
      const found = await lineage(target);
      for (const made of found?.columns ?? []) {
        if (!made.origins.some((origin) => step(origin.collector) === edge.step && origin.columns.includes(wanted))) continue;
        edges.add(`${edge.from} ${edge.to}`);
        if (mark(edge.to, made.name) && level < LEVELS) await down(target, made.name, level + 1);
      }
    }
  };
  mark(`pipeline:${pipeline}`, column);
  await up(pipeline, column, 0);
  await down(pipeline, column, 0);
  return { at, edges, cut };
}

const readers = (edges, name) => edges.filter((edge) => edge.kind === "reads" && edge.to === `pipeline:${name}`);
