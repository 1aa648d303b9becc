/** Sources and pipelines from left to right, each right of what it reads; the way of a column stands out. */

import { html, useMemo, useState } from "preact";
import { Link, to } from "console/router";

const [WIDTH, HEIGHT, GAP_X, GAP_Y, LINE] = [220, 48, 80, 18, 16];
const MOST_COLUMNS = 5;
const ZOOMS = [0.4, 0.55, 0.75, 1, 1.3];
const LEAST = 0.6; // what fits must still be read

/** Each node one step right of the last that it reads; sources directly left of their first reader. */
function depths(nodes, edges) {
  const known = new Set(nodes.map((node) => node.id));
  const own = edges.filter((edge) => known.has(edge.from) && known.has(edge.to));
  const depth = new Map(nodes.map((node) => [node.id, 0]));
  for (let round = 0, moved = true; moved && round < nodes.length; round += 1) {
    moved = false;
    for (const { from, to: into } of own) if (depth.get(into) <= depth.get(from)) { depth.set(into, depth.get(from) + 1); moved = true; }
  }
  const fed = new Set(own.map((edge) => edge.to));
  for (const node of nodes) {
    const reach = own.filter((edge) => edge.from === node.id).map((edge) => depth.get(edge.to));
    if (!fed.has(node.id) && reach.length) depth.set(node.id, Math.min(...reach) - 1);
  }
  return { depth, own };
}

/** Places of the nodes; those of a column stand in the order of what they read, which keeps lines from crossing. */
function placed(nodes, edges, heightOf) {
  const { depth, own } = depths(nodes, edges);
  const columns = [];
  for (const node of nodes) (columns[depth.get(node.id)] ??= []).push(node);
  const at = new Map();
  let height = 0;
  columns.forEach((column, x) => {
    const middle = (node) => {
      const from = own.filter((edge) => edge.to === node.id && at.has(edge.from)).map((edge) => at.get(edge.from).y);
      return from.length ? from.reduce((sum, one) => sum + one, 0) / from.length : 0;
    };
    const order = column.map((node) => [node, middle(node)]).sort((a, b) => a[1] - b[1]);
    let y = 0;
    for (const [node] of order) {
      const size = heightOf(node);
      at.set(node.id, { x: x * (WIDTH + GAP_X), y, size });
      y += size + GAP_Y;
    }
    height = Math.max(height, y - GAP_Y);
  });
  for (const column of columns.filter(Boolean)) { // each column in the middle of the tallest
    const tall = column.reduce((sum, node) => sum + at.get(node.id).size + GAP_Y, -GAP_Y);
    for (const node of column) at.get(node.id).y += (height - tall) / 2;
  }
  return { at, own, width: columns.length * (WIDTH + GAP_X) - GAP_X, height };
}

const shortened = (text, most) => (text.length > most ? `${text.slice(0, most / 2 - 1)}…${text.slice(-(most / 2))}` : text);

export function LineageGraph({ name, nodes, edges, way, column }) {
  const [zoom, setZoom] = useState(null); // null: as large as there is room
  const shown = (node) => [...(way?.at.get(node.id) ?? [])];
  const heightOf = (node) => HEIGHT + Math.min(shown(node).length, MOST_COLUMNS + 1) * LINE + (shown(node).length ? 6 : 0);
  const { at, own, width, height } = useMemo(() => placed(nodes, edges, heightOf), [nodes, edges, way]);
  const turn = (by) => setZoom((before) => Math.min(Math.max((before ?? 3) + by, 0), ZOOMS.length - 1));
  const size = zoom === null ? { width: "100%", maxWidth: `${width + 4}px`, minWidth: `${(width + 4) * LEAST}px` } : { width: `${(width + 4) * ZOOMS[zoom]}px` };
  const lit = (edge) => way !== null && edge.kind === "reads" && way.edges.has(`${edge.from} ${edge.to}`);
  return html`<section class="stack" aria-label="Graph"><div class="row spread"><p class="quiet legend"><span><svg width="28" height="8" aria-hidden="true"><path class="edge reads" d="M0 4H28" /></svg> reads</span>
      <span><svg width="28" height="8" aria-hidden="true"><path class="edge triggers" d="M0 4H28" /></svg> starts after</span><span><svg width="28" height="8" aria-hidden="true"><path class="edge checks" d="M0 4H28" /></svg> checks against</span></p>
      <div class="row choice" role="group" aria-label="Size"><button type="button" aria-label="Smaller" disabled=${zoom === 0} onClick=${() => turn(-1)}>−</button><button type="button" aria-pressed=${zoom === null} onClick=${() => setZoom(null)}>Fit</button>
        <button type="button" aria-label="Larger" disabled=${zoom === ZOOMS.length - 1} onClick=${() => turn(1)}>+</button></div></div>
    <div class="scroll graph" tabindex="0" role="region" aria-label="Lineage graph"><svg style=${size} viewBox="-2 -2 ${width + 4} ${height + 4}" role="group" aria-label=${`Lineage of ${name}`} class=${way ? "traced" : ""}>
      ${own.toSorted((a, b) => lit(a) - lit(b)).map((edge) => {
        const [a, b] = [at.get(edge.from), at.get(edge.to)];
        const beside = edge.kind === "reads" ? 0 : 9;
        const [x1, y1, x2, y2] = [a.x + WIDTH, a.y + HEIGHT / 2 + beside, b.x, b.y + HEIGHT / 2 + beside];
        const middle = (x1 + x2) / 2;
        return html`<path key=${`${edge.from} ${edge.to} ${edge.step}`} class=${`edge ${edge.kind} ${lit(edge) ? "lit" : ""}`} d=${`M${x1} ${y1} C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}`}><title>${`${edge.step}${edge.version === null ? "" : `, version ${edge.version}`}`}</title></path>`;
      })}
      ${nodes.map((node) => html`<${Node} key=${node.id} node=${node} place=${at.get(node.id)} own=${node.kind === "pipeline" && node.name === name} columns=${shown(node)} column=${column} />`)}
    </svg></div></section>`;
}

function Node({ node, place: { x, y, size }, own, columns, column }) {
  const kind = node.kind === "pipeline" ? (node.exists === false ? "pipeline, not here" : "pipeline") : node.type;
  const box = html`<rect x=${x} y=${y} width=${WIDTH} height=${size} rx="8" /><text x=${x + 12} y=${y + 21}>${shortened(node.name, 28)}</text><text class="kind" x=${x + 12} y=${y + 38}>${kind}</text>
    ${columns.slice(0, MOST_COLUMNS).map((one, line) => html`<text class="column" x=${x + 12} y=${y + HEIGHT + 12 + line * LINE}>${shortened(one, 26)}</text>`)}
    ${columns.length > MOST_COLUMNS && html`<text class="kind" x=${x + 12} y=${y + HEIGHT + 12 + MOST_COLUMNS * LINE}>and ${columns.length - MOST_COLUMNS} more</text>`}<title>${node.name}</title>`;
  const style = `node ${own ? "own" : ""} ${node.kind} ${columns.length ? "lit" : ""}`;
  if (node.kind !== "pipeline" || node.exists === false) return html`<g class=${style}>${box}</g>`;
  return html`<${Link} href=${to(["pipelines", node.name, "lineage"], { column: columns.includes(column) || columns.length !== 1 ? column : columns[0] })} class=${style}>${box}<//>`;
}
