/** A configuration as a document and as text, in YAML or JSON. */

import { dump, load } from "yaml";

/** As YAML; references would hide what a line means. */
export const asYaml = (value) => dump(value, { noRefs: true, lineWidth: 110 });

/** The document that a text holds, or undefined if it cannot be read. */
export function parsed(text) {
  try {
    const found = load(text);
    return found !== null && typeof found === "object" ? found : undefined;
  } catch {
    return undefined;
  }
}
