/** Charts of a query's rows: lines over numbers and times by uPlot, bars over texts in SVG; drawn from all rows given. */

import { html, useEffect, useRef } from "preact";
import uPlot from "uplot";
import { compact, count } from "console/format";

const COLOURS = ["--accent", "--good", "--wait", "--bad", "--quiet"];
const colour = (place) => getComputedStyle(document.documentElement).getPropertyValue(COLOURS[place % COLOURS.length]);

/** `series` is `[{name, values}]`; `x` are numbers, or seconds where `time` is true. */
export function Lines({ x, series, time, label, height = 320 }) {
  const host = useRef(null);
  useEffect(() => {
    const probe = document.createElement("span");
    host.current.append(probe);
    const paint = (place) => { probe.style.color = colour(place); return getComputedStyle(probe).color; };
    probe.style.color = "var(--quiet)";
    const axis = { stroke: getComputedStyle(probe).color, grid: { stroke: "rgb(128 128 128 / 0.2)" }, ticks: { stroke: "rgb(128 128 128 / 0.3)" } };
    const chart = new uPlot({
      width: host.current.clientWidth, height, scales: { x: { time } },
      axes: [axis, { ...axis, values: (_, ticks) => ticks.map((tick) => compact(tick)), size: 64 }],
      series: [{ label: "x" }, ...series.map((one, place) => ({ label: one.name, stroke: paint(place), width: 1.5, points: { show: x.length < 100 } }))],
    }, [x, ...series.map((one) => one.values)], host.current);
    probe.remove();
    const observer = new ResizeObserver(() => chart.setSize({ width: host.current.clientWidth, height }));
    observer.observe(host.current);
    return () => { observer.disconnect(); chart.destroy(); };
  }, [x, series, time]);
  return html`<div class="chart" ref=${host} role="img" aria-label=${label}></div>`;
}

/** Bars of values over texts, the first `most` of them; each has its number as text. */
export function Bars({ names, values, label, most = 50 }) {
  const shown = values.slice(0, most);
  const largest = Math.max(...shown.map((value) => Math.abs(value ?? 0)), Number.MIN_VALUE);
  return html`<figure class="bars"><figcaption class="quiet">${label}${values.length > most ? `, the first ${most} of ${count(values.length)}` : ""}</figcaption>
    <table><tbody>${shown.map((value, place) => html`<tr><th scope="row"><div class="clip">${names[place] ?? "null"}</div></th>
      <td><svg width="100%" height="14" viewBox="0 0 100 14" preserveAspectRatio="none" aria-hidden="true"><rect class=${value < 0 ? "bar-failed" : "bar-running"} width=${(Math.abs(value ?? 0) / largest) * 100} height="14" /></svg></td>
      <td class="number">${value === null ? "–" : count(value)}</td></tr>`)}</tbody></table></figure>`;
}
