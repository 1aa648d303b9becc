/** A small menu at a place of the window: what can be done with what was pointed at. */

import { html, useLayoutEffect, useRef } from "preact";

/** `place` is `{x, y}`; `items` are `[text, act]`; `close` is called in the end, with whether something was chosen. */
export function Menu({ place, items, label, close }) {
  const menu = useRef(null);
  useLayoutEffect(() => {
    const box = menu.current;
    box.style.left = `${Math.max(Math.min(place.x, innerWidth - box.offsetWidth - 8), 8)}px`;
    box.style.top = `${Math.max(Math.min(place.y, innerHeight - box.offsetHeight - 8), 8)}px`;
    box.firstElementChild.focus();
    const away = (event) => { if (!box.contains(event.target)) close(false); };
    const stop = new AbortController();
    addEventListener("pointerdown", away, { capture: true, signal: stop.signal });
    addEventListener("resize", () => close(false), { signal: stop.signal });
    return () => stop.abort();
  }, [place]);
  const key = (event) => {
    const all = [...menu.current.children];
    const at = all.indexOf(document.activeElement);
    const next = { ArrowDown: (at + 1) % all.length, ArrowUp: (at - 1 + all.length) % all.length, Home: 0, End: all.length - 1 }[event.key];
    if (next !== undefined) all[next].focus();
    else if (event.key === "Escape" || event.key === "Tab") close(false);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return html`<div class="menu" role="menu" aria-label=${label} ref=${menu} onKeyDown=${key}>
    ${items.map(([text, act]) => html`<button type="button" role="menuitem" tabindex="-1" onClick=${() => { act(); close(true); }}>${text}</button>`)}</div>`;
}
