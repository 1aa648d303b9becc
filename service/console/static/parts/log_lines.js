/** The lines of a log, oldest first: kept as they came, read when somebody looks at them, however many there are. */

const LEVELS = ["debug", "info", "warning", "error", "critical"];
const HIDDEN = ["time", "level", "event", "run_id", "pipeline", "request_id", "step", "message", "code"];

export class LogLines {
  constructor() {
    this.all = [];
    this.shown = this.all;
    this.words = "";
    this.least = "";
  }

  /** `lines` are records, or their JSON. */
  add(lines) {
    for (const line of lines) this.all.push(line);
    if (this.shown !== this.all) for (const line of lines) if (this.fits(line)) this.shown.push(line);
  }

  /** Shows only lines with these words and of this level at least. */
  filter(words, least) {
    if (words.toLowerCase() === this.words && least === this.least) return;
    [this.words, this.least] = [words.toLowerCase(), least];
    this.shown = words || least ? this.all.filter((line) => this.fits(line)) : this.all;
  }

  fits(line) {
    const json = typeof line === "string" ? line : JSON.stringify(line);
    if (this.words && !json.toLowerCase().includes(this.words)) return false;
    return !this.least || LEVELS.indexOf(/"level":"(\w+)"/.exec(json)?.[1] ?? "info") >= LEVELS.indexOf(this.least);
  }
}

export const record = (line) => {
  if (typeof line !== "string") return line;
  try {
    return JSON.parse(line);
  } catch {
    return { time: "", level: "info", message: line };
  }
};

/** A record in one line: what happened and where, then its other fields. */
export function text(found) {
  const rest = Object.entries(found).filter(([name]) => !HIDDEN.includes(name));
  const words = rest.map(([name, value]) => `${name}=${typeof value === "object" ? JSON.stringify(value) : value}`);
  return [found.event, found.step, found.code, found.message, ...words].filter(Boolean).join("  ");
}
