/** "As curl, as Python": how a program asks for what a screen shows. Tokens are never in it. */

import { html, useRef, useState } from "preact";
import { address } from "console/api";

const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

function curl({ method, path, query, body, json = JSON.stringify(body) }) {
  const lines = [`curl ${method === "GET" ? "" : `-X ${method} `}${quoted(location.origin + address(path, query))}`, `  -H "Authorization: Bearer $PENSTOCK_TOKEN"`];
  if (json !== undefined) lines.push(`  -H 'Content-Type: application/json'`, `  -d ${quoted(json)}`);
  return lines.join(" \\\n");
}

function python({ method, path, query, body, python: given }) {
  const head = `from service.client import Penstock\n\nclient = Penstock(${JSON.stringify(location.origin)}, token=os.environ["PENSTOCK_TOKEN"])\n`;
  if (given) return `import os\n\n${head}${given}`;
  const parts = [JSON.stringify(method), JSON.stringify(location.origin + address(path, query))];
  if (body !== undefined) parts.push(`json=${JSON.stringify(body)}`);
  return `import os\n\nimport httpx\n\nanswer = httpx.request(\n    ${parts.join(",\n    ")},\n    headers={"Authorization": f"Bearer {os.environ['PENSTOCK_TOKEN']}"},\n)\nanswer.raise_for_status()\nprint(answer.json())`;
}

/**
 * A button that opens the same request as a command and as a program. `request` is `{method, path, query, body, python}`;
 * `json` in place of `body` is its text, where numbers shall stay as they are.
 */
export function Snippet({ request, name = "As curl / Python" }) {
  const dialog = useRef(null);
  const [copied, setCopied] = useState(null);
  const asked = { method: "GET", ...request };
  const texts = [["curl", curl(asked)], ["Python", python(asked)]];
  const copy = async (name, text) => {
    await navigator.clipboard.writeText(text);
    setCopied(name);
  };
  return html`<button type="button" onClick=${() => { setCopied(null); dialog.current.showModal(); }}>${name}</button>
    <dialog ref=${dialog} aria-label="As curl or Python">
      ${texts.map(([name, text]) => html`<section>
        <header class="row"><h2>${name}</h2>
          <button type="button" onClick=${() => copy(name, text)}>${copied === name ? "Copied" : "Copy"}</button></header>
        <pre tabindex="0">${text}</pre>
      </section>`)}
      <form method="dialog"><button>Close</button></form>
    </dialog>`;
}
