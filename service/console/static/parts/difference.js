/** Two texts line by line: what one has and the other has not; long stretches that agree are folded away. */

import { html } from "preact";
import { diffLines } from "diff";

const AROUND = 3;

export function Difference({ from, to }) {
  const parts = diffLines(from, to);
  if (!parts.some((part) => part.added || part.removed)) return html`<p class="quiet">They are the same.</p>`;
  return html`<pre tabindex="0" class="difference">${parts.flatMap((part, place) => {
    const lines = part.value.replace(/\n$/, "").split("\n");
    if (part.added) return lines.map((line) => html`<div class="added">+ ${line}</div>`);
    if (part.removed) return lines.map((line) => html`<div class="removed">− ${line}</div>`);
    return folded(lines, place === 0, place === parts.length - 1).map((line) => (line === null ? html`<div class="quiet">  …</div>` : html`<div>${"  "}${line}</div>`));
  })}</pre>`;
}

function folded(lines, first, last) {
  const head = first ? 0 : AROUND;
  const tail = last ? 0 : AROUND;
  if (lines.length <= head + tail + 1) return lines;
  return [...lines.slice(0, head), null, ...(tail ? lines.slice(-tail) : [])];
}
