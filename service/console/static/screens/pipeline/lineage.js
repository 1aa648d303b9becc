/** Where rows come from and go to: sources and pipelines as a graph, columns with their origins. */

import { html, useState } from "preact";
import { useApi } from "console/api";
import { Loaded } from "console/parts/basics";
import { Snippet } from "console/parts/snippet";
import { Link, setQuery, to } from "console/router";

const [WIDTH, HEIGHT, GAP_X, GAP_Y] = [210, 44, 90, 16];

/** The nodes in columns from sources to what is made of them: each one step right of the last that it reads. */
function placed(nodes, edges) {
  const depth = new Map(nodes.map((node) => [node.id, 0]));
  for (let round = 0; round < nodes.length; round += 1) {
    let moved = false;
    for (const { from, to: into } of edges) {
      if (depth.has(from) && depth.has(into) && depth.get(into) < depth.get(from) + 1 && depth.get(from) < nodes.length) { depth.set(into, depth.get(from) + 1); moved = true; }
    }
    if (!moved) break;
  }
  const columns = [];
  for (const node of nodes) (columns[depth.get(node.id)] ??= []).push(node);
  const tallest = Math.max(...columns.filter(Boolean).map((column) => column.length), 1);
  const at = new Map();
  columns.forEach((column, x) => column?.forEach((node, y) => at.set(node.id, { x: x * (WIDTH + GAP_X), y: (y + (tallest - column.length) / 2) * (HEIGHT + GAP_Y) })));
  return { at, width: columns.length * (WIDTH + GAP_X) - GAP_X, height: tallest * (HEIGHT + GAP_Y) - GAP_Y };
}

const shortened = (text) => (text.length > 28 ? `${text.slice(0, 12)}…${text.slice(-15)}` : text);

export default function Lineage({ name, query }) {
  const depth = query.get("depth");
  const path = `/pipeline/${name}/lineage`;
  const request = useApi(path, { depth });
  return html`<${Loaded} request=${request}>${(data) => html`
    <div class="row spread"><label class="inline">Steps away <select value=${String(data.depth)} onChange=${(event) => setQuery({ depth: event.currentTarget.value })}>${[1, 2, 3, 5, 10].map((one) => html`<option>${one}</option>`)}</select></label>
      <${Snippet} request=${{ path, query: { depth } }} /></div>
    <${Graph} name=${name} nodes=${data.nodes} edges=${data.edges} />
    <${Columns} name=${name} columns=${data.columns} why=${data.why} />`}<//>`;
}

function Graph({ name, nodes, edges }) {
  const { at, width, height } = placed(nodes, edges);
  return html`<div class="scroll graph" tabindex="0"><svg width=${width + 4} height=${height + 4} viewBox="-2 -2 ${width + 4} ${height + 4}" role="group" aria-label=${`Lineage of ${name}`}>
    ${edges.filter(({ from, to: into }) => at.has(from) && at.has(into)).map(({ from, to: into, kind }) => {
      const [a, b] = [at.get(from), at.get(into)];
      const [x1, y1, x2, y2] = [a.x + WIDTH, a.y + HEIGHT / 2, b.x, b.y + HEIGHT / 2];
      const middle = (x1 + x2) / 2;
      return html`<path class=${`edge ${kind}`} d=${`M${x1} ${y1} C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}`}><title>${kind}</title></path>`;
    })}
    ${nodes.map((node) => {
      const { x, y } = at.get(node.id);
      const box = html`<rect x=${x} y=${y} width=${WIDTH} height=${HEIGHT} rx="6" /><text x=${x + 12} y=${y + 19}>${shortened(node.name)}</text><text class="kind" x=${x + 12} y=${y + 35}>${node.kind === "pipeline" ? "pipeline" : node.type}${node.exists === false ? ", not here" : ""}</text><title>${node.name}</title>`;
      return node.kind === "pipeline" && node.exists !== false
        ? html`<a href=${to(["pipelines", node.name, "lineage"])} class=${`node ${node.name === name ? "own" : ""}`}>${box}</a>`
        : html`<g class="node source">${box}</g>`;
    })}
  </svg></div>`;
}

function Columns({ name, columns, why }) {
  const [words, setWords] = useState("");
  if (!columns) return html`<p class="quiet">${why ?? "The columns are not known yet."}</p>`;
  const shown = columns.filter((column) => `${column.name} ${JSON.stringify(column.origins)}`.toLowerCase().includes(words.toLowerCase()));
  return html`<section class="card"><header class="row spread"><h2>Columns and where they come from</h2><input type="search" aria-label="Search columns" placeholder="Search columns" value=${words} onInput=${(event) => setWords(event.currentTarget.value)} /></header>
    <div class="scroll" tabindex="0" role="region" aria-label="Columns"><table><tbody>${shown.map((column) => html`<tr><th scope="row">${column.name} <span class="quiet">${column.type}</span></th>
      <td>${(column.origins ?? []).map((origin) => html`<div><code>${origin.columns.join(", ")}</code> <span class="quiet">of ${origin.pipeline ? html`<${Link} href=${to(["pipelines", origin.pipeline])}>${origin.pipeline}<//>` : origin.collector}</span></div>`)}${!column.origins?.length && html`<span class="quiet">${column.why ?? "not known"}</span>`}</td></tr>`)}</tbody></table></div></section>`;
}
