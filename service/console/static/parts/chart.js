/** Charts: lines and points over numbers and times by uPlot, bars over names in SVG; drawn from all rows given. */

import { html, useEffect, useRef } from "preact";
import uPlot from "uplot";
import { compact, count } from "console/format";

export const COLOURS = ["--accent", "--series-2", "--wait", "--series-4", "--good", "--bad", "--series-7", "--quiet"];

/** A colour of the style sheet as a canvas needs it. */
function resolved(host, name) {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  host.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

/** Times are shown as the service has them, in UTC. */
const tzDate = (time) => uPlot.tzDate(new Date(time * 1000), "Etc/UTC");

const [DAY, MONTH] = [86_400, 28 * 86_400];
const form = (options) => new Intl.DateTimeFormat(undefined, { timeZone: "UTC", ...options });
const [days, months, years, hours] = [form({ day: "numeric", month: "short" }), form({ month: "short", year: "numeric" }), form({ year: "numeric" }), form({ hour: "2-digit", minute: "2-digit" })];

/** The words at the steps of an axis of time; a day begins with its date. */
function moments(splits, step) {
  const word = (time) => (step >= 12 * MONTH ? years : step >= MONTH ? months : step >= DAY || time % DAY === 0 ? days : hours);
  return splits.map((time) => word(time).format(time * 1000));
}

function plot(host, { x, series, time, points, height }) {
  const axis = { stroke: resolved(host, "--quiet"), grid: { stroke: "rgb(128 128 128 / 0.2)" }, ticks: { stroke: "rgb(128 128 128 / 0.3)" } };
  const few = x.length < 100;
  return new uPlot({
    width: host.clientWidth, height, tzDate, scales: { x: { time } },
    axes: [time ? { ...axis, values: (_, splits, __, ___, step) => moments(splits, step) } : axis, { ...axis, values: (_, ticks) => ticks.map((tick) => compact(tick)), size: 64 }],
    series: [time ? { label: "at", value: "{YYYY}-{MM}-{DD} {HH}:{mm}" } : { label: "at" }, ...series.map((one, place) => {
      const stroke = resolved(host, COLOURS[place % COLOURS.length]);
      return {
        label: one.name, stroke, width: 1.75, value: (_, value) => count(value), ...(points ? { paths: () => null } : {}),
        points: { show: points || few, size: points ? 5 : 4, fill: stroke },
      };
    })],
  }, [x, ...series.map((one) => one.values)], host);
}

/**
 * `series` is `[{name, values}]`; `x` are numbers, or seconds where `time` is true; `points` draws no lines between.
 * `canvas` is a ref that gets the drawing.
 */
export function Lines({ x, series, time, points = false, label, canvas = null, height = 320 }) {
  const host = useRef(null);
  useEffect(() => {
    const element = host.current;
    let chart = plot(element, { x, series, time, points, height });
    const again = () => { chart.destroy(); chart = plot(element, { x, series, time, points, height }); if (canvas) canvas.current = chart.ctx.canvas; };
    if (canvas) canvas.current = chart.ctx.canvas;
    const observer = new ResizeObserver(() => chart.setSize({ width: element.clientWidth, height }));
    observer.observe(element);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", again);
    return () => { dark.removeEventListener("change", again); observer.disconnect(); chart.destroy(); };
  }, [x, series, time, points]);
  return html`<div class="chart" ref=${host} role="img" aria-label=${label}></div>`;
}

/** Bars over names, the first `most` of them, one for each of `series`; each has its number as text. */
export function Bars({ names, series, label, most = 50 }) {
  const values = series.flatMap((one) => one.values.slice(0, most));
  const largest = values.reduce((found, value) => Math.max(found, Math.abs(value ?? 0)), Number.MIN_VALUE);
  const one = series.length === 1;
  return html`<figure class="bars"><figcaption class="quiet">${label}${names.length > most ? `, the first ${most} of ${count(names.length)}` : ""}</figcaption>
    ${!one && html`<div class="legend">${series.map((part, place) => html`<span><${Swatch} place=${place} /> ${part.name}</span>`)}</div>`}
    <table class="slim"><caption class="visually-hidden">${label}</caption><tbody>${names.slice(0, most).map((name, row) => series.map((part, place) => html`<tr>
      ${place === 0 && html`<th scope="rowgroup" rowspan=${one ? null : series.length}><div class="clip">${name}</div></th>`}
      <td><svg width="100%" height=${one ? 14 : 8} viewBox="0 0 100 14" preserveAspectRatio="none" aria-hidden="true">
        <rect style=${{ fill: `var(${part.values[row] < 0 && one ? "--bad" : COLOURS[place]})` }} width=${(Math.abs(part.values[row] ?? 0) / largest) * 100} height="14" /></svg></td>
      <td class="number">${!one && html`<span class="visually-hidden">${part.name} </span>`}${part.values[row] === null ? "–" : count(part.values[row])}</td></tr>`))}</tbody></table></figure>`;
}

export const Swatch = ({ place }) => html`<svg width="10" height="10" aria-hidden="true"><rect width="10" height="10" rx="2" style=${{ fill: `var(${COLOURS[place % COLOURS.length]})` }} /></svg>`;
