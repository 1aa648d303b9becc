/** Numbers, sizes and times as people read them, in the language of their browser. */

const whole = new Intl.NumberFormat();
const short = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

export const NONE = "–";

export const count = (value) => (value === null || value === undefined ? NONE : whole.format(value));
/** A number of things: "1 row", "2 rows". */
export const counted = (value, noun, many = `${noun}s`) => `${count(value)} ${value === 1 ? noun : many}`;
export const compact = (value) => (value === null || value === undefined ? NONE : short.format(value));

export function bytes(value) {
  if (value === null || value === undefined) return NONE;
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let power = 0;
  let rest = value;
  while (rest >= 1024 && power < units.length - 1) {
    rest /= 1024;
    power += 1;
  }
  return `${power && rest < 10 ? rest.toFixed(1) : Math.round(rest)} ${units[power]}`;
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return NONE;
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}

/** How long ago, or in how long, an instant is; `now` in milliseconds. */
export function ago(time, now = Date.now()) {
  if (!time) return NONE;
  const seconds = (new Date(time).getTime() - now) / 1000;
  const [unit, size] = UNITS.find(([, length]) => Math.abs(seconds) >= length) ?? UNITS.at(-1);
  return relative.format(Math.round(seconds / size), unit);
}

export const instant = (time) => (time ? exact.format(new Date(time)) : NONE);
export const percent = (share) => (share === null || share === undefined ? NONE : `${+(share * 100).toPrecision(3)} %`);

/** Words of the service as a sentence; a name at the beginning, such as that of a file, stays as it is. */
export const sentence = (words) => words.replace(/^[a-z]+(?=[ ,;'])/, (word) => word[0].toUpperCase() + word.slice(1));

/** A cell's value as text: what a person sees and what a copy holds. */
export function cell(value) {
  if (value === null || value === undefined) return "";
  return typeof value === "object" ? JSON.stringify(value, (_, inner) => (typeof inner === "bigint" ? JSON.rawJSON?.(inner) ?? String(inner) : inner)) : String(value);
}
