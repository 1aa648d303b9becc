/** Small parts that every screen uses: states of loading and failure, statuses, times, buttons that act. */

import { html, useEffect, useRef, useState } from "preact";
import { ago, instant, sentence } from "console/format";

/** An error as the service answers it: what is wrong and what to do, then where, its code, and the request in the log. */
export function Problem({ error, retry }) {
  if (!error) return null;
  const problems = error.problems ?? [{ field: null, message: error.message }];
  const only = problems.length === 1 ? problems[0] : null;
  return html`<div class="problem" role="alert">
    <p class="what">${sentence(only ? only.message : error.message.replace(/; the first: .*$/s, ":"))}</p>
    ${!only && html`<ul>${problems.map(({ field, message }) => html`<li>${field && html`<code>${field}</code> `}${message}</li>`)}</ul>`}
    <p class="quiet">${[only?.field && html`at <code>${only.field}</code>`, error.code && html`<code>${error.code}</code>`, error.requestId && html`request <code>${error.requestId}</code>`].filter(Boolean).map((part, place) => html`${place > 0 && " · "}${part}`)}</p>
    ${retry && html`<button type="button" onClick=${retry}>Try again</button>`}
  </div>`;
}

/** What a screen shows of an address that it reads: the error, a quiet line while it loads, or its children. */
export function Loaded({ request, children }) {
  if (request.error && request.data === null) return html`<${Problem} error=${request.error} retry=${request.reload} />`;
  if (request.data === null) return html`<p class="quiet loading">Loading …</p>`;
  return html`${request.error && html`<${Problem} error=${request.error} retry=${request.reload} />`}${children(request.data)}`;
}

/** An empty list: what is not there, and what to do next. */
export function Empty({ title, children }) {
  return html`<div class="empty"><h2>${title}</h2>${children}</div>`;
}

const WORDS = {
  completed: "Completed", failed: "Failed", running: "Running", queued: "Queued", cancelled: "Cancelled",
  interrupted: "Interrupted", retrying: "Waits to try again", held: "Held", idle: "Never run",
};

/** A status in a word and a colour; the word alone is enough. */
export const Status = ({ status }) =>
  html`<span class="status status-${status}"><span class="dot" aria-hidden="true"></span>${WORDS[status] ?? status}</span>`;

const HOUR = 3_600_000;
const tickers = new Set();
let round = 0;
setInterval(() => {
  if (document.hidden) return;
  round += 1;
  for (const tick of tickers) tick(round % 10 === 0);
}, 30_000);

/** An instant as "5 minutes ago", exact on hover and for screen readers; drawn again when the words change. */
export function Time({ at }) {
  const [, setWords] = useState("");
  useEffect(() => {
    if (!at) return undefined;
    const tick = (all) => (all || Math.abs(Date.now() - new Date(at)) < HOUR) && setWords(ago(at));
    tickers.add(tick);
    return () => tickers.delete(tick);
  }, [at]);
  return at ? html`<time datetime=${at} title=${instant(at)}>${ago(at)}</time>` : html`<span class="quiet">–</span>`;
}

/** A bar of progress, 0 to 100. */
export const Progress = ({ value, label }) =>
  html`<progress max="100" value=${value} aria-label=${label}>${Math.round(value)} %</progress>`;

/** A button that acts, is busy meanwhile, and asks first where `confirm` says what would happen. */
export function ActionButton({ action, children, confirm: question, kind = "", ...rest }) {
  const click = () => {
    if (question && !window.confirm(question)) return;
    action.run();
  };
  return html`<button type="button" class=${kind} disabled=${action.busy} aria-busy=${action.busy} onClick=${click} ...${rest}>
    ${children}
  </button>`;
}

let shown = null; // the address whose title was drawn last

/**
 * A page's title, for the tab and history of the browser, and its heading. Whoever followed a link that is gone with its
 * page goes on from there, by key and by ear.
 */
export function Title({ text, children }) {
  const heading = useRef(null);
  useEffect(() => {
    const now = location.pathname + location.search;
    if (shown !== null && shown !== now && document.activeElement === document.body) heading.current.focus({ preventScroll: true });
    shown = now;
  });
  useEffect(() => {
    document.title = `${text} · Penstock`;
  }, [text]);
  return html`<header class="title"><h1 ref=${heading} tabindex="-1">${text}</h1>${children}</header>`;
}

/** Names and values in two columns. */
export const Facts = ({ facts }) =>
  html`<dl class="facts">${facts.filter(Boolean).map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;

/** Links that look like tabs: each has an address of its own. The current one is in sight on a narrow screen too. */
export function Tabs({ label, children }) {
  const nav = useRef(null);
  useEffect(() => {
    const current = nav.current.querySelector("[aria-current]");
    if (current) nav.current.scrollLeft = current.offsetLeft - nav.current.offsetLeft - (nav.current.clientWidth - current.offsetWidth) / 2;
  }, [location.pathname]);
  return html`<nav class="tabs" ref=${nav} aria-label=${label}>${children}</nav>`;
}
