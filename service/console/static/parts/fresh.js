/** Reads an address again when the page is looked at again, and while something of it may change by itself. */

import { useEffect } from "preact";

const SECONDS = 5;

/** Keeps what `useApi` read fresh while the page is visible; `going` false: only when somebody comes back to it. */
export function useFresh(request, going = true) {
  useEffect(() => {
    const seen = () => document.hidden || request.reload();
    document.addEventListener("visibilitychange", seen);
    const timer = going ? setInterval(() => document.hidden || request.reload(), SECONDS * 1000) : null;
    return () => {
      document.removeEventListener("visibilitychange", seen);
      clearInterval(timer);
    };
  }, [request.reload, going]);
}
