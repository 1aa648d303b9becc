/** Forward and back through a list; the place is in the address. */

import { html } from "preact";
import { count } from "console/format";
import { setQuery } from "console/router";

export function Pages({ total, offset, size }) {
  if (total <= size && offset === 0) return null;
  const move = (to) => () => setQuery({ offset: to > 0 ? to : null }, { replace: false });
  return html`<nav class="row" aria-label="Pages">
    <button type="button" disabled=${offset === 0} onClick=${move(Math.max(offset - size, 0))}>Newer</button>
    <span class="quiet">${count(offset + 1)} to ${count(Math.min(offset + size, total))} of ${count(total)}</span>
    <button type="button" disabled=${offset + size >= total} onClick=${move(offset + size)}>Older</button>
  </nav>`;
}
