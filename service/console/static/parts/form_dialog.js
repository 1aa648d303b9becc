/** A form in a dialog, and a secret that is shown once. */

import { html, useRef, useState } from "preact";
import { useAction } from "console/api";
import { Problem } from "console/parts/basics";

/** A button that opens a form in a dialog; `save` gets the form's data and resolves to what to show, or nothing. */
export function FormDialog({ text, save, children }) {
  const dialog = useRef(null);
  const form = useRef(null);
  const [shown, setShown] = useState(null);
  const action = useAction(async (given) => {
    const found = await save(new FormData(given));
    if (found) setShown(found);
    else dialog.current.close();
  });
  const open = () => {
    setShown(null);
    action.clear();
    form.current?.reset();
    dialog.current.showModal();
  };
  return html`<button type="button" class="primary" onClick=${open}>${text}</button>
    <dialog ref=${dialog} aria-label=${text} onClose=${() => setShown(null)}><h2>${text}</h2>
      ${shown ? html`${shown}<form method="dialog"><button>Close</button></form>` : html`<form ref=${form} class="stack" onSubmit=${(event) => { event.preventDefault(); action.run(event.currentTarget); }}>
        ${children}<${Problem} error=${action.error} />
        <div class="row"><button class="primary" disabled=${action.busy}>Save</button><button type="button" onClick=${() => dialog.current.close()}>Cancel</button></div></form>`}
    </dialog>`;
}

/** A secret that nobody can read again, with a button that copies it. */
export function Once({ text, children }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
  };
  return html`<p>${children}</p><pre class="secret" tabindex="0">${text}</pre>
    <div><button type="button" class="primary" onClick=${copy}>${copied ? "Copied" : "Copy"}</button></div>`;
}
