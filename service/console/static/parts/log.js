/** The log of a run: lines as they come, found by words, never wrapped, and only those in sight are in the page. */

import { html, useMemo, useState } from "preact";
import { useWindow } from "console/parts/windowed";

const HEIGHT = 20;
const HIDDEN = ["time", "level", "event", "run_id", "pipeline", "step", "message", "code"];

function text(line) {
  const rest = Object.entries(line).filter(([name]) => !HIDDEN.includes(name));
  const words = rest.map(([name, value]) => `${name}=${typeof value === "object" ? JSON.stringify(value) : value}`);
  return [line.event, line.step, line.code, line.message, ...words].filter(Boolean).join("  ");
}

/** `lines` are the log's records, oldest first; `live` follows their end. */
export function Log({ lines, live }) {
  const [words, setWords] = useState("");
  const [following, setFollowing] = useState(true);
  const texts = useMemo(() => lines.map((line) => ({ line, text: text(line) })), [lines]);
  const shown = useMemo(() => {
    const wanted = words.toLowerCase();
    return wanted ? texts.filter((one) => one.text.toLowerCase().includes(wanted)) : texts;
  }, [texts, words]);
  const sight = useWindow(shown.length, HEIGHT, { follow: live && following });
  return html`<section class="log" aria-label="Log">
    <header class="row spread"><h2>Log <span class="quiet">${shown.length} ${shown.length === 1 ? "line" : "lines"}</span></h2>
      <div class="row">
        ${live && html`<label class="inline"><input type="checkbox" checked=${following} onChange=${(event) => setFollowing(event.currentTarget.checked)} /> Follow</label>`}
        <input type="search" aria-label="Search the log" placeholder="Search the log" value=${words} onInput=${(event) => setWords(event.currentTarget.value)} />
      </div></header>
    <div class="lines" ref=${sight.ref} onScroll=${sight.onScroll} tabindex="0" role="log" aria-live="off">
      <div style=${{ height: `${shown.length * HEIGHT}px`, position: "relative" }}>
        ${shown.slice(sight.first, sight.last).map(({ line, text: words_ }, place) => html`
          <div class=${`line ${line.level}`} key=${sight.first + place} style=${{ top: `${(sight.first + place) * HEIGHT}px` }}>
            <time datetime=${line.time}>${line.time.slice(11, 23)}</time> ${line.level !== "info" && html`<b>${line.level}</b> `}${words_}</div>`)}
      </div>
    </div>
  </section>`;
}
