/** What is known of a column, in its header: how its values are spread, what is missing, how many there are. */

import { html } from "preact";
import { compact, percent } from "console/format";
import { Shape } from "console/parts/distribution";

export function Figure({ column, figures, open }) {
  const known = figures.get(column.name);
  const type = column.type.toLowerCase();
  const rows = known?.profile ? known.profile.count + known.profile.missing : null;
  const told = known && [
    known.missing > 0 && (rows ? `${percent(known.missing / rows)} null` : `${compact(known.missing)} null`),
    known.distinct != null && `${known.about ? "≈ " : ""}${compact(known.distinct)} distinct`,
  ].filter(Boolean).join(", ");
  return html`<button type="button" class="plain figure" tabindex="-1" title=${`Figures of ${column.name}`} onClick=${open}>
    <span class="quiet type">${type.slice(0, 24)}</span>
    <span class="figure-line">${known?.profile && html`<${Shape} column=${known.profile} />`}<span class="clip">${told}</span></span></button>`;
}
