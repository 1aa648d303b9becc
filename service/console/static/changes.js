/**
 * What changes in the installation: one stream for the whole tab, closed while nobody sees the page or asks. It goes on
 * where it ended, so that whoever comes back hears what changed meanwhile, and nothing is asked for otherwise.
 */

import { onReturn } from "console/connection";
import { follow } from "console/events";

const LINGER = 2000; // the next screen may listen soon
const listeners = new Set();
let opened = false;
let stop = null;
let last = null;

/**
 * Calls `listener` with each `[{pipeline, changed, deleted, run_id, status}]`, or with null if anything may have
 * changed. Listen before what is shown is read, and `open` when it is. Returns what ends that.
 */
export function onChanges(listener) {
  listeners.add(listener);
  return () => {
    listeners.delete(listener);
    setTimeout(look, LINGER);
  };
}

/** Opens the stream; `since` is where what is shown was read, if its answer says so. */
export function open(since) {
  opened = true;
  if (stop === null && since) last = since;
  look();
}

function look() {
  if (!listeners.size) opened = false;
  if (!opened || document.hidden) {
    stop?.abort();
    stop = null;
  } else if (stop === null) {
    stop = new AbortController();
    run(stop).catch(() => {});
  }
}

async function run(mine) {
  try {
    await follow("/events", {
      after: last,
      signal: mine.signal,
      onEvent: ({ id, kind, data }) => {
        if (id !== null) last = id;
        if (kind === "changed") tell(data.changes);
        else if (data.missed) tell(null);
      },
    });
  } finally {
    if (stop === mine) stop = null; // refused: the next who listens tries again
  }
}

function tell(changes) {
  for (const listener of [...listeners]) listener(changes);
}

document.addEventListener("visibilitychange", look);
onReturn(() => tell(null));
