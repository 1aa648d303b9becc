import { html } from "preact";
import { Title } from "console/parts/basics";

export default function Screen() {
  return html`<main id="main"><${Title} text="sql" /></main>`;
}
