/** A place to drop files, or to choose them; each is sent as it is, with its progress. */

import { html, useRef, useState } from "preact";
import { bytes } from "console/format";
import { address, ApiError, get } from "console/api";
import { Problem, Progress } from "console/parts/basics";
import { accessToken } from "console/session";

const MOST = 1000;

/** The error that an answer tells of, or that it tells of none, as what stands between may answer. */
function errorOf(request) {
  try {
    return JSON.parse(request.responseText).error;
  } catch {
    return { code: "UNREADABLE", message: `The upload was refused with ${request.status}. Is the file too large for what stands before the service?` };
  }
}

/** The name under which a file is kept: browsers and people write more into names than a path may hold, such as "orders (1).csv". */
export function storedName(name) {
  const simple = name.normalize("NFC").replace(/[^\p{L}\p{N}\p{M}._=-]+/gu, " ").replace(/ *\. */g, ".").replace(/^[. ]+|[. ]+$/g, "");
  return simple.includes(".") || !name.includes(".") ? simple || "file" : `file.${simple}`;
}

/** Sends a file; `onProgress` gets a share. `fetch` cannot tell how much of a body is sent. */
async function send(name, file, onProgress, signal) {
  const token = await accessToken();
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", address(`/files/${encodeURIComponent(name)}`));
    request.setRequestHeader("authorization", `Bearer ${token}`);
    request.setRequestHeader("content-type", "application/octet-stream");
    request.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    request.onerror = () => reject(new ApiError(0, { code: "UNREACHABLE", message: "The connection was lost." }, null));
    request.onload = () => {
      if (request.status < 300) resolve(JSON.parse(request.responseText));
      else reject(new ApiError(request.status, errorOf(request), request.getResponseHeader("x-request-id")));
    };
    request.onabort = () => reject(null);
    signal.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}

/** Whether a file of this name may be sent: pipelines may read another one of it. */
async function mayReplace(name) {
  const { items } = await get("/files", { limit: MOST });
  return !items.some((one) => one.path === name) || window.confirm(`${name} was uploaded before. Replace it? Pipelines that read it get the new file at their next run.`);
}

/** `onDone` gets the path of each file that was stored. */
export function Drop({ onDone, children }) {
  const input = useRef(null);
  const [over, setOver] = useState(false);
  const [sending, setSending] = useState(null);
  const [error, setError] = useState(null);
  const stop = useRef(null);
  const take = async (files) => {
    setError(null);
    stop.current = new AbortController();
    try {
      for (const file of files) {
        const name = storedName(file.name);
        if (!(await mayReplace(name))) continue;
        setSending({ name, size: file.size, share: 0 });
        const stored = await send(name, file, (share) => setSending({ name, size: file.size, share }), stop.current.signal);
        onDone(stored.path);
      }
    } catch (failed) {
      setError(failed);
    }
    setSending(null);
  };
  return html`<div class=${`drop ${over ? "over" : ""}`} onDragOver=${(event) => { event.preventDefault(); setOver(true); }} onDragLeave=${() => setOver(false)}
      onDrop=${(event) => { event.preventDefault(); setOver(false); take([...event.dataTransfer.files]); }}>
    <input ref=${input} class="visually-hidden" type="file" multiple tabindex="-1" aria-label="Files" onChange=${(event) => { take([...event.currentTarget.files]); }} />
    ${sending ? html`<p role="status">${sending.share < 1 ? "Sending" : "Storing"} ${sending.name} (${bytes(sending.size)})</p><${Progress} value=${sending.share * 100} label=${`Sending ${sending.name}`} /><div><button type="button" onClick=${() => stop.current.abort()}>Stop</button></div>`
      : html`<p>${children ?? "Drop files here"}, or <button type="button" onClick=${() => input.current.click()}>Choose files</button></p>`}
    <${Problem} error=${error} />
  </div>`;
}
