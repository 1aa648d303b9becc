/** A new pipeline from the findings of a probe: choices on the left of a sample that shows them at once. */

import { html, useEffect, useMemo, useRef, useState } from "preact";
import { post, useAction } from "console/api";
import { count, counted, sentence } from "console/format";
import { Problem } from "console/parts/basics";
import { ConfigurationEditor } from "console/parts/configuration_editor";
import { asYaml, parsed } from "console/parts/document";
import { useAsked } from "console/parts/dry_runs";
import { useKept } from "console/parts/kept";
import { carried, documentOf, nameOf, proposed, withColumn } from "console/parts/making/choices";
import { ColumnPanel } from "console/parts/making/column_panel";
import { FirstRun } from "console/parts/making/first_run";
import { KeyChoice, Proposals } from "console/parts/making/proposals";
import { SampleTable } from "console/parts/making/sample_table";
import { ScheduleChoice } from "console/parts/making/schedule_choice";
import { Source } from "console/parts/making/source";
import { Link, to } from "console/router";

const ROWS = { file: 300, address: 100 }; // each change of a choice reads them again

/**
 * `reading` is how the source is read where somebody chose it, `wanted` the same while it is looked at; `onLook` looks at
 * the source anew with other such settings.
 */
export function Making({ probe, source, reading, wanted, onLook }) {
  const last = useRef(null);
  const first = useMemo(() => carried(proposed(probe, source), probe, last.current), [probe]);
  const [choices, setChoices, forgetChoices] = useKept(`choices:${source}:${probe.columns.map((column) => column.name).join()}:${JSON.stringify(reading)}`, first);
  last.current = { choices, probe };
  const looks = useRef(0);
  useEffect(() => { if ((looks.current += 1) > 1) setChoices({ ...choices }); }, [probe]); // what was carried over outlives a reload, too
  const [written, setWritten, forgetText] = useKept(`written:${source}`, null);
  const [own, setOwn] = useState(null);
  const [made, setMade] = useState(null);
  const document = useMemo(() => documentOf(choices), [choices]);
  const text = written ?? asYaml(document);
  const create = useAction(async () => {
    const saved = await post("/pipeline/create", new Blob([text]), { headers: { "content-type": text.trimStart().startsWith("{") ? "application/json" : "application/yaml" } });
    forgetChoices();
    forgetText();
    setMade({ name: saved.name, run: await post(`/pipeline/${saved.name}/execute?wait=0`) });
  });
  if (made) return html`<${FirstRun} ...${made} />`;
  const taken = create.error?.code === "PIPELINE_EXISTS";
  const rename = (name) => { create.clear(); setChoices({ ...choices, name }); };
  return html`
    ${written === null
      ? html`<section class="card" aria-label="What it is"><h2>What it is</h2><${Source} probe=${probe} collector=${{ ...choices.collector, ...wanted }} onLook=${onLook} /></section>
          <${Cleaning} probe=${probe} choices=${choices} document=${document} onChange=${setChoices} />`
      : html`<section class="card"><div class="row spread"><h2>Configuration</h2><button type="button" onClick=${() => window.confirm("Go back to the choices? What was written here is lost.") && setWritten(null)}>Back to the choices</button></div>
          <${ConfigurationEditor} text=${text} onChange=${setWritten} /></section>`}
    <section class="card finish" aria-label="Name and times"><h2>Name and times</h2>
      <div class="row">${written === null && html`<label>Name of the pipeline <input value=${choices.name} aria-invalid=${taken} maxlength="63" onInput=${(event) => rename(event.currentTarget.value)} /></label>
        <${ScheduleChoice} value=${choices.schedule} forced=${own} onKind=${setOwn} onChange=${(schedule) => setChoices({ ...choices, schedule })} />`}${written !== null && html`<strong>${parsed(written)?.name ?? ""}</strong>`}</div>
      ${taken && written === null ? html`<${Taken} name=${choices.name} onName=${rename} />` : html`<${Problem} error=${create.error} />`}
      <div class="row"><button type="button" class="primary" disabled=${create.busy} aria-busy=${create.busy} onClick=${() => create.run()}>Create and run</button>
        ${written === null && html`<button type="button" class="plain" onClick=${() => setWritten(text)}>Write it myself</button>`}</div>
    </section>`;
}

/** Says that there is a pipeline of this name, and offers a free-looking one. */
function Taken({ name, onName }) {
  const [, base, number] = /^(.*?)(?:-(\d+))?$/.exec(name);
  const next = `${base.slice(0, 58)}-${Number(number ?? 1) + 1}`;
  return html`<div class="problem" role="alert"><p class="what">There is a pipeline <${Link} href=${to(["pipelines", name])}>${name}<//> already. Give this one another name.</p>
    <button type="button" onClick=${() => onName(next)}>Name it ${next}</button></div>`;
}

function Cleaning({ probe, choices, document, onChange }) {
  const [chosen, setOpened] = useState(null);
  const opened = chosen !== null && chosen in choices.columns ? chosen : null;
  const asked = useAsked(`/pipeline/preview?rows=${choices.collector.file_path ? ROWS.file : ROWS.address}&each_step=true`, document, 250);
  const now = asked.data ?? asked.last;
  const first = now?.after_steps[0];
  const before = useMemo(() => {
    const back = new Map(Object.keys(choices.columns).map((column) => [nameOf(choices, column), column]));
    return (name) => back.get(name) ?? name;
  }, [choices]);
  const dropped = Object.keys(choices.columns).filter((column) => choices.columns[column].dropped);
  return html`<section class="card" aria-label="Clean and type"><h2>Clean and type</h2>
    <${Proposals} probe=${probe} choices=${choices} onChange=${onChange} />
    <div class="row spread"><p class="quiet" role="status">${asked.busy ? "Reading a few rows …" : now ? `${said(now)}` : ""}</p>
      <${KeyChoice} probe=${probe} choices=${choices} onChange=${onChange} /></div>
    <${Problem} error=${asked.error} />
    <div class=${opened ? "with-panel" : ""}>
      ${now && html`<${SampleTable} label="Sample of the rows" rows=${now} earlier=${first} before=${before} profile=${now.profile.columns} opened=${opened && nameOf(choices, opened)} onOpen=${(name) => setOpened(before(name) === opened ? null : before(name))} />`}
      ${opened && html`<${ColumnPanel} key=${opened} probe=${probe} choices=${choices} column=${opened} onChange=${onChange} onClose=${() => setOpened(null)} />`}
    </div>
    ${now?.warnings.filter((one) => !probe.notes.includes(one.message)).map((one) => html`<div class="warning" key=${one.message}>${sentence(one.message)}</div>`)}
    ${dropped.length > 0 && html`<p class="row"><span class="quiet">Left out:</span> ${dropped.map((column) => html`<button type="button" class="tag" aria-label=${`Take ${column} in again`} onClick=${() => onChange(withColumn(choices, column, { dropped: false }))}>${column} +</button>`)}</p>`}
  </section>`;
}

/** What became of the first rows. */
function said(now) {
  if (now.rows_collected === 0) return "There are no rows yet, only names of columns. A run stores an empty table.";
  const refused = now.rows_rejected ? `, ${count(now.rows_rejected)} ${now.rows_rejected === 1 ? "goes" : "go"} to quarantine` : "";
  return `${count(now.total_rows)} of the first ${counted(now.rows_collected, "row")} ${now.total_rows === 1 ? "remains" : "remain"}${refused}. Marked cells were changed.`;
}
