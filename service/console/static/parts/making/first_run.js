/** The first run of a new pipeline as it goes on; when it has ended well, its profile is next. */

import { html, useEffect, useState } from "preact";
import { follow } from "console/events";
import { count } from "console/format";
import { Problem, Progress } from "console/parts/basics";
import { go, Link, to } from "console/router";

const PHASES = { collecting: "Collecting", processing: "Cleaning and checking", storing: "Storing" };

export function FirstRun({ name, run: first }) {
  const [run, setRun] = useState(first);
  useEffect(() => {
    const stop = new AbortController();
    follow(`/runs/${first.run_id}/events`, {
      signal: stop.signal,
      onEvent: ({ kind, data }) => {
        if (kind === "log") return;
        setRun((before) => ({ ...before, ...data }));
        if (kind === "end" && data.status === "completed") go(to(["pipelines", name, "profile"]), { replace: true });
      },
    }).catch(() => go(to(["runs", first.run_id]), { replace: true }));
    return () => stop.abort();
  }, [first.run_id]);
  const failed = ["failed", "cancelled", "interrupted"].includes(run.status);
  return html`<section class="card" aria-label="First run"><h2>${failed ? "The first run did not succeed" : `${name} runs for the first time`}</h2>
    ${!failed && html`<${Progress} value=${run.progress ?? 0} label="Progress of the first run" />
      <p class="quiet" role="status">${PHASES[run.phase] ?? "Waiting for its turn"} … ${run.rows_collected ? `${count(run.rows_collected)} rows collected` : ""}</p>`}
    ${run.error && html`<${Problem} error=${{ ...run.error, problems: [{ field: run.error.details?.step ?? run.error.details?.field, message: run.error.message }] }} />`}
    ${failed && html`<div class="row"><${Link} class="button primary" href=${to(["pipelines", name, "configuration"])}>Change the configuration<//><${Link} class="button" href=${to(["runs", first.run_id])}>See the run<//></div>`}
  </section>`;
}
