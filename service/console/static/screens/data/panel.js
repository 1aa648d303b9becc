/** What opens beside the grid, and over it on a telephone. Escape leads back to the cell. */

import { html, useEffect, useRef } from "preact";

export function Panel({ title, detail, close, children }) {
  const heading = useRef(null);
  useEffect(() => heading.current.focus(), [title]);
  const key = (event) => {
    if (event.key !== "Escape" || event.defaultPrevented) return;
    event.preventDefault();
    close();
  };
  return html`<aside class="panel" aria-label=${title} onKeyDown=${key}>
    <header class="row spread"><h2 ref=${heading} tabindex="-1">${title} ${detail && html`<span class="quiet small">${detail}</span>`}</h2><button type="button" class="plain" onClick=${close}>Close</button></header>
    ${children}</aside>`;
}
