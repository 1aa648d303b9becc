/** A run as its events tell it, with its log; a run that has ended is read once, without a stream. */

import { useEffect, useState } from "preact";
import { fetched, get } from "console/api";
import { follow } from "console/events";
import { LogLines } from "console/parts/log_lines";

const DRAW_MILLISECONDS = 400; // fast enough for eyes, and a busy log costs nothing
export const ENDED = ["completed", "failed", "cancelled", "interrupted", "held"];

/** `{run, lines, size, state, error}`; `state` is "live" or "waiting" while the run goes. */
export function useFollowedRun(id, first) {
  const [shown, setShown] = useState({ id, run: null, lines: new LogLines(), size: 0, state: null, error: null });
  useEffect(() => {
    if (!first) return undefined;
    const stop = new AbortController();
    const lines = new LogLines();
    let [run, state, error, timer] = [first, null, null, null];
    const draw = () => {
      timer = null;
      if (!stop.signal.aborted) setShown({ id, run, lines, size: lines.all.length, state, error });
    };
    const soon = () => { timer ??= setTimeout(draw, DRAW_MILLISECONDS); };
    if (ENDED.includes(first.status)) {
      fetched("GET", `/runs/${id}/logs`, { signal: stop.signal }).then((answer) => answer.text())
        .then((text) => { lines.add(text.split("\n").filter(Boolean)); draw(); }, (reason) => { error = reason; draw(); });
    } else {
      follow(`/runs/${id}/events`, {
        signal: stop.signal,
        onState: (now) => { state = now; soon(); },
        onEvent: ({ kind, data }) => {
          if (kind === "log") lines.add([data]);
          else run = { ...run, ...data, steps: data.steps?.length ? data.steps : run.steps };
          soon();
        },
      }).then(() => get(`/runs/${id}`, {}, { signal: stop.signal })).then((last) => { [run, state] = [last, null]; draw(); }, (reason) => { [state, error] = [null, reason]; draw(); });
    }
    return () => { stop.abort(); clearTimeout(timer); };
  }, [id, first?.run_id]);
  return shown.id === id ? shown : { ...shown, run: null, size: 0 };
}
