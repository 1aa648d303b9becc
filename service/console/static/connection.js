/** Whether the service answers. While it does not, one small question after the other finds out when it is back. */

const LONGEST_WAIT = 8000;
const listeners = new Set();
const returns = new Set();
let state = "up";
let timer = null;

/** "up", "away" (nothing answers), or "starting". */
export const connection = () => state;

/** Calls `listener` when that changes; returns what ends that. */
export function onConnection(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Calls `listener` when the service is back. */
export function onReturn(listener) {
  returns.add(listener);
}

/** What a request found: the service answered it. */
export function answered() {
  if (state !== "up") become("up");
}

/** What a request found: nothing answers, or the service is starting. */
export function silent(found = "away") {
  if (state !== found) become(found);
}

function become(next) {
  const before = state;
  state = next;
  clearTimeout(timer);
  for (const listener of [...listeners]) listener();
  if (next !== "up") probe(1000);
  else if (before !== "up") for (const listener of [...returns]) listener();
}

function probe(wait) {
  timer = setTimeout(async () => {
    if (document.hidden) return probe(wait);
    const found = await asked();
    if (found !== state) become(found);
    else probe(Math.min(wait * 2, LONGEST_WAIT));
  }, wait);
}

async function asked() {
  try {
    const answer = await fetch("/health/ready", { cache: "no-store" });
    const starting = answer.status === 503 && (await answer.json()).checks?.start !== undefined;
    return starting ? "starting" : "up";
  } catch {
    return "away";
  }
}
