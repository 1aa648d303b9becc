/** Rows that a step refused, grouped by rule: why, with the values as they came; mend the rules, then replay. */

import { html, useMemo, useState } from "preact";
import { get, post, useAction, useApi } from "console/api";
import { cell, count } from "console/format";
import { ActionButton, Empty, Loaded, Problem } from "console/parts/basics";
import { Grid } from "console/parts/grid";
import { Snippet } from "console/parts/snippet";
import { go, Link, setQuery, to } from "console/router";
import { may } from "console/session";

const reasons = (rules) => (rules ?? []).map((one) => [one.column, one.message ?? one.rule].filter(Boolean).join(": ")).join("; ");

export default function Quarantine({ name, query }) {
  const path = `/pipeline/${name}/quarantine`;
  const version = query.get("version");
  const rule = query.get("rule");
  const request = useApi(path, { version, rule, limit: 1 });
  const replay = useAction(async () => {
    const run = await post(`/pipeline/${name}/quarantine/replay?wait=0`, version ? { version: Number(version) } : undefined);
    go(to(["runs", run.run_id]));
  });
  if (request.error?.status === 404) return html`<${Empty} title="Nothing in quarantine"><p>${request.error.message}</p><//>`;
  return html`<${Loaded} request=${request}>${(data) => (data.rules.length === 0
    ? html`<${Empty} title="Nothing in quarantine"><p>No row of version ${data.version} was refused.</p><//>`
    : html`
      <div class="row spread"><div class="row choice" role="group" aria-label="Rule">
          <button type="button" aria-pressed=${rule === null} onClick=${() => setQuery({ rule: null })}>All rules</button>
          ${data.rules.map((one) => html`<button type="button" aria-pressed=${rule === one.rule} onClick=${() => setQuery({ rule: one.rule })}>${one.rule} <span class="quiet">${count(one.rows)}</span></button>`)}</div>
        <div class="row"><${Snippet} request=${{ path, query: { version, rule } }} />
          <${Link} class="button" href=${to(["pipelines", name, "configuration"])}>Change the rules<//>
          ${may("operator") && html`<${ActionButton} action=${replay} kind="primary" confirm="Run these rows again through the present configuration?">Replay<//>`}</div></div>
      <${Problem} error=${replay.error} />
      <${Rows} path=${path} data=${data} version=${version} rule=${rule} />`)}<//>`;
}

function Rows({ path, data, version, rule }) {
  const [open, setOpen] = useState(null);
  const source = useMemo(() => {
    const names = data.columns.map((column) => column.name);
    const places = [names.indexOf("_rules"), ...names.map((_, place) => place).filter((place) => !names[place].startsWith("_")), ...["_file", "_line", "_row", "_step"].map((one) => names.indexOf(one)).filter((place) => place >= 0)];
    const columns = places.map((place) => (names[place] === "_rules" ? { name: "why", type: "VARCHAR" } : { ...data.columns[place], name: names[place].replace(/^_/, "") }));
    const read = async (offset, limit, signal) => (await get(path, { version: data.version, rule, offset, limit }, { signal })).data
      .map((row) => places.map((place) => (names[place] === "_rules" ? reasons(row._rules) : row[names[place]])));
    return { key: JSON.stringify([path, data.version, rule]), columns, total: data.total_rows, read };
  }, [data, rule]);
  return html`<div class="answer"><${Grid} source=${source} label="Rows in quarantine" frozen=${1} onCell=${(row, _, values) => values && setOpen(values)} /></div>
    ${open && html`<section class="card" aria-label="The row"><header class="row spread"><h2>${open[0]}</h2><button type="button" onClick=${() => setOpen(null)}>Close</button></header>
      <dl class="pairs">${source.columns.slice(1).map((column, place) => html`<dt>${column.name}</dt><dd class="whole-text">${cell(open[place + 1]) || "null"}</dd>`)}</dl></section>`}`;
}
