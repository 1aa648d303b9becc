/** Where rows come from and go to: sources and pipelines as a graph, and the way of each column through them. */

import { html, useEffect, useState } from "preact";
import { useApi } from "console/api";
import { count, counted } from "console/format";
import { Loaded, Problem } from "console/parts/basics";
import { Snippet } from "console/parts/snippet";
import { useWindow } from "console/parts/windowed";
import { Link, setQuery, to } from "console/router";
import { wayOf } from "console/screens/pipeline/column_way";
import { LineageGraph } from "console/screens/pipeline/lineage_graph";

const ALL = 20;
const HEIGHT = 32;

export default function Lineage({ name, query }) {
  const depth = query.get("depth") ?? String(ALL);
  const column = query.get("column");
  const path = `/pipeline/${name}/lineage`;
  const request = useApi(path, { depth });
  const { way, error } = useWay(name, column, request.data);
  return html`<${Loaded} request=${request}>${(data) => html`
    <div class="row spread"><p class="quiet">${many(data.nodes, "pipeline")}, ${many(data.nodes, "source")}. Choose a column to see its way.</p>
      <div class="row"><label class="inline">Steps away <select value=${depth} onChange=${(event) => setQuery({ depth: event.currentTarget.value === String(ALL) ? null : event.currentTarget.value })}>${[1, 2, 3, 5].map((one) => html`<option>${one}</option>`)}<option value=${ALL}>all</option></select></label>
        <${Snippet} request=${{ path, query: { depth } }} /></div></div>
    <div class="lineage"><${Columns} columns=${data.columns} why=${data.why} chosen=${column} />
      <div class="stack"><${LineageGraph} name=${name} nodes=${data.nodes} edges=${data.edges} way=${way} column=${column} />
        <${Problem} error=${error} />
        ${column && way && html`<${Way} name=${name} column=${column} way=${way} nodes=${data.nodes} why=${data.why} />`}</div></div>`}<//>`;
}

const many = (nodes, kind) => {
  const found = nodes.filter((node) => node.kind === kind).length;
  return `${count(found)} ${kind}${found === 1 ? "" : "s"}`;
};

function useWay(name, column, graph) {
  const [state, setState] = useState({ way: null, error: null });
  useEffect(() => {
    if (!column || !graph) { setState({ way: null, error: null }); return undefined; }
    const stop = new AbortController();
    wayOf(name, column, graph, stop.signal).then((way) => stop.signal.aborted || setState({ way, error: null }), (error) => stop.signal.aborted || setState({ way: null, error }));
    return () => stop.abort();
  }, [name, column, graph]);
  return state;
}

function Columns({ columns, why, chosen }) {
  const [words, setWords] = useState("");
  if (!columns) return html`<p class="quiet">${why ?? "The columns are known after the first run."}</p>`;
  const shown = columns.filter((column) => column.name.toLowerCase().includes(words.toLowerCase()));
  return html`<section class="stack" aria-label="Columns"><input type="search" aria-label="Search columns" placeholder=${`Search ${counted(columns.length, "column")}`} value=${words} onInput=${(event) => setWords(event.currentTarget.value)} />
    <${List} columns=${shown} chosen=${chosen} /></section>`;
}

function List({ columns, chosen }) {
  const sight = useWindow(columns.length, HEIGHT);
  const place = columns.findIndex((column) => column.name === chosen);
  const choose = (name) => setQuery({ column: name === chosen ? null : name });
  const key = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -columns.length, End: columns.length }[event.key];
    if (event.key === "Escape") setQuery({ column: null });
    if (!step || !columns.length) return;
    event.preventDefault();
    const next = Math.min(Math.max(place + step, 0), columns.length - 1);
    setQuery({ column: columns[next].name });
    sight.scrollTo(next);
  };
  return html`<div class="column-list" style=${{ maxHeight: `${Math.max(columns.length, 1) * HEIGHT + 2}px` }} ref=${sight.ref} onScroll=${sight.onScroll} onKeyDown=${key} tabindex="0" role="listbox" aria-label="Columns" aria-activedescendant=${place >= sight.first && place < sight.last ? `column-${place}` : null}>
    <div role="presentation" style=${{ height: `${columns.length * HEIGHT}px`, position: "relative" }}>${columns.slice(sight.first, sight.last).map((column, line) => html`<div key=${column.name} class="column-line" role="option" id=${`column-${sight.first + line}`} aria-selected=${column.name === chosen}
        aria-setsize=${columns.length} aria-posinset=${sight.first + line + 1} style=${{ top: `${(sight.first + line) * HEIGHT}px`, height: `${HEIGHT}px` }} onClick=${() => choose(column.name)}><span class="clip">${column.name}</span><span class="quiet">${column.type}</span></div>`)}</div></div>`;
}

/** The same in words, for whoever does not see the graph. */
function Way({ name, column, way, nodes, why }) {
  const others = nodes.filter((node) => way.at.has(node.id) && !(node.kind === "pipeline" && node.name === name));
  const line = (node) => html`<tr key=${node.id}><th scope="row">${node.kind === "pipeline" ? html`<${Link} href=${to(["pipelines", node.name, "lineage"])}>${node.name}<//>` : node.name}</th><td>${[...way.at.get(node.id)].map((one) => html`<code>${one}</code> `)}</td></tr>`;
  return html`<section class="card" aria-label="Way of the column" role="status"><header class="row spread"><h2><code>${column}</code> of ${name}</h2><button type="button" onClick=${() => setQuery({ column: null })}>Close</button></header>
    ${others.length === 0 ? html`<p class="quiet">It comes from no column elsewhere, such as a constant or a count, and nothing is made of it.</p>` : html`<div class="scroll" tabindex="0" role="region" aria-label="Where the column is"><table class="slim"><tbody>${others.map(line)}</tbody></table></div>`}
    ${why && html`<p class="quiet">${why}</p>`}${way.cut && html`<p class="late">The way goes on through more pipelines than are shown.</p>`}</section>`;
}
