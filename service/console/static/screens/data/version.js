/** Which version is shown, where it came from, and that there is a newer one: it never takes its place by itself. */

import { html } from "preact";
import { useApi } from "console/api";
import { count, counted } from "console/format";
import { Time } from "console/parts/basics";
import { Link, setQuery, to } from "console/router";

export function Version({ name, versions, wanted, version, newest, seen, take, page, filtered, busy }) {
  const listed = versions.items.find((one) => String(one.version) === version);
  const alone = useApi(listed || version === null ? null : `/pipeline/${encodeURIComponent(name)}/versions/${encodeURIComponent(version)}`);
  const known = listed ?? alone.data;
  const later = wanted === null && newest !== null && seen !== null && newest > seen ? versions.items.find((one) => one.version === newest) : null;
  const choose = (event) => {
    const next = event.currentTarget.value;
    if (next === "") take();
    setQuery({ version: next || null, row: null }, { replace: false });
  };
  return html`<div class="row small version-line">
      <label class="inline">Version <select value=${wanted ?? ""} onChange=${choose}>
        <option value="">${wanted === null ? `newest (${seen})` : `newest (${newest})`}</option>
        ${!listed && wanted !== null && html`<option value=${wanted}>${wanted}</option>`}
        ${versions.items.map((one) => html`<option value=${String(one.version)}>${one.version} · ${counted(one.rows, "row")}${one.tags.length ? ` · ${one.tags.join(", ")}` : ""}${one.state === "held" ? " · held" : ""}</option>`)}
      </select></label>
      ${wanted !== null && html`<span class="tag">pinned to ${wanted}${newest !== null && String(newest) !== wanted ? `, newest is ${newest}` : ""}</span>`}
      ${known && html`<span class="quiet">made <${Time} at=${known.created} /> by <${Link} href=${to(["runs", known.run_id])}>its run<//> with <${Link} href=${to(["pipelines", name, "configuration"], { revision: known.revision })}>revision ${known.revision}<//> of <${Link} href=${to(["pipelines", name])}>the pipeline<//></span>`}
      <strong class="rows-told" role="status">${page && !busy ? filtered && known ? `${count(page.total_rows)} of ${counted(known.rows, "row")}` : counted(page.total_rows, "row") : busy ? "Reading …" : ""}</strong>
    </div>
    <div role="status" class="later">${later && html`<p class="warning">Version ${newest} is there, with ${counted(later.rows, "row")}. You still see version ${seen}. <button type="button" onClick=${take}>Show version ${newest}</button></p>`}</div>`;
}
