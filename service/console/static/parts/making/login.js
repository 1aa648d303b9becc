/** How an address asks who calls: a token, a name and password, or a key. Secrets are named, not written. */

import { html } from "preact";

const KINDS = [["", "nobody needs to sign in"], ["bearer", "a token (Bearer)"], ["basic", "a user name and a password"], ["api_key", "a key in a header or in the address"]];
const FIRST = { bearer: { type: "bearer", token: "" }, basic: { type: "basic", username: "", password: "" }, api_key: { type: "api_key", key: "", name: "X-Api-Key", in: "header" } };

/** `value` is an `auth` of the api collector or null. */
export function Login({ value, onChange, open = false }) {
  const field = (name, label, kind = "text") => html`<label>${label} <input type=${kind} autocomplete="off" value=${value[name]} placeholder=${kind === "password" ? "${SHOP_TOKEN}" : ""} onInput=${(event) => onChange({ ...value, [name]: event.currentTarget.value })} /></label>`;
  return html`<details open=${open || value !== null}><summary>It needs a login</summary><div class="stack">
    <label>Who may read it <select value=${value?.type ?? ""} onChange=${(event) => onChange(FIRST[event.currentTarget.value] ?? null)}>${KINDS.map(([kind, words]) => html`<option value=${kind}>${words}</option>`)}</select></label>
    ${value?.type === "bearer" && field("token", "Token", "password")}
    ${value?.type === "basic" && html`${field("username", "User name")}${field("password", "Password", "password")}`}
    ${value?.type === "api_key" && html`${field("name", "Name")}${field("key", "Key", "password")}
      <label>Sent in <select value=${value.in} onChange=${(event) => onChange({ ...value, in: event.currentTarget.value })}><option value="header">a header</option><option value="query">the address</option></select></label>`}
    ${value && html`<p class="quiet hint">Better than the secret itself is its name, such as <code>${"${SHOP_TOKEN}"}</code>: the operator sets it as <code>PENSTOCK_SECRET_SHOP_TOKEN</code>, and it is in no configuration.</p>`}
  </div></details>`;
}
