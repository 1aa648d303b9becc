/** Versions: what each holds and how it differs from the one before; compare two, keep, name, restore or judge one. */

import { html, useState } from "preact";
import { call, post, useAction, useApi } from "console/api";
import { bytes, count, counted } from "console/format";
import { ActionButton, Empty, Loaded, Problem, Time } from "console/parts/basics";
import { useFresh } from "console/parts/fresh";
import { Pages } from "console/parts/pages";
import { Snippet } from "console/parts/snippet";
import { Link, setQuery, to } from "console/router";
import { Difference } from "console/screens/pipeline/difference";
import { may } from "console/session";

const SIZE = 50;

export default function Versions({ name, query }) {
  const path = `/pipeline/${name}/versions`;
  const offset = Number(query.get("offset") ?? 0);
  const request = useApi(path, { limit: SIZE + 1, offset }); // one more, to tell the last of the page from the one before
  useFresh(request, { pipeline: name, parts: ["versions", "runs"] });
  const compared = query.get("compare");
  return html`<${Loaded} request=${request}>${(data) => (data.total === 0
    ? html`<${Empty} title="No versions yet"><p>Each successful run keeps its rows as a version.</p><//>`
    : html`
      ${data.items.filter((one) => one.state === "held").map((one) => html`<${Judgement} key=${one.version} name=${name} version=${one} published=${data.items.find((other) => other.state !== "held" && other.version < one.version)} reload=${request.reload} />`)}
      ${compared && html`<${Difference} key=${`${compared} ${query.get("with")}`} name=${name} version=${compared} against=${query.get("with")} query=${query} />`}
      <div class="row spread"><${Choice} key=${`${compared} ${query.get("with")} ${data.items[0]?.version}`} versions=${data.items} one=${compared} other=${query.get("with")} /><${Snippet} request=${{ path }} /></div>
      <div class="scroll" tabindex="0" role="region" aria-label="Versions"><table class="cards"><caption class="visually-hidden">Versions, newest first</caption>
        <thead><tr><th>Version</th><th>Made</th><th class="number">Rows</th><th class="number">Size</th><th>Columns</th><th>Came from</th><th><span class="visually-hidden">Actions</span></th></tr></thead>
        <tbody>${data.items.slice(0, SIZE).map((version, place) => html`<${Row} key=${version.version} name=${name} version=${version} before=${data.items[place + 1]} reload=${request.reload} />`)}</tbody>
      </table></div>
      <${Pages} total=${data.total} offset=${offset} size=${SIZE} />`)}<//>`;
}

/** Which two are compared; both are in the address, so that the comparison is a link. */
function Choice({ versions, one, other }) {
  if (versions.length < 2) return html`<span></span>`;
  const known = [...new Set([...versions.map((version) => String(version.version)), one, other].filter(Boolean))].sort((a, b) => b - a);
  const compare = (event) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setQuery({ compare: form.get("compare"), with: form.get("with"), key: null }, { replace: false });
  };
  const options = known.map((version) => html`<option>${version}</option>`);
  return html`<form class="row" onSubmit=${compare}><label class="inline">Compare version <select name="compare" value=${one ?? known[0]}>${options}</select></label>
    <label class="inline">with <select name="with" value=${other ?? known[1]}>${options}</select></label><button>Compare</button></form>`;
}

/** A held version is for a person to decide: why it is held, and what each answer does. */
function Judgement({ name, version, published, reload }) {
  const at = `/pipeline/${name}/versions/${version.version}`;
  const decide = useAction(async (how) => { await post(`${at}/${how}`); reload(); });
  const button = (how, text, kind, question) => html`<${ActionButton} action=${{ busy: decide.busy, run: () => decide.run(how) }} kind=${kind} confirm=${question}>${text}<//>`;
  return html`<section class="card held" aria-label=${`Version ${version.version} is held`}><h2>Version ${version.version} is held <span class="quiet">until somebody decides</span></h2>
    <ul class="reasons">${version.held_because.map((why) => html`<li>${why.column && html`<code>${why.column}</code> `}${why.message}</li>`)}</ul>
    <p class="quiet">Accept publishes it: its ${counted(version.rows, "row")} become the data, and pipelines that follow start. Reject deletes it; the published version stays as it is, and the next run starts from that.</p>
    <div class="row">${may("operator") && html`${button("accept", `Accept version ${version.version}`, "primary")}${button("reject", "Reject", "danger", `Reject version ${version.version}? Its rows are deleted.`)}`}
      ${published && html`<button type="button" onClick=${() => setQuery({ compare: version.version, with: published.version }, { replace: false })}>Compare with version ${published.version}</button>`}
      <${Link} class="button" href=${to(["data", name], { version: version.version })}>Look at its rows<//>
      <${Link} href=${to(["runs", version.run_id])}>The run<//></div>
    <${Problem} error=${decide.error} /></section>`;
}

const CHANGES = {
  added: ({ column, after }) => html`<ins>+ <code>${column}</code></ins> <span class="quiet">${after}</span>`,
  removed: ({ column, before }) => html`<del>− <code>${column}</code></del> <span class="quiet">${before}</span>`,
  retyped: ({ column, before, after }) => html`<code>${column}</code> <span class="quiet">${before} → ${after}</span>`,
};

function Row({ name, version, before, reload }) {
  const at = `/pipeline/${name}/versions/${version.version}`;
  const [naming, setNaming] = useState(false);
  const act = useAction(async (send) => { await send(); setNaming(false); reload(); });
  const button = (text, send, question) => html`<${ActionButton} action=${{ busy: act.busy, run: () => act.run(send) }} kind="plain" confirm=${question} aria-label=${`${text} version ${version.version}`}>${text}<//>`;
  const held = version.state === "held";
  const moved = before ? version.rows - before.rows : 0;
  return html`<tr>
    <td><${Link} class="name" href=${to(["data", name], { version: version.version })} aria-label=${`Rows of version ${version.version}`}>${version.version}<//>
      ${version.pinned && html` <span class="tag">pinned</span>`}${held && html` <span class="late">held</span>`}
      ${version.tags.map((tag) => html` <span class="tag">${tag}${may("operator") && html`<button type="button" class="drop-tag" aria-label=${`Remove the name ${tag}`} onClick=${() => act.run(() => call("DELETE", `/pipeline/${name}/tags/${encodeURIComponent(tag)}`))}>×</button>`}</span>`)}
      ${version.restored_from !== null && html`<div class="quiet">restored from ${version.restored_from}</div>`}${version.replay_of !== null && html`<div class="quiet">replay of ${version.replay_of}</div>`}</td>
    <td data-label="Made"><${Time} at=${version.created} /></td>
    <td class="number" data-label="Rows">${count(version.rows)}${before && html`<div class="quiet">${moved === 0 ? "same" : `${moved > 0 ? "+" : "−"}${count(Math.abs(moved))}`}</div>`}</td>
    <td class="number" data-label="Size">${bytes(version.bytes)}</td>
    <td data-label="Columns">${version.columns.length}${version.schema_changes.slice(0, 4).map((change) => html`<div>${CHANGES[change.change](change)}</div>`)}
      ${version.schema_changes.length > 4 && html`<div class="quiet">and ${version.schema_changes.length - 4} more</div>`}</td>
    <td class="whole"><${Link} href=${to(["runs", version.run_id])} aria-label=${`Run of version ${version.version}`}>run<//> · <${Link} href=${to(["pipelines", name, "configuration"], { revision: version.revision })}>revision ${version.revision}<//>
      ${version.rows_quarantined > 0 && html`<div><${Link} href=${to(["pipelines", name, "quarantine"], { version: version.version })}>${count(version.rows_quarantined)} in quarantine<//></div>`}
      <${Problem} error=${act.error} /></td>
    <td class="whole"><div class="row actions wrap">
      ${before && html`<button type="button" aria-label=${`Compare version ${version.version} with ${before.version}`} onClick=${() => { setQuery({ compare: version.version, with: before.version, key: null }, { replace: false }); scrollTo(0, 0); }}>Compare</button>`}
      ${may("operator") && !held && (naming
        ? html`<form class="row" onSubmit=${(event) => { event.preventDefault(); const tag = new FormData(event.currentTarget).get("tag"); act.run(() => post(`${at}/tag`, { tag })); }}>
            <input name="tag" required autofocus aria-label=${`Name of version ${version.version}`} placeholder="small letters, digits" onKeyDown=${(event) => event.key === "Escape" && setNaming(false)} /><button disabled=${act.busy}>Keep</button></form>`
        : html`${button(version.pinned ? "Unpin" : "Pin", () => post(`${at}/${version.pinned ? "unpin" : "pin"}`))}
          <button type="button" class="plain" aria-label=${`Name version ${version.version}`} onClick=${() => setNaming(true)}>Name</button>
          ${button("Restore", () => post(`${at}/restore`), `Publish the rows of version ${version.version} as the newest version?`)}`)}
      ${may("admin") && !held && !naming && button("Delete", () => call("DELETE", at), `Delete version ${version.version}? Its rows are gone then.`)}</div></td>
  </tr>`;
}
