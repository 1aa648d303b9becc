/** The answer to what the address asks: read once, kept while one looks at its rows, its chart and its plan. */

import { useEffect, useRef, useState } from "preact";
import { call } from "console/api";
import { remember } from "console/parts/sql/history";
import { addressOf, request } from "console/parts/sql/asked";

const KEPT = 3;
const NOTHING = { answer: null, error: null, busy: false, stopped: false };

/**
 * `{answer, error, busy, stopped, stop, again}` for `asked` (null: nothing is asked yet). `again` asks anew. Another
 * question, or leaving the screen, stops the one that runs: the service then stops its statement.
 */
export function useAnswer(asked) {
  const key = asked === null ? null : addressOf({ ...asked, view: asked.view === "chart" ? "rows" : asked.view });
  const kept = useRef(new Map()).current;
  const [round, setRound] = useState(0);
  const [state, setState] = useState({ key: null, ...NOTHING });
  const running = useRef(null);
  useEffect(() => {
    if (key === null) { setState({ key, ...NOTHING }); return undefined; }
    if (kept.has(key)) { setState({ key, ...NOTHING, answer: kept.get(key) }); return undefined; }
    const stop = new AbortController();
    let left = false;
    running.current = stop;
    setState((before) => ({ ...NOTHING, key, answer: before.answer, busy: true }));
    ask(asked, key, stop.signal).then(
      (answer) => {
        kept.set(key, answer);
        if (kept.size > KEPT) kept.delete(kept.keys().next().value);
        remember(asked, { rows: answer.rows.length, milliseconds: answer.milliseconds });
        setState({ key, ...NOTHING, answer });
      },
      (error) => {
        if (left) return;
        if (!stop.signal.aborted) remember(asked, { failed: true });
        setState({ key, ...NOTHING, ...(stop.signal.aborted ? { stopped: true } : { error }) });
      },
    );
    return () => { left = true; stop.abort(); };
  }, [key, round]);
  const again = () => { kept.delete(key); setRound((before) => before + 1); };
  return { ...state, busy: state.busy || state.key !== key, stop: () => running.current?.abort(), again };
}

async function ask(asked, key, signal) {
  const began = performance.now();
  const [method, path, options] = request(asked);
  const found = await call(method, path, { ...options, signal });
  const names = found.columns.map((column) => column.name);
  const rows = found.data.map((row) => names.map((name) => row[name]));
  return { key: `${key} ${began}`, asked, columns: found.columns, rows, truncated: found.truncated, milliseconds: found.elapsed_ms };
}
