/** One table: a version of it, which stays the same until somebody asks for another one. */

import { html, useEffect, useMemo, useRef, useState } from "preact";
import { address, useApi } from "console/api";
import { Empty, Problem, Title } from "console/parts/basics";
import { useFresh } from "console/parts/fresh";
import { Snippet } from "console/parts/snippet";
import { Link, setQuery, to, useLocation } from "console/router";
import { combined, plain, read, sortText } from "console/screens/data/address";
import { Conditions } from "console/screens/data/filters";
import { Download } from "console/screens/data/download";
import { Rows } from "console/screens/data/rows";
import { Share } from "console/screens/data/share";
import { statement } from "console/screens/data/statement";
import { Version } from "console/screens/data/version";

export function Table({ name }) {
  const { query } = useLocation();
  const wanted = useMemo(() => read(query), [query.toString()]);
  const versions = useApi(`/pipeline/${encodeURIComponent(name)}/versions`, { limit: 100 });
  useFresh(versions, { pipeline: name, parts: ["versions"] });
  const newest = versions.data?.items.find((one) => one.state !== "held")?.version ?? null;
  const [seen, setSeen] = useState(null); // "newest" is the one that was newest on arrival
  if (seen === null && newest !== null) setSeen(newest);
  const version = wanted.version ?? (seen === null ? null : String(seen));
  const none = versions.data !== null && newest === null && wanted.version === null;

  const path = `/pipeline/${encodeURIComponent(name)}/data`;
  const filter = useMemo(() => combined(wanted.filters), [wanted]);
  const asked = { version, filter: filter.text, sort: sortText(wanted.sorts) };
  const first = { ...asked, limit: 1 };
  const request = useApi(version === null ? null : path, first);
  const last = useRef(null);
  const here = request.data !== null && request.key === address(path, first);
  if (here) last.current = { key: JSON.stringify([name, asked]), page: request.data };
  const page = request.error ? null : last.current?.page ?? null;
  const tables = useApi(page === null ? null : "/tables", { limit: 1000 });
  const table = tables.data?.items.find((one) => one.pipeline === name)?.name ?? name.replaceAll("-", "_");
  const error = versions.data === null ? versions.error : request.error;
  const shown = wanted.columns?.filter((one) => page?.columns.some((column) => column.name === one));
  const python = `frame = client.data(${[JSON.stringify(name), ...Object.entries({ ...asked, version: Number(version) }).filter(([, value]) => value).map(([given, value]) => `${given}=${JSON.stringify(value)}`)].join(", ")})\nprint(frame)\n`;
  const sql = statement(`${table}@${version}`, { columns: shown, filter: filter.text, sorts: wanted.sorts });
  return html`<main id="main" class="wide data" aria-busy=${page === null && !error && !none}>
    <${Title} text=${name}>
      <div class="row tools" role="group" aria-label="What to do with these rows">
        ${page && html`<${Download} name=${name} path=${path} query=${asked} page=${page} columns=${shown?.every(plain) && shown.length < page.columns.length ? shown : null} />
          <${Share} version=${version} />
          <${Link} class="button" href=${to(["sql"], { sql })}>Open as SQL<//>`}
        <${Snippet} request=${{ path, query: { ...asked, columns: shown?.every(plain) ? shown.join(",") : null }, python }} />
      </div>
    <//>
    ${none && html`<${Empty} title="No rows yet"><p>The first successful run of this pipeline makes its first version.</p><${Link} class="button" href=${to(["pipelines", name])}>See the pipeline<//><//>`}
    ${versions.data && !none && html`<div class="stack about-rows">
      <${Version} name=${name} versions=${versions.data} wanted=${wanted.version} version=${version} newest=${newest} seen=${seen} take=${() => setSeen(newest)} page=${page} filtered=${filter.text !== null} busy=${!here && !request.error} />
      <${Conditions} filters=${wanted.filters} places=${filter.places} columns=${page?.columns ?? last.current?.page.columns ?? []} error=${request.error} busy=${!here && !request.error} /></div>`}
    ${error && !atFilter(error) && html`<div class="stack"><${Problem} error=${error} retry=${versions.data === null ? versions.reload : request.reload} />
      ${versions.data === null && error.status === 404 && html`<p class="quiet">There is no table of this name, or you have no right to read it; whoever owns it can give you access.</p>`}
      <div class="row">${wanted.version !== null && versions.data !== null && html`<button type="button" onClick=${() => setQuery({ version: null }, { replace: false })}>Show the newest version</button>`}
        ${wanted.sorts.length > 0 && html`<button type="button" onClick=${() => setQuery({ sort: null })}>Do not sort</button>`}<${Link} class="button" href=${to(["data"])}>All tables<//></div></div>`}
    ${page && html`<${Rows} key=${name} name=${name} table=${`${table}@${version}`} path=${path} asked=${asked} filters=${wanted.filters} wanted=${wanted} page=${page} pageKey=${last.current.key} busy=${!here && !request.error}
      info=${versions.data?.items.find((one) => String(one.version) === version)} />`}
    ${!page && versions.data && !none && !error && html`<p class="quiet loading">Loading …</p>`}
  </main>`;
}

const atFilter = (error) => error.details?.field === "filter";
