/** A new pipeline: drop a file or paste an address, look at what was found, clean and type by looking, run. */

import { html, useEffect, useMemo, useRef, useState } from "preact";
import { get, post, useAction, useApi } from "console/api";
import { bytes, sentence } from "console/format";
import { Problem, Title } from "console/parts/basics";
import { ConfigurationEditor } from "console/parts/configuration_editor";
import { asYaml, parsed } from "console/parts/document";
import { Drop } from "console/parts/drop";
import { useKept } from "console/parts/kept";
import { Making } from "console/parts/making/making";
import { FirstRun } from "console/parts/making/first_run";
import { Login } from "console/parts/making/login";
import { Snippet } from "console/parts/snippet";
import { go, Link, setQuery, to, useLocation } from "console/router";

const BEGINNING = "name: my-pipeline\ncollectors:\n  - type: csv\n    file_path: orders.csv\nprocessors:\n  - type: analyzer\n";
const ASKED = "penstock:asked"; // the address that was pasted in this tab: a link may bring another one
let given = { url: null, auth: null }; // the login for it, which belongs in no address bar, and to nobody else's address

export default function NewPipeline() {
  const { query } = useLocation();
  const [file, url] = [query.get("file"), query.get("url")];
  const source = file ?? url;
  const begin = query.get("from");
  return html`<main id="main"><${Title} text=${begin ? "Copy of a pipeline" : "New pipeline"}>${(source || begin !== null) && html`<${Link} class="button" href=${to(["new"])}>Another source<//>`}<//>
    ${begin !== null ? html`<${Written} key=${begin} from=${begin} />` : source ? html`<${Found} key=${source} file=${file} url=${url} />` : html`<${Choose} />`}</main>`;
}

function Choose() {
  const [auth, setAuth] = useState(null);
  const files = useApi("/files", { limit: 8 });
  const submit = (event) => {
    event.preventDefault();
    const url = new FormData(event.currentTarget).get("url").trim();
    given = { url, auth };
    sessionStorage.setItem(ASKED, url);
    setQuery({ url }, { replace: false });
  };
  return html`<p class="quiet">Where are the data? Penstock looks at them and proposes the rest.</p>
  <div class="two">
    <section class="card"><h2>A file</h2><${Drop} onDone=${(path) => setQuery({ file: path }, { replace: false })}>Drop a CSV, JSON or Parquet file here<//>
      ${files.data?.items.length > 0 && html`<div><h3>Uploaded before</h3><ul class="plain-list">${files.data.items.map((one) => html`<li><${Link} href=${to(["new"], { file: one.path })}>${one.path}<//> <span class="quiet">${bytes(one.bytes)}</span></li>`)}</ul>
        ${files.data.total > files.data.items.length && html`<${Link} href=${to(["files"])}>All files<//>`}</div>`}</section>
    <section class="card"><h2>An address</h2><form class="stack" onSubmit=${submit}><label>Address of an API, a file or a web page <input name="url" type="url" required placeholder="https://…" /></label>
      <${Login} value=${auth} onChange=${setAuth} /><div><button class="primary">Look at it</button></div></form></section>
  </div>
  <p class="quiet">Several sources, or another pipeline's rows? <${Link} href=${to(["new"], { from: "-" })}>Write the configuration<//> with forms or as text.</p>`;
}

/** Looks at a source; what it needs to be read is asked for where it is refused. */
function Found({ file, url }) {
  const [auth, setAuth] = useState(url !== null && given.url === url ? given.auth : null);
  const known = file !== null || sessionStorage.getItem(ASKED) === url;
  const [state, setState] = useState({ probe: null, error: null, busy: known });
  const [reading, setReading] = useKept(`reading:${file ?? url}`, {}); // what somebody chose in place of what was found
  const body = { ...(file ? { file_path: file } : { url, ...(auth ? { auth } : {}) }), ...(Object.keys(reading).length ? { collector: reading } : {}) };
  const turn = useRef(0);
  const look = (changes = {}, base = reading) => {
    if (url !== null) {
      given = { url, auth };
      sessionStorage.setItem(ASKED, url);
    }
    const wanted = { ...base, ...changes };
    const mine = (turn.current += 1);
    const current = (then) => (answer) => turn.current === mine && then(answer);
    setState((before) => ({ probe: before.probe, error: null, busy: true, wanted }));
    return post("/pipeline/probe", { ...body, collector: wanted }).then(
      current((probe) => { setReading(wanted); setState({ probe, error: null, busy: false }); }),
      current((error) => {
        if (state.probe === null && Object.keys(wanted).length > 0) return look({}, {}); // it is another source by now
        setState((before) => ({ probe: before.probe, error, busy: false })); // what was found before stays
      }),
    );
  };
  useEffect(() => { if (known) look(); }, []);
  const refused = /\b40[13]\b/.test(state.error?.message ?? "");
  return html`<div class="row spread"><p class="source-line">${file ? "File" : "Address"} <code>${file ?? url}</code></p><${Snippet} request=${{ method: "POST", path: "/pipeline/probe", body: { ...body, auth: undefined } }} /></div>
    ${!known && !state.busy && !state.probe && !state.error && html`<p>A link led here. The service asks this address when you say so.</p>
      <section class="card"><${Login} value=${auth} onChange=${setAuth} /><div><button type="button" class="primary" onClick=${() => look()}>Look at it</button></div></section>`}
    ${state.busy && html`<p class="quiet" role="status" aria-busy="true">Looking at it …${url ? " A slow service may take half a minute." : ""}</p>`}
    ${state.error && html`<${Problem} error=${state.error} retry=${state.probe ? null : () => look()} />
      ${url && !state.probe && html`<section class="card"><${Login} value=${auth} onChange=${setAuth} open=${refused} />${auth && html`<div><button type="button" class="primary" onClick=${() => look()}>Look again</button></div>`}</section>`}`}
    ${state.probe && !state.probe.collector && html`${state.probe.notes.map((note) => html`<div class="warning">${sentence(note)}</div>`)}`}
    ${state.probe?.collector && html`<${Making} probe=${state.probe} source=${file ?? url} reading=${reading} wanted=${state.wanted} onLook=${look} />`}`;
}

/** A configuration to write: from the beginning, or from that of another pipeline. */
function Written({ from }) {
  const [first, setFirst] = useState(from === "-" ? BEGINNING : null);
  const [error, setError] = useState(null);
  useEffect(() => {
    if (from === "-") return;
    get(`/pipeline/${encodeURIComponent(from)}/config`).then((document) => setFirst(asYaml({ ...document, name: `${document.name}-copy`.slice(0, 63) })), setError);
  }, [from]);
  if (error) return html`<${Problem} error=${error} />`;
  if (first === null) return html`<p class="quiet loading">Loading …</p>`;
  return html`<${Writing} from=${from} first=${first} />`;
}

function Writing({ from, first }) {
  const [text, setText, forget] = useKept(`new:${from}`, first);
  const [made, setMade] = useState(null);
  const name = useMemo(() => parsed(text)?.name, [text]);
  const create = useAction(async (start) => {
    const type = text.trimStart().startsWith("{") ? "application/json" : "application/yaml";
    const saved = await post("/pipeline/create", new Blob([text]), { headers: { "content-type": type } });
    forget();
    if (start) setMade({ name: saved.name, run: await post(`/pipeline/${saved.name}/execute?wait=0`) });
    else go(to(["pipelines", saved.name, "configuration"]));
  });
  if (made) return html`<${FirstRun} ...${made} />`;
  return html`${from !== "-" && html`<p class="quiet">A copy of ${from} with all its settings. Secrets that are shown as *** must be written again; give it a name of its own.</p>`}
    <${ConfigurationEditor} text=${text} onChange=${setText} />
    <${Problem} error=${create.error} />
    <div class="row finish"><button type="button" class="primary" disabled=${create.busy} onClick=${() => create.run(true)}>Create and run</button>
      <button type="button" disabled=${create.busy} onClick=${() => create.run(false)}>Create only</button><span class="quiet">${name}</span></div>`;
}
