/** Signing in with a name and a password; the address stays, so that it leads to where somebody wanted to go. */

import { html, useEffect, useState } from "preact";
import { UNREACHABLE } from "console/api";
import { silent } from "console/connection";
import { Problem, Title } from "console/parts/basics";
import { signIn } from "console/session";

/** `refused` is the error of a one-time link that led here. */
export function SignIn({ refused }) {
  const [error, setError] = useState(refused);
  const [busy, setBusy] = useState(false);
  const [wait, setWait] = useCountdown();
  const submit = async (event) => {
    event.preventDefault();
    const form = event.currentTarget;
    const given = new FormData(form);
    setBusy(true);
    try {
      const refused = await signIn(given.get("username"), given.get("password"));
      setError(refused);
      setWait(refused?.wait ?? 0);
      if (refused) form.elements.password.select();
    } catch {
      silent();
      setError(UNREACHABLE);
    }
    setBusy(false);
  };
  return html`<main id="main" class="sign-in">
    <${Title} text="Sign in to Penstock" />
    <form onSubmit=${submit}>
      <label>User name <input name="username" autocomplete="username" autocapitalize="none" spellcheck="false" required autofocus /></label>
      <label>Password <input name="password" type="password" autocomplete="current-password" required /></label>
      <button class="primary" disabled=${busy || wait > 0} aria-busy=${busy}>${wait > 0 ? `Wait ${wait} s` : "Sign in"}</button>
      <${Problem} error=${error} />
    </form>
    <p class="quiet">The first start of the service prints the password of the account <code>admin</code>.</p>
  </main>`;
}

/** Seconds that go down to 0. */
function useCountdown() {
  const [left, setLeft] = useState(0);
  useEffect(() => {
    if (left <= 0) return undefined;
    const timer = setTimeout(() => setLeft(left - 1), 1000);
    return () => clearTimeout(timer);
  }, [left]);
  return [left, setLeft];
}
