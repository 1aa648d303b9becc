/** Server-sent events over `fetch`, since EventSource cannot send a token. A cut stream goes on where it ended. */

import { fetched } from "console/api";

const LONGEST_WAIT = 10_000;

/**
 * Follows a stream until its `end` event or `signal`, from the event `after` on. `onEvent` gets `{id, kind, data}` with
 * the data decoded; `onState` gets "live" or "waiting", for a mark that says so.
 */
export async function follow(path, { after = null, onEvent, onState = () => {}, signal }) {
  let last = after;
  let wait = 500;
  while (!signal.aborted) {
    try {
      const headers = { accept: "text/event-stream", ...(last === null ? {} : { "last-event-id": last }) };
      const answer = await fetched("GET", path, { headers, signal });
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
    }
    onState("waiting");
    await pause(wait * (0.75 + Math.random() / 2), signal); // not all tabs at once
    wait = Math.min(wait * 2, LONGEST_WAIT);
  }
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
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
  });
