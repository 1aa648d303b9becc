/** Server-sent events over `fetch`, since EventSource cannot send a token. A cut stream goes on where it ended. */

import { fetched } from "console/api";

const LONGEST_WAIT = 10_000;

/**
 * Follows a stream until its `end` event or `signal`, from the event `after` on. `onEvent` gets `{id, kind, data}` with
 * the data decoded; `onState` gets "live" or "waiting", for a mark that says so. While nobody sees the page it is closed:
 * a browser has six connections to a service for all its tabs, and streams in some of them would leave none.
 */
export async function follow(path, { after = null, onEvent, onState = () => {}, signal }) {
  let last = after;
  let wait = 500;
  while (!signal.aborted) {
    await sight(signal);
    const [unseen, leave] = untilHidden(signal);
    try {
      const headers = { accept: "text/event-stream", ...(last === null ? {} : { "last-event-id": last }) };
      const answer = await fetched("GET", path, { headers, signal: unseen });
      onState("live");
      for await (const event of events(answer.body)) {
        wait = 500;
        if (event.id !== null) last = event.id;
        onEvent(event);
        if (event.kind === "end") return;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error.status >= 400 && error.status < 500 && error.status !== 429) throw error;
    } finally {
      leave();
    }
    if (unseen.aborted) continue;
    onState("waiting");
    await pause(wait * (0.75 + Math.random() / 2), signal); // not all tabs at once
    wait = Math.min(wait * 2, LONGEST_WAIT);
  }
}

/** Resolves when somebody sees the page, or at the end of `signal`. */
const sight = (signal) =>
  new Promise((resolve) => {
    const look = () => {
      if (document.hidden && !signal.aborted) return;
      document.removeEventListener("visibilitychange", look);
      signal.removeEventListener("abort", look);
      resolve();
    };
    document.addEventListener("visibilitychange", look);
    signal.addEventListener("abort", look);
    look();
  });

/** A signal that ends with `signal`, and when nobody sees the page any more; and what takes its listeners away. */
function untilHidden(signal) {
  const stop = new AbortController();
  const look = () => (document.hidden || signal.aborted) && stop.abort();
  document.addEventListener("visibilitychange", look);
  signal.addEventListener("abort", look);
  return [stop.signal, () => {
    document.removeEventListener("visibilitychange", look);
    signal.removeEventListener("abort", look);
  }];
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    while (true) {
      const { done, value } = await reader.read();
      if (done) return;
      const blocks = (rest + value).split(/\r?\n\r?\n/);
      rest = blocks.pop();
      for (const block of blocks) {
        const event = parsed(block);
        if (event !== null) yield event;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function parsed(block) {
  let id = null;
  let kind = "message";
  const data = [];
  for (const line of block.split(/\r?\n/)) {
    if (line.startsWith("id:")) id = line.slice(3).trim();
    else if (line.startsWith("event:")) kind = line.slice(6).trim();
    else if (line.startsWith("data:")) data.push(line.slice(5).trimStart());
  }
  return data.length ? { id, kind, data: JSON.parse(data.join("\n")) } : null;
}

const pause = (milliseconds, signal) =>
  new Promise((resolve) => {
    const end = () => { clearTimeout(timer); signal.removeEventListener("abort", end); resolve(); };
    const timer = setTimeout(end, milliseconds);
    signal.addEventListener("abort", end);
  });
