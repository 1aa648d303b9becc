/** The lines of a log, oldest first: kept as they came, read when somebody looks at them, however many there are. */

const LEVELS = ["debug", "info", "warning", "error", "critical"];
const HIDDEN = ["time", "level", "event", "run_id", "pipeline", "request_id", "step", "message", "code"];

export class LogLines {
  constructor() {
    this.all = [];
    this.shown = this.all;
    this.words = "";
    this.least = "";
    this.read = []; // what was searched once: the level and the text of each line
  }

  /** `lines` are records, or their JSON. */
  add(lines) {
    const first = this.all.length;
    for (const line of lines) this.all.push(line);
    if (this.shown !== this.all) lines.forEach((line, place) => this.fits(first + place) && this.shown.push(line));
  }

  /** Shows only lines with these words and of this level at least. */
  filter(words, least) {
    if (words.toLowerCase() === this.words && least === this.least) return;
    [this.words, this.least] = [words.toLowerCase(), least];
    this.shown = words || least ? this.all.filter((_, place) => this.fits(place)) : this.all;
  }

  fits(place) {
    const [level, words] = this.read[place] ??= ((found) => [LEVELS.indexOf(found.level), text(found).toLowerCase()])(record(this.all[place]));
    return level >= LEVELS.indexOf(this.least) && words.includes(this.words);
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
