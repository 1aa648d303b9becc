/** Reads an address again when the service tells that what it shows has changed. */

import { useEffect } from "preact";
import { onChanges, open } from "console/changes";

const LEAST_PAUSE = 1000;

/**
 * Keeps what `useApi` read fresh. `going` false: only after the service was away. Or `{pipeline, parts}`: when that
 * pipeline, or one of these parts of one ("pipeline", "schedule", "runs", "versions"), changed. `read` may take the
 * changes and read only what they name.
 */
export function useFresh(request, going = true, read = request.reload) {
  const { pipeline = null, parts = null } = typeof going === "object" ? going : {};
  const since = request.data?.last_event_id;
  const ready = request.data !== null || request.error !== null;
  const wanted = parts?.join();
  useEffect(() => {
    const concerns = (change) => (pipeline === null || change.pipeline === pipeline) && (parts === null || change.changed.some((part) => parts.includes(part)));
    const [hear, end] = gathered(read);
    const leave = onChanges((changes) => {
      const found = changes?.filter(concerns) ?? null;
      if (found === null || (going !== false && found.length > 0)) hear(found);
    });
    return () => {
      leave();
      end();
    };
  }, [request.reload, going !== false, pipeline, wanted]);
  useEffect(() => { if (ready) open(since); }, [request.reload, ready]);
}

/** Calls `read` at once, and then at most once a second with all that came meanwhile; null stands for everything. */
function gathered(read) {
  let timer = null;
  let waiting = [];
  const now = () => {
    timer = null;
    if (waiting !== null && waiting.length === 0) return;
    const changes = waiting;
    waiting = [];
    timer = setTimeout(now, LEAST_PAUSE);
    read(changes);
  };
  const hear = (changes) => {
    waiting = changes === null || waiting === null ? null : [...waiting, ...changes];
    if (timer === null) now();
  };
  return [hear, () => clearTimeout(timer)];
}
