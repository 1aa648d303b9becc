/** Accounts, API keys, the audit log, and the own password. */

import { html, useRef, useState } from "preact";
import { call, get, post, useAction, useApi } from "console/api";
import { cell, instant } from "console/format";
import { ActionButton, Empty, Loaded, Problem, Tabs, Time, Title } from "console/parts/basics";
import { Snippet } from "console/parts/snippet";
import { Link, setQuery, to, useLocation } from "console/router";
import { currentUser, may } from "console/session";

const ROLES = ["viewer", "operator", "admin"];
const TABS = [["keys", "API keys", "viewer"], ["password", "Password", "viewer"], ["users", "Users", "admin"], ["audit", "Audit log", "admin"]];

export default function Accounts({ tab }) {
  const shown = tab ?? (may("admin") ? "users" : "keys");
  const Part = { users: Users, keys: Keys, audit: Audit, password: Password }[shown] ?? Keys;
  return html`<main id="main"><${Title} text="Accounts" />
    <${Tabs} label="Parts">${TABS.filter(([, , role]) => may(role)).map(([key, text]) => html`<${Link} href=${to(["accounts", key])} aria-current=${shown === key ? "page" : null}>${text}<//>`)}<//>
    <${Part} /></main>`;
}

/** A button that opens a form in a dialog; `save` gets the form's data and resolves to what to show, or nothing. */
function FormDialog({ text, title, save, children }) {
  const dialog = useRef(null);
  const [shown, setShown] = useState(null);
  const action = useAction(async (form) => {
    const found = await save(new FormData(form));
    if (found) setShown(found);
    else dialog.current.close();
  });
  return html`<button type="button" class="primary" onClick=${() => { setShown(null); action.clear(); dialog.current.showModal(); }}>${text}</button>
    <dialog ref=${dialog} aria-label=${title ?? text}><h2>${title ?? text}</h2>
      ${shown ? html`${shown}<form method="dialog"><button>Close</button></form>` : html`<form class="stack" onSubmit=${(event) => { event.preventDefault(); action.run(event.currentTarget); }}>
        ${children}<${Problem} error=${action.error} />
        <div class="row"><button class="primary" disabled=${action.busy}>${text}</button><button type="button" onClick=${() => dialog.current.close()}>Cancel</button></div></form>`}
    </dialog>`;
}

function Users() {
  const request = useApi("/users", { limit: 1000 });
  const change = useAction(async (name, what) => { await call(what ? "PATCH" : "DELETE", `/users/${encodeURIComponent(name)}`, { body: what }); request.reload(); });
  return html`<div class="row spread"><p class="quiet">A viewer reads, an operator also changes and runs, an admin does all.</p><div class="row"><${Snippet} request=${{ path: "/users" }} />
      <${FormDialog} text="New user" save=${async (form) => { await post("/users", Object.fromEntries(form)); request.reload(); }}>
        <label>User name <input name="username" required autocomplete="off" /></label>
        <label>Password <input name="password" type="password" minlength="12" required autocomplete="new-password" /><span class="quiet">12 characters at least</span></label>
        <label>Role <select name="role">${ROLES.map((role) => html`<option>${role}</option>`)}</select></label><//></div></div>
    <${Problem} error=${change.error} />
    <${Loaded} request=${request}>${(data) => html`<div class="scroll"><table class="cards"><caption class="visually-hidden">Users</caption><thead><tr><th>User name</th><th>Role</th><th>Made</th><th><span class="visually-hidden">Actions</span></th></tr></thead>
      <tbody>${data.items.map((user) => html`<tr key=${user.username}><td class="whole">${user.username}${user.disabled && html` <span class="tag">disabled</span>`}${user.username === currentUser().username && html` <span class="tag">you</span>`}</td>
        <td data-label="Role"><select aria-label=${`Role of ${user.username}`} value=${user.role} disabled=${change.busy} onChange=${(event) => change.run(user.username, { role: event.currentTarget.value })}>${ROLES.map((role) => html`<option>${role}</option>`)}</select></td>
        <td data-label="Made"><${Time} at=${user.created} /></td>
        <td><div class="row actions"><${ActionButton} action=${{ busy: change.busy, run: () => change.run(user.username, { disabled: !user.disabled }) }}>${user.disabled ? "Enable" : "Disable"}<//>
          <${ActionButton} action=${{ busy: change.busy, run: () => change.run(user.username) }} kind="danger" confirm=${`Delete ${user.username}? The pipelines pass to the admins, the keys stop working.`} aria-label=${`Delete ${user.username}`}>Delete<//></div></td></tr>`)}</tbody></table></div>`}<//>`;
}

const list = (text) => text.split(/[\s,]+/).filter(Boolean);

function Keys() {
  const request = useApi("/keys", { limit: 1000 });
  const remove = useAction(async (id) => { await call("DELETE", `/keys/${id}`); request.reload(); });
  const save = async (form) => {
    const body = { name: form.get("name"), role: form.get("role") };
    for (const name of ["pipelines", "queries"]) if (form.get(name).trim()) body[name] = list(form.get(name));
    if (form.get("expires")) body.expires = new Date(form.get("expires")).toISOString();
    const made = await post("/keys", body);
    request.reload();
    return html`<p>The key is shown this once. Keep it now:</p><pre tabindex="0">${made.key}</pre>`;
  };
  return html`<div class="row spread"><p class="quiet">A program shows a key instead of a password. It may do what you may, or less.</p><div class="row"><${Snippet} request=${{ path: "/keys" }} />
      <${FormDialog} text="New key" save=${save}>
        <label>Name <input name="name" required placeholder="What uses it" /></label>
        <label>Role <select name="role">${ROLES.filter((role) => may(role)).map((role) => html`<option>${role}</option>`)}</select></label>
        <label>Only these pipelines <input name="pipelines" placeholder="all; or patterns such as sales-*" /></label>
        <label>Only these saved queries <input name="queries" placeholder="no bound" /></label>
        <label>Ends <input name="expires" type="datetime-local" /></label><//></div></div>
    <${Problem} error=${remove.error} />
    <${Loaded} request=${request}>${(data) => (data.total === 0 ? html`<${Empty} title="No keys"><p>A new one lets a program in.</p><//>` : html`<div class="scroll"><table class="cards"><caption class="visually-hidden">API keys</caption>
      <thead><tr><th>Name</th><th>Begins with</th><th>Role</th><th>Bounds</th><th>Last used</th><th>Ends</th><th><span class="visually-hidden">Actions</span></th></tr></thead>
      <tbody>${data.items.map((key) => html`<tr key=${key.id}><td class="whole">${key.name}${key.owner && key.owner !== currentUser().username && html` <span class="quiet">of ${key.owner}</span>`}</td><td><code>${key.prefix}…</code></td><td data-label="Role">${key.role ?? "as its owner"}</td>
        <td>${["pipelines", "queries"].map((name) => key[name] && html`<div>${name}: <code>${key[name].join(", ")}</code></div>`)}${key.row_filter && html`<div>rows: <code>${cell(key.row_filter)}</code></div>`}</td>
        <td data-label="Used"><${Time} at=${key.last_used} /></td><td data-label="Ends"><${Time} at=${key.expires} /></td>
        <td><div class="row actions"><${ActionButton} action=${{ busy: remove.busy, run: () => remove.run(key.id) }} kind="danger" confirm=${`Remove the key ${key.name}? What uses it is refused from then on.`} aria-label=${`Remove the key ${key.name}`}>Remove<//></div></td></tr>`)}</tbody></table></div>`)}<//>`;
}

function Password() {
  const [done, setDone] = useState(false);
  const change = useAction(async (form) => {
    await post("/auth/password", { old: form.get("old"), new: form.get("new") });
    setDone(true);
  });
  return html`<form class="card sign-in" onSubmit=${(event) => { event.preventDefault(); change.run(new FormData(event.currentTarget)); }}>
    <h2>Change the password of ${currentUser().username}</h2>
    <label>Present password <input name="old" type="password" required autocomplete="current-password" /></label>
    <label>New password <input name="new" type="password" minlength="12" required autocomplete="new-password" /><span class="quiet">12 characters at least</span></label>
    <button class="primary" disabled=${change.busy}>Change</button>
    ${done && html`<p role="status">Changed. Other sessions of yours have ended.</p>`}<${Problem} error=${change.error} /></form>`;
}

function Audit() {
  const { query } = useLocation();
  const wanted = { actor: query.get("actor"), action: query.get("action"), since: query.get("since") };
  const request = useApi("/audit", { ...wanted, limit: 100 });
  const [more, setMore] = useState({ key: null, items: [], next: undefined });
  const key = JSON.stringify(wanted);
  const known = more.key === key ? more : { items: [], next: undefined };
  const next = known.next === undefined ? request.data?.next : known.next;
  const older = useAction(async () => {
    const page = await get("/audit", { ...wanted, limit: 100, cursor: next });
    setMore({ key, items: [...known.items, ...page.items], next: page.next });
  });
  return html`<form class="row" role="search" onSubmit=${(event) => { event.preventDefault(); setQuery(Object.fromEntries(new FormData(event.currentTarget)), { replace: false }); }}>
      <label class="inline">Who <input name="actor" value=${wanted.actor ?? ""} /></label><label class="inline">What <input name="action" value=${wanted.action ?? ""} placeholder="such as user or user.create" /></label>
      <label class="inline">Since <input name="since" value=${wanted.since ?? ""} placeholder="2026-01-31T00:00:00Z" /></label><button>Show</button><${Snippet} request=${{ path: "/audit", query: wanted }} /></form>
    <${Loaded} request=${request}>${(data) => html`<div class="scroll" tabindex="0" role="region" aria-label="Events"><table class="cards"><caption class="visually-hidden">Events, newest first</caption><thead><tr><th>When</th><th>Who</th><th>What</th><th>On</th><th>Outcome</th><th>From</th></tr></thead>
      <tbody>${[...data.items, ...known.items].map((event) => html`<tr key=${`${event.chain}-${event.n}`}><td>${instant(event.time)}</td><td data-label="Who">${event.actor ?? "–"}</td><td data-label="What"><code>${event.action}</code></td>
        <td class="whole">${event.object ?? ""}${event.details && html` <span class="quiet">${cell(event.details)}</span>`}</td><td data-label="Outcome" class=${event.outcome === "ok" ? "" : "late"}>${event.outcome}${event.code ? ` ${event.code}` : ""}</td><td data-label="From">${event.address ?? "–"}</td></tr>`)}</tbody></table></div>
      <${Problem} error=${older.error} />${next && html`<div><${ActionButton} action=${older}>Older<//></div>`}`}<//>`;
}
