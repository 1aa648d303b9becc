/** Versions: what each holds and how it differs from the one before; compare two, keep, name, restore or judge one. */

import { html, useState } from "preact";
import { call, post, useAction, useApi } from "console/api";
import { bytes, cell, count, percent } from "console/format";
import { ActionButton, Empty, Loaded, Problem, Time } from "console/parts/basics";
import { Snippet } from "console/parts/snippet";
import { Link, setQuery, to } from "console/router";
import { may } from "console/session";

export default function Versions({ name, query }) {
  const request = useApi(`/pipeline/${name}/versions`, { limit: 200 });
  const [one, other] = [query.get("compare"), query.get("with")];
  return html`<${Loaded} request=${request}>${(data) => (data.total === 0
    ? html`<${Empty} title="No versions yet"><p>Each successful run keeps its rows as a version.</p><//>`
    : html`
      ${one && html`<${Difference} name=${name} version=${one} against=${other} />`}
      <div class="scroll"><table class="cards"><caption class="visually-hidden">Versions, newest first</caption>
        <thead><tr><th>Version</th><th>Made</th><th class="number">Rows</th><th class="number">Size</th><th>Columns</th><th>Changes</th><th><span class="visually-hidden">Actions</span></th></tr></thead>
        <tbody>${data.items.map((version, place) => html`<${Row} key=${version.version} name=${name} version=${version} before=${data.items[place + 1]} reload=${request.reload} />`)}</tbody>
      </table></div>`)}<//>`;
}

function Row({ name, version, before, reload }) {
  const at = `/pipeline/${name}/versions/${version.version}`;
  const act = useAction(async (what) => {
    if (what === "tag") {
      const tag = window.prompt("Name of this version (small letters, digits, - and _)");
      if (!tag) return;
      await post(`${at}/tag`, { tag });
    } else if (what === "delete") await call("DELETE", at);
    else await post(`${at}/${what}`);
    reload();
  });
  const button = (what, text, question) => html`<${ActionButton} action=${{ busy: act.busy, run: () => act.run(what) }} confirm=${question}>${text}<//>`;
  const held = version.state === "held";
  return html`<tr>
    <td><${Link} class="name" href=${to(["data", name], { version: version.version })}>${version.version}<//>
      ${version.tags.map((tag) => html` <span class="tag">${tag}</span>`)}${version.pinned && html` <span class="tag">pinned</span>`}${held && html` <span class="late">held</span>`}
      ${version.restored_from !== null && html`<div class="quiet">restored from ${version.restored_from}</div>`}</td>
    <td data-label="Made"><${Link} href=${to(["runs", version.run_id])}><${Time} at=${version.created} /><//>
      <div><${Link} class="quiet" href=${to(["pipelines", name, "configuration"], { revision: version.revision })}>revision ${version.revision}<//></div></td>
    <td class="number" data-label="Rows">${count(version.rows)}${before && html`<div class="quiet">${version.rows === before.rows ? "same" : `${version.rows > before.rows ? "+" : "−"}${count(Math.abs(version.rows - before.rows))}`}</div>`}</td>
    <td class="number" data-label="Size">${bytes(version.bytes)}</td>
    <td data-label="Columns">${version.columns.length}</td>
    <td class="whole">${version.schema_changes.map((change) => html`<div><code>${change.column ?? change.name}</code> ${change.change ?? change.kind}</div>`)}
      ${held && version.held_because.map((why) => html`<div class="late">${why.measure} is ${cell(why.value)}, the bound is ${cell(why.bound)}</div>`)}
      ${version.rows_quarantined > 0 && html`<${Link} href=${to(["pipelines", name, "quarantine"], { version: version.version })}>${count(version.rows_quarantined)} in quarantine<//>`}
      <${Problem} error=${act.error} /></td>
    <td><div class="row actions wrap">
      ${before && html`<button type="button" onClick=${() => setQuery({ compare: version.version, with: before.version }, { replace: false })}>Compare</button>`}
      ${may("operator") && html`${held ? html`${button("accept", "Accept")}${button("reject", "Reject", `Reject version ${version.version}? Its rows are deleted.`)}` : html`
        ${button(version.pinned ? "unpin" : "pin", version.pinned ? "Unpin" : "Pin")}${button("tag", "Name")}
        ${button("restore", "Restore", `Publish the rows of version ${version.version} as the newest version?`)}`}`}
      ${may("admin") && !held && button("delete", "Delete", `Delete version ${version.version}? Its rows are gone then.`)}</div></td>
  </tr>`;
}

function Difference({ name, version, against }) {
  const path = `/pipeline/${name}/versions/${version}/diff`;
  const [key, setKey] = useState("");
  const query = { against, key, limit: 20 };
  const request = useApi(path, query);
  return html`<section class="card" aria-label="Difference">
    <header class="row spread"><h2>Version ${version} against ${against ?? "the one before"}</h2>
      <div class="row"><form class="row" onSubmit=${(event) => { event.preventDefault(); setKey(new FormData(event.currentTarget).get("key")); }}>
          <label class="inline">Key <input name="key" value=${key} placeholder=${request.data?.key?.join(",") || "whole rows"} /></label></form>
        <${Snippet} request=${{ path, query }} />
        <button type="button" onClick=${() => setQuery({ compare: null, with: null })}>Close</button></div></header>
    <${Loaded} request=${request}>${(found) => html`
      <p>${["added", "removed", "changed", "unchanged"].map((kind) => html`<strong>${count(found.rows[kind])}</strong> ${kind} `)}
        <span class="quiet">of ${count(found.rows.before)} before and ${count(found.rows.after)} after</span></p>
      <div class="scroll"><table><thead><tr><th>Column</th><th>Change</th><th class="number">Values changed</th><th class="number">Missing before</th><th class="number">after</th><th class="number">Mean before</th><th class="number">after</th><th class="number">Drift (PSI)</th></tr></thead>
        <tbody>${found.columns.map((column) => html`<tr><td><code>${column.name}</code> <span class="quiet">${column.type}</span></td><td>${column.change ?? ""}</td>
          <td class="number">${count(column.changed)}</td><td class="number">${percent(column.missing_share?.before)}</td><td class="number">${percent(column.missing_share?.after)}</td>
          <td class="number">${short(column.mean?.before)}</td><td class="number">${short(column.mean?.after)}</td>
          <td class=${`number ${column.psi > 0.25 ? "late" : ""}`}>${short(column.psi)}</td></tr>`)}</tbody></table></div>
      <${Samples} samples=${found.samples} />`}<//>
  </section>`;
}

const short = (value) => (typeof value === "number" ? value.toPrecision(4) : "–");

function Samples({ samples }) {
  const changed = samples.changed.map(({ key, before, after }) => [key, Object.keys(after).filter((name) => cell(before[name]) !== cell(after[name])).map((name) => [name, before[name], after[name]])]);
  return html`
    ${changed.length > 0 && html`<details open><summary>Rows that changed</summary><div class="scroll"><table><tbody>${changed.map(([key, values]) => html`<tr>
      <th>${Object.entries(key).map(([name, value]) => `${name} ${cell(value)}`).join(", ")}</th>
      <td>${values.map(([name, before, after]) => html`<div><code>${name}</code> <del>${cell(before) || "null"}</del> → <ins>${cell(after) || "null"}</ins></div>`)}</td></tr>`)}</tbody></table></div></details>`}
    ${[["added", "Rows that were added"], ["removed", "Rows that were removed"]].map(([kind, text]) => samples[kind].length > 0 && html`<details><summary>${text}</summary><div class="scroll"><table>
      <thead><tr>${Object.keys(samples[kind][0]).map((name) => html`<th>${name}</th>`)}</tr></thead>
      <tbody>${samples[kind].map((row) => html`<tr>${Object.values(row).map((value) => html`<td>${cell(value)}</td>`)}</tr>`)}</tbody></table></div></details>`)}`;
}
