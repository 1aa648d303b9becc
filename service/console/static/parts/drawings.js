/** Small drawings in SVG: rows over versions, durations of runs. Each has its figures as text, too. */

import { html } from "preact";
import { compact, count, duration } from "console/format";

/** A line of values, oldest first; `label` says what they are. */
export function Sparkline({ values, label, width = 96, height = 24 }) {
  const known = values.filter((value) => value !== null && value !== undefined);
  if (known.length < 2) return html`<span class="quiet">${known.length ? compact(known[0]) : "–"}</span>`;
  const low = Math.min(...known);
  const span = Math.max(...known) - low || 1;
  const step = (width - 4) / (known.length - 1);
  const points = known.map((value, place) => `${(2 + place * step).toFixed(1)},${(height - 3 - ((value - low) / span) * (height - 6)).toFixed(1)}`);
  const [x, y] = points.at(-1).split(",");
  const text = `${label} over ${known.length} versions: from ${count(known[0])} to ${count(known.at(-1))}`;
  return html`<svg class="sparkline" width=${width} height=${height} viewBox="0 0 ${width} ${height}" role="img" aria-label=${text}>
    <title>${text}</title>
    <polyline points=${points.join(" ")} />
    <circle cx=${x} cy=${y} r="2" />
  </svg>`;
}

const HEIGHT = 22;
const STATUSES = ["completed", "failed", "interrupted", "held", "cancelled", "running", "queued", "retrying"];

/** Runs, newest first, as one small picture: a bar each, oldest first, one shape for each status. */
export function MiniBars({ runs, label }) {
  if (!runs.length) return html`<span class="quiet">–</span>`;
  const longest = Math.max(...runs.map((run) => run.duration ?? 0), 0.001);
  const shapes = {};
  const numbers = {};
  runs.toReversed().forEach((run, place) => {
    const size = Math.max(4, ((run.duration ?? 0) / longest) * HEIGHT).toFixed(1);
    shapes[run.status] = `${shapes[run.status] ?? ""}M${place * 6} ${HEIGHT}v-${size}h4v${size}z`;
    numbers[run.status] = (numbers[run.status] ?? 0) + 1;
  });
  const shown = STATUSES.filter((status) => shapes[status]);
  const text = `${label}: ${shown.map((status) => `${numbers[status]} ${status}`).join(", ")}`;
  return html`<svg class="mini-bars" width=${runs.length * 6} height=${HEIGHT} viewBox="0 0 ${runs.length * 6} ${HEIGHT}" role="img" aria-label=${text}>
    <title>${text}</title>
    ${shown.map((status) => html`<path class="bar-${status}" d=${shapes[status]} />`)}
  </svg>`;
}
