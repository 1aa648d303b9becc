/** The console: one page, whose screens are chosen by the address. */

import { html, render, useEffect, useErrorBoundary, useLayoutEffect, useRef, useState } from "preact";
import { connection, onConnection, onReturn, silent } from "console/connection";
import { Problem, Title } from "console/parts/basics";
import { Link, matched, to, useLocation } from "console/router";
import { currentUser, followLink, may, onSessionChange, resume, signOut, takeLink } from "console/session";
import { SignIn } from "console/screens/sign_in";

/** Pattern of a path, and the module of its screen, which is loaded when somebody goes there. */
const SCREENS = [
  ["/", () => import("console/screens/pipelines")],
  ["/pipelines/:name/:tab?", () => import("console/screens/pipeline")],
  ["/runs", () => import("console/screens/runs")],
  ["/runs/:id", () => import("console/screens/run")],
  ["/data/:table?", () => import("console/screens/data")],
  ["/sql", () => import("console/screens/sql")],
  ["/new", () => import("console/screens/new_pipeline")],
  ["/files", () => import("console/screens/files")],
  ["/schedules", () => import("console/screens/schedules")],
  ["/accounts/:tab?", () => import("console/screens/accounts")],
  ["/system", () => import("console/screens/system")],
];
const NAVIGATION = [
  ["Pipelines", [], "viewer"], ["Runs", ["runs"], "viewer"], ["Data", ["data"], "viewer"], ["SQL", ["sql"], "viewer"],
  ["Files", ["files"], "operator"], ["Schedules", ["schedules"], "viewer"], ["Accounts", ["accounts"], "viewer"],
  ["System", ["system"], "viewer"],
];

const CHANGING = ["files", "new"]; // screens that show a viewer nothing

/** The screen that an address leads to: `[pattern, load, parameters]`, or undefined. */
const screenOf = (path) => SCREENS.map(([pattern, load]) => [pattern, load, matched(pattern, path)]).find(([, , given]) => given !== null);

function App() {
  const { path } = useLocation();
  const [state, setState] = useState("resuming");
  const [refused, setRefused] = useState(null);
  useLayoutEffect(() => { // nothing waits for a drawing
    screenOf(path)?.[1]().catch(() => {}); // meanwhile
    const begin = () => arrive(setRefused).then((known) => setState(known ? "in" : "out"), () => silent());
    begin();
    onReturn(() => currentUser() === null && begin());
    return onSessionChange(() => setState(currentUser() === null ? "out" : "in"));
  }, []);
  return html`<${Connection} />${state === "in" ? html`<${Shell} />` : state === "out" ? html`<${SignIn} refused=${refused} />` : html`<${Waiting} />`}`;
}

/** Signs in by a one-time link, else takes up the session of this browser; returns whether somebody is signed in. */
async function arrive(refuse) {
  const token = takeLink();
  const error = token === null ? null : await followLink(token);
  if (token !== null && error === null) return true;
  const known = await resume();
  if (!known) refuse(error);
  return known;
}

const Waiting = () => html`<main id="main" aria-busy="true"><p class="quiet loading">Loading …</p></main>`;

/** A quiet line while the service does not answer; it goes by itself. */
function Connection() {
  const [, look] = useState(0);
  useEffect(() => onConnection(() => look((before) => before + 1)), []);
  const text = { away: "The service does not answer. What you see may be old; this page goes on when it is back.", starting: "The service is starting. This page goes on in a moment." }[connection()];
  return html`<div class="connection" role="status">${text && html`<p>${text}</p>`}</div>`;
}

function Shell() {
  const { path } = useLocation();
  useEffect(() => {
    addEventListener("keydown", toSearch);
    return () => removeEventListener("keydown", toSearch);
  }, []);
  const nav = useRef(null);
  const first = path.split("/")[1] ?? "";
  useEffect(() => nav.current.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" }), [first]);
  const current = (parts) => (parts[0] ?? "") === (first === "pipelines" || first === "new" ? "" : first);
  return html`<a class="skip" href="#main">Skip to the content</a>
    <header class="bar">
      <${Link} href=${to([])} class="brand" aria-label="Penstock, pipelines"><${Mark} />Penstock<//>
      <nav ref=${nav} aria-label="Main">
        ${NAVIGATION.filter(([, , role]) => may(role)).map(([name, parts]) => html`
          <${Link} href=${to(parts)} aria-current=${current(parts) ? "page" : null}>${name}<//>`)}
      </nav>
      <${Account} />
    </header>
    <${Screen} path=${path} key=${path.split("/").slice(0, 3).join("/")} />`;
}

/** "/" goes to the search of the screen, unless somebody writes. */
function toSearch(event) {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, textarea, select, dialog, [contenteditable], .editor")) return;
  const search = document.querySelector("main input[type=search]");
  if (!search) return;
  event.preventDefault();
  search.focus();
  search.select();
}

const Mark = () => html`<svg width="20" height="20" viewBox="0 0 20 20" aria-hidden="true">
  <path d="M2 4h6a4 4 0 0 1 4 4v4a4 4 0 0 0 4 4h2" fill="none" stroke="currentColor" stroke-width="3" stroke-linecap="round" />
</svg>`;

function Account() {
  const user = currentUser();
  return html`<div class="account">
    <span title="Role: ${user.role}">${user.username}</span>
    <a href="/docs/guide">Guide</a>
    <button type="button" class="plain" onClick=${signOut}>Sign out</button>
  </div>`;
}

function Screen({ path }) {
  const [loaded, setLoaded] = useState(null);
  const [broken, forget] = useErrorBoundary();
  const found = screenOf(path);
  const pattern = found?.[0];
  useLayoutEffect(() => {
    if (!found) return;
    found[1]().then((module) => setLoaded({ pattern, module }), (error) => {
      if (!(error instanceof TypeError)) return setLoaded({ pattern, module: { error } });
      silent(); // the script did not come
      return onReturn(() => location.reload());
    });
  }, [pattern]);
  if (broken) return html`<main id="main"><${Title} text="This screen has a fault" /><p>The others still work; your data are not touched.</p><${Problem} error=${broken} retry=${forget} /></main>`;
  if (!found) return html`<main id="main"><${Title} text="There is no such page" />
    <p><code>${path}</code> does not lead to a screen of the console: the address may be mistyped, or of another release.</p>
    <div class="row"><${Link} class="button primary" href=${to([])}>See all pipelines<//><${Link} class="button" href=${to(["runs"])}>See all runs<//></div></main>`;
  if (CHANGING.includes(path.split("/")[1]) && !may("operator")) return html`<main id="main"><${Title} text="This screen is for operators" />
    <p>It uploads files and makes pipelines; your account reads. An admin can change its role.</p>
    <div class="row"><${Link} class="button primary" href=${to([])}>See all pipelines<//></div></main>`;
  if (loaded?.pattern !== pattern) return html`<${Waiting} />`;
  if (loaded.module.error) return html`<main id="main"><${Problem} error=${loaded.module.error} retry=${() => location.reload()} /></main>`;
  return html`<${loaded.module.default} ...${found[2]} />`;
}

render(html`<${App} />`, document.getElementById("app"));
