/** A link to what is shown, which stays with the version: whoever has the right to read it sees the same rows. */

import { html, useEffect, useRef, useState } from "preact";
import { copy } from "console/parts/clipboard";

export function Share({ version }) {
  const [told, setTold] = useState(null);
  const dialog = useRef(null);
  useEffect(() => setTold(null), [new URLSearchParams(location.search).toString()]);
  const link = () => {
    const url = new URL(location.href);
    url.searchParams.set("version", version);
    return url.href;
  };
  const share = async () => {
    try {
      await copy(link());
      setTold("Link copied");
    } catch {
      dialog.current.showModal();
    }
  };
  return html`<button type="button" onClick=${share} title=${`A link to these rows of version ${version}`}>${told ?? "Copy link"}</button><span class="visually-hidden" role="status">${told}</span>
    <dialog ref=${dialog} aria-label="Link"><h2>Link to version ${version}</h2><pre tabindex="0" class="secret">${link()}</pre><form method="dialog"><button>Close</button></form></dialog>`;
}
