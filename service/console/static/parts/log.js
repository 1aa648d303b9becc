/** The log of a run: never wrapped, found by words and level, and only the lines in sight are in the page. */

import { html, useEffect, useLayoutEffect, useRef, useState } from "preact";
import { fetched, useAction } from "console/api";
import { count } from "console/format";
import { Problem } from "console/parts/basics";
import { record, text } from "console/parts/log_lines";
import { useWindow } from "console/parts/windowed";

const HEIGHT = 20;
const LONGEST = 1000;
const MOST_COPIED = 100_000;

/** `lines` is a `LogLines` of `size` lines; `live` says that more may come, and then the end is followed. */
export function Log({ id, lines, size, live }) {
  const [words, setWords] = useState("");
  const [least, setLeast] = useState("");
  const [following, setFollowing] = useState(true);
  const [open, setOpen] = useState(null);
  lines.filter(words, least);
  const shown = lines.shown;
  const sight = useWindow(shown.length, HEIGHT);
  const [at, setAt] = useState(null); // the line that the keys are at
  const close = () => { setOpen(null); sight.ref.current.querySelector(".line.at")?.focus(); };
  const onKeyDown = (event) => {
    const from = at ?? Math.ceil((sight.ref.current.scrollTop) / HEIGHT) - 1;
    const next = { ArrowDown: from + 1, ArrowUp: from - 1, Home: 0, End: shown.length - 1 }[event.key];
    if (next === undefined || shown.length === 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const place = Math.min(Math.max(next, 0), shown.length - 1);
    if (place < shown.length - 1) setFollowing(false);
    setAt(place);
    sight.scrollTo(place);
  };
  useEffect(() => setAt(null), [words, least]);
  const places = Array.from({ length: sight.last - sight.first }, (_, place) => sight.first + place);
  if (at !== null && at < shown.length && !places.includes(at)) places.push(at); // it holds the focus
  const moved = useRef(0);
  useLayoutEffect(() => {
    const box = sight.ref.current;
    if (live && following) { box.scrollTop = box.scrollHeight; moved.current = box.scrollTop; }
  }, [shown.length, following, live]);
  const onScroll = () => {
    sight.onScroll();
    const box = sight.ref.current;
    const atEnd = box.scrollTop + box.clientHeight >= box.scrollHeight - HEIGHT / 2;
    if (atEnd) setFollowing(true);
    else if (box.scrollTop < moved.current) setFollowing(false); // only a person scrolls up
    moved.current = box.scrollTop;
  };
  return html`<section class="log" aria-label="Log">
    <header class="row spread"><h2>Log <span class="quiet">${count(shown.length)}${shown.length === size ? "" : ` of ${count(size)}`} ${size === 1 ? "line" : "lines"}</span></h2>
      <div class="row"><label class="inline">Level <select value=${least} onChange=${(event) => setLeast(event.currentTarget.value)}><option value="">all</option><option value="warning">warnings</option><option value="error">errors</option></select></label>
        <input type="search" aria-label="Search the log" placeholder="Search the log" value=${words} onInput=${(event) => setWords(event.currentTarget.value)} />
        <${Take} id=${id} shown=${shown} /></div></header>
    <div class="lines-box"><div class="lines" style=${{ maxHeight: `${Math.max(shown.length, 4) * HEIGHT + 20}px` }} ref=${sight.ref} onScroll=${onScroll} onKeyDown=${onKeyDown} tabindex="0" aria-describedby="log-keys" role="log" aria-live="off" aria-label="Lines of the log">
        <div style=${{ height: `${shown.length * HEIGHT}px`, position: "relative" }}>
          ${places.map((place) => html`<${Line} key=${place} line=${shown[place]} top=${place * HEIGHT} at=${place === at} onOpen=${(found, byKey) => { setOpen({ found, byKey }); setAt(place); }} />`)}</div></div>
      <span id="log-keys" class="visually-hidden">Arrow keys go from line to line, Enter shows all of a line.</span>
      ${live && !following && html`<button type="button" class="primary again" onClick=${() => setFollowing(true)}>Follow again</button>`}
      ${size === 0 && html`<p class="quiet none">${live ? "Nothing yet." : "The log is empty, or its days are over."}</p>`}</div>
    ${open !== null && html`<section class="card" aria-label="The line" onKeyDown=${(event) => event.key === "Escape" && close()}>
      <header class="row spread"><h3 tabindex="-1" ref=${(heading) => heading && open.byKey && (heading.focus(), (open.byKey = false))}>${open.found.event ?? "Line"}</h3><button type="button" onClick=${close}>Close</button></header>
      <dl class="pairs left">${Object.entries(open.found).map(([name, value]) => html`<dt>${name}</dt><dd class="whole-text">${typeof value === "object" ? JSON.stringify(value, null, 1) : String(value)}</dd>`)}</dl></section>`}
  </section>`;
}

function Line({ line, top, at, onOpen }) {
  const self = useRef(null);
  useLayoutEffect(() => { if (at) self.current.focus({ preventScroll: true }); }, [at]);
  const found = record(line);
  const words = text(found);
  return html`<div ref=${self} class=${`line ${found.level} ${at ? "at" : ""}`} style=${{ top: `${top}px` }} role="button" tabindex="-1" onClick=${() => getSelection().isCollapsed && onOpen(found, false)}
      onKeyDown=${(event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); onOpen(found, true); } }}>
    <time datetime=${found.time}>${(found.time ?? "").slice(11, 23)}</time> ${found.level !== "info" && html`<b>${found.level}</b> `}${words.length > LONGEST ? `${words.slice(0, LONGEST)} … (${count(words.length - LONGEST)} more characters)` : words}</div>`;
}

/** The lines for elsewhere: as text into the clipboard, or all of them as a file. */
function Take({ id, shown }) {
  const [copied, setCopied] = useState(0);
  const copy = async () => {
    const taken = shown.slice(-MOST_COPIED);
    await navigator.clipboard.writeText(taken.map((line) => { const found = record(line); return `${found.time} ${found.level} ${text(found)}`; }).join("\n"));
    setCopied(taken.length);
    setTimeout(() => setCopied(0), 3000);
  };
  const download = useAction(async () => {
    const answer = await fetched("GET", `/runs/${id}/logs`);
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(await answer.blob()), download: `${id}.ndjson` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  });
  return html`<button type="button" onClick=${copy}>${copied ? `Copied ${count(copied)}` : "Copy"}</button>
    <button type="button" disabled=${download.busy} onClick=${() => download.run()}>Download</button><${Problem} error=${download.error} />`;
}
