/** Signing in with a name and a password. */

import { html, useState } from "preact";
import { Problem, Title } from "console/parts/basics";
import { signIn } from "console/session";

/** `refused` is the error of a one-time link that led here. */
export function SignIn({ refused }) {
  const [error, setError] = useState(refused);
  const [busy, setBusy] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setBusy(true);
    try {
      setError(await signIn(form.get("username"), form.get("password")));
    } catch {
      setError({ code: "UNREACHABLE", message: "The service does not answer. Is it running?" });
    }
    setBusy(false);
  };
  return html`<main id="main" class="sign-in">
    <${Title} text="Sign in to Penstock" />
    <form onSubmit=${submit}>
      <label>User name <input name="username" autocomplete="username" required autofocus /></label>
      <label>Password <input name="password" type="password" autocomplete="current-password" required /></label>
      <button class="primary" disabled=${busy}>Sign in</button>
      <${Problem} error=${error} />
    </form>
    <p class="quiet">The first start of the service prints the password of the account <code>admin</code>.</p>
  </main>`;
}
