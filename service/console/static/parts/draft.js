/** A field whose text is taken when somebody leaves it or presses Enter; what is drawn anew meanwhile does not touch it. */

import { html, useState } from "preact";

/** `onTake` gets the text; `tag` is `input` or `textarea`. */
export function Draft({ value, onTake, tag = "input", ...rest }) {
  const [draft, setDraft] = useState(null);
  const take = (event) => {
    setDraft(null);
    onTake(event.currentTarget.value);
  };
  return html`<${tag} ...${rest} value=${draft ?? value} onInput=${(event) => setDraft(event.currentTarget.value)} onChange=${take} />`;
}
