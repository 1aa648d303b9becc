/** The address bar is the state of a screen: path and query, read by hooks and changed by `go`. */

import { html, useEffect, useState } from "preact";

export const ROOT = "/console";
const listeners = new Set();

const here = () => ({
  path: location.pathname.slice(ROOT.length).replace(/\/+$/, "") || "/",
  query: new URLSearchParams(location.search),
});

/** Path below `/console` and query of the page, again whenever they change. */
export function useLocation() {
  const [state, setState] = useState(here);
  useEffect(() => {
    const listener = () => setState(here());
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, []);
  return state;
}

addEventListener("popstate", () => announce());

function announce() {
  for (const listener of [...listeners]) listener();
}

/** The address of a screen; each part of the path is encoded. */
export function to(parts, query = {}) {
  const path = parts.map((part) => `/${encodeURIComponent(part)}`).join("");
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const text = new URLSearchParams(given).toString();
  return ROOT + (path || "/") + (text ? `?${text}` : "");
}

/** Goes to an address of the console. `replace` leaves no step in the browser's history. */
export function go(url, { replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", url);
  announce();
}

/** Changes parameters of the query and keeps the rest; null removes one. */
export function setQuery(changes, { replace = true } = {}) {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === undefined || value === "") query.delete(name);
    else query.set(name, value);
  }
  const text = query.toString();
  go(location.pathname + (text ? `?${text}` : ""), { replace });
}

/** A link within the console; a click with a key held, or on another button, is the browser's. */
export function Link({ href, children, ...rest }) {
  const click = (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    go(href);
    scrollTo(0, 0);
  };
  return html`<a href=${href} onClick=${click} ...${rest}>${children}</a>`;
}

/** What would make another address of a route that a part of this one is put into. */
const ASTRAY = /[/\\?#%]|^\.{1,2}$/;

/** The parts of a path that match a pattern such as `/pipelines/:name/:tab?`, decoded, or null. */
export function matched(pattern, path) {
  const wanted = pattern.split("/").filter(Boolean);
  const given = path.split("/").filter(Boolean);
  if (given.length > wanted.length) return null;
  const found = {};
  for (const [place, part] of wanted.entries()) {
    const value = given[place];
    if (value === undefined) {
      if (!part.endsWith("?")) return null;
    } else if (part.startsWith(":")) {
      try {
        const decoded = decodeURIComponent(value);
        if (ASTRAY.test(decoded)) return null;
        found[part.slice(1).replace(/\?$/, "")] = decoded;
      } catch {
        return null;
      }
    } else if (part !== value) return null;
  }
  return found;
}
