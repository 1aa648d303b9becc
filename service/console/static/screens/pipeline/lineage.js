import { html } from "preact"; export default () => html`<p></p>`;
