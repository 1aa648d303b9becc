/** When a pipeline runs, in plain words; what they cannot say is written as five fields of cron. */

import { html } from "preact";
import { Draft } from "console/parts/draft";

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const KINDS = [["", "Only when I ask"], ["minutes", "Every 15 minutes"], ["hour", "Every hour"], ["day", "Every day"], ["workday", "Monday to Friday"], ["week", "Every week"], ["month", "Every month"], ["own", "Other times (cron)"]];

/** The words for a cron text: `{kind, time, day}`. */
function read(cron) {
  if (!cron) return { kind: "" };
  if (cron === "*/15 * * * *") return { kind: "minutes" };
  if (cron === "@hourly" || cron === "0 * * * *") return { kind: "hour" };
  const found = /^(\d{1,2}) (\d{1,2}) (\*|\d{1,2}) \* (\*|1-5|MON-FRI|[0-6])$/i.exec(cron);
  if (!found) return { kind: "own" };
  const [, minute, hour, date, day] = found;
  const time = `${hour.padStart(2, "0")}:${minute.padStart(2, "0")}`;
  if (date !== "*") return day === "*" ? { kind: "month", time, day: date } : { kind: "own" };
  if (day === "*") return { kind: "day", time };
  return day.length > 1 ? { kind: "workday", time } : { kind: "week", time, day };
}

function written({ kind, time = "06:00", day }) {
  const [hour, minute] = time.split(":").map(Number);
  const at = `${minute} ${hour}`;
  return { "": null, minutes: "*/15 * * * *", hour: "@hourly", day: `${at} * * *`, workday: `${at} * * 1-5`, week: `${at} * * ${day ?? 1}`, month: `${at} ${day ?? 1} * *`, own: `${at} * * *` }[kind];
}

const own = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

/** `value` is a `schedule` of a configuration or null. */
export function ScheduleChoice({ value, onChange, forced, onKind }) {
  const now = read(value?.cron);
  const kind = forced ?? now.kind;
  const change = (what) => {
    const cron = written({ ...now, ...what });
    onChange(cron === null ? null : { timezone: own, ...value, cron });
  };
  const choose = (event) => {
    const next = event.currentTarget.value;
    onKind?.(next === "own" ? "own" : null);
    change({ kind: next, day: undefined });
  };
  return html`<div class="row schedule"><label>When it runs <select value=${kind} onChange=${choose}>${KINDS.map(([key, words]) => html`<option value=${key}>${words}</option>`)}</select></label>
    ${kind === "week" && html`<label>On <select value=${now.day} onChange=${(event) => change({ day: event.currentTarget.value })}>${DAYS.map((day, place) => html`<option value=${String(place)}>${day}</option>`)}</select></label>`}
    ${kind === "month" && html`<label>On day <${Draft} type="number" min="1" max="28" value=${now.day} onTake=${(text) => change({ day: String(Math.min(Math.max(Math.trunc(Number(text)), 1), 28)) })} /></label>`}
    ${["day", "workday", "week", "month"].includes(kind) && html`<label>At <${Draft} type="time" value=${now.time} onTake=${(time) => time && change({ time })} /></label>`}
    ${kind === "own" && html`<label>Minute, hour, day, month, weekday <${Draft} class="mono" value=${value?.cron} placeholder="0 6 * * MON-FRI" onTake=${(cron) => onChange({ timezone: own, ...value, cron })} /></label>`}
    ${value && html`<span class="quiet">by the clock of ${value.timezone ?? "UTC"}</span>`}</div>`;
}
