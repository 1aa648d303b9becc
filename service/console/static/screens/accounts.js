/** Accounts, API keys, the audit log, and the own password. */

import { html, useEffect, useRef, useState } from "preact";
import { call, get, post, useAction, useApi } from "console/api";
import { cell, instant } from "console/format";
import { ActionButton, Empty, Loaded, Problem, Tabs, Time, Title } from "console/parts/basics";
import { FormDialog, Once } from "console/parts/form_dialog";
import { Snippet } from "console/parts/snippet";
import { Link, setQuery, to, useLocation } from "console/router";
import { currentUser, may } from "console/session";

const ROLES = ["viewer", "operator", "admin"];
const TABS = [["keys", "API keys", "viewer"], ["password", "Password", "viewer"], ["users", "Users", "admin"], ["audit", "Audit log", "admin"]];
const PARTS = { users: Users, keys: Keys, audit: Audit, password: Password };

export default function Accounts({ tab }) {
  const shown = tab ?? (may("admin") ? "users" : "keys");
  const known = TABS.find(([key]) => key === shown);
  const Part = PARTS[shown];
  return html`<main id="main"><${Title} text="Accounts" />
    <${Tabs} label="Parts">${TABS.filter(([, , role]) => may(role)).map(([key, text]) => html`<${Link} href=${to(["accounts", key])} aria-current=${shown === key ? "page" : null}>${text}<//>`)}<//>
    ${!known ? html`<p>There is no part “${shown}” of the accounts.</p>`
      : !may(known[2]) ? html`<p>Only an admin sees this; you are ${currentUser().role === "operator" ? "an operator" : "a viewer"}. An admin can change your role.</p>`
      : html`<${Part} />`}</main>`;
}

const roles = (which) => which.map((role) => html`<option>${role}</option>`);

function Users() {
  const request = useApi("/users", { limit: 1000 });
  return html`<div class="row spread"><p class="quiet">A viewer reads, an operator also changes and runs, an admin does all.</p><div class="row"><${Snippet} request=${{ path: "/users" }} />
      <${FormDialog} text="New user" save=${async (form) => { await post("/users", Object.fromEntries(form)); request.reload(); }}>
        <label>User name <input name="username" required autocomplete="off" autocapitalize="none" spellcheck="false" /></label>
        <label>Password <input name="password" type="password" minlength="12" required autocomplete="new-password" /><span class="quiet small">12 characters at least</span></label>
        <label>Role <select name="role">${roles(ROLES)}</select></label><//></div></div>
    <${Loaded} request=${request}>${(data) => html`<div class="scroll" tabindex="0" role="region" aria-label="Users"><table class="cards"><caption class="visually-hidden">Users</caption><thead><tr><th>User name</th><th>Role</th><th>Made</th><th><span class="visually-hidden">Actions</span></th></tr></thead>
      <tbody>${data.items.map((user) => html`<${User} key=${user.username} user=${user} reload=${request.reload} />`)}</tbody></table></div>`}<//>`;
}

function User({ user, reload }) {
  const change = useAction(async (what) => {
    try {
      await call(what ? "PATCH" : "DELETE", `/users/${encodeURIComponent(user.username)}`, { body: what });
    } finally {
      reload(); // a refused change shows what holds
    }
  });
  const act = (what) => ({ busy: change.busy, run: () => change.run(what) });
  return html`<tr><td class="whole"><span class="name">${user.username}</span>${user.username === currentUser().username && html` <span class="tag">you</span>`}${user.disabled && html` <span class="tag">disabled</span>`}<${Problem} error=${change.error} /></td>
    <td data-label="Role"><select aria-label=${`Role of ${user.username}`} value=${user.role} disabled=${change.busy} onChange=${(event) => change.run({ role: event.currentTarget.value })}>${roles(ROLES)}</select></td>
    <td data-label="Made"><${Time} at=${user.created} /></td>
    <td class="whole"><div class="row actions"><${ActionButton} action=${act({ disabled: !user.disabled })} aria-label=${`${user.disabled ? "Enable" : "Disable"} ${user.username}`}>${user.disabled ? "Enable" : "Disable"}<//>
      <${ActionButton} action=${act()} kind="danger" confirm=${`Delete ${user.username}? The pipelines pass to the admins, the keys stop working.`} aria-label=${`Delete ${user.username}`}>Delete<//></div></td></tr>`;
}

const list = (text) => text.split(/[\s,]+/).filter(Boolean);

/** `table: condition` a line, as the filter of rows; a line without a colon is refused by name. */
function rowFilter(text) {
  const lines = text.split("\n").map((line) => line.trim()).filter(Boolean);
  const wrong = lines.find((line) => !/^[^:\s]+\s*:\s*\S/.test(line));
  if (wrong) throw Object.assign(new Error(`Write a table, a colon and a condition, such as orders: city = 'Bern'; not “${wrong}”.`), { code: "VALIDATION_ERROR" });
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf(":")).trim(), line.slice(line.indexOf(":") + 1).trim()]));
}

function Keys() {
  const request = useApi("/keys", { limit: 1000 });
  const save = async (form) => {
    const body = { name: form.get("name").trim() };
    if (form.get("role")) body.role = form.get("role");
    for (const name of ["pipelines", "queries"]) if (form.get(name).trim()) body[name] = list(form.get(name));
    if (form.get("row_filter").trim()) body.row_filter = rowFilter(form.get("row_filter"));
    if (form.get("rate")) body.rate_limit_per_minute = Number(form.get("rate"));
    if (form.get("expires")) body.expires = new Date(form.get("expires")).toISOString();
    const made = await post("/keys", body);
    request.reload();
    return html`<${Once} text=${made.key}>The key is shown this once. Keep it where the program finds it, and nowhere else.<//>`;
  };
  return html`<div class="row spread"><p class="quiet">A program shows a key instead of a password. It may do what you may, or less.</p><div class="row"><${Snippet} request=${{ path: "/keys" }} />
      <${FormDialog} text="New key" save=${save}>
        <label>Name <input name="name" required maxlength="100" placeholder="What uses it" /></label>
        <label>Role <select name="role"><option value="">as yours</option>${roles(ROLES.filter((role) => may(role)))}</select></label>
        <label>Ends <input name="expires" type="datetime-local" /></label>
        <details><summary>Bounds</summary><div class="stack">
          <label>Only these pipelines <input name="pipelines" placeholder="all; or patterns such as sales-*" /></label>
          <label>Only these saved queries <input name="queries" placeholder="no bound; or names" /></label>
          <label>Only rows where <textarea name="row_filter" rows="2" class="mono" placeholder="orders: city = 'Bern'"></textarea><span class="quiet small">A table, a colon and a condition on each line; such a key only reads</span></label>
          <label>Requests a minute <input name="rate" type="number" min="1" max="1000000" placeholder="as yours" /></label></div></details><//></div></div>
    <${Loaded} request=${request}>${(data) => (data.total === 0 ? html`<${Empty} title="No keys"><p>A new one lets a program in.</p><//>` : html`<div class="scroll" tabindex="0" role="region" aria-label="API keys"><table class="cards"><caption class="visually-hidden">API keys</caption>
      <thead><tr><th>Name</th><th>Begins with</th><th>Role</th><th>Bounds</th><th>Last used</th><th>Ends</th><th><span class="visually-hidden">Actions</span></th></tr></thead>
      <tbody>${data.items.map((key) => html`<${Key} key=${key.id} of=${key} reload=${request.reload} />`)}</tbody></table></div>`)}<//>`;
}

function Key({ of: key, reload }) {
  const remove = useAction(async () => { await call("DELETE", `/keys/${key.id}`); reload(); });
  const bounds = [...["pipelines", "queries"].filter((name) => key[name]).map((name) => [name, key[name].join(", ")]),
    ...Object.entries(key.row_filter ?? {}).map(([table, condition]) => [`rows of ${table}`, condition]),
    ...(key.rate_limit_per_minute ? [["requests", `${key.rate_limit_per_minute} a minute`]] : [])];
  return html`<tr><td class="whole"><span class="name">${key.name}</span>${key.owner && key.owner !== currentUser().username && html` <span class="quiet">of ${key.owner}</span>`}<${Problem} error=${remove.error} /></td>
    <td data-label="Begins with"><code>${key.prefix}…</code></td><td data-label="Role">${key.role ?? html`<span class="quiet">as its owner</span>`}</td>
    <td class="whole">${bounds.length ? bounds.map(([name, text]) => html`<div class="small"><span class="quiet">${name}</span> <code>${text}</code></div>`) : html`<span class="quiet">none</span>`}</td>
    <td data-label="Used"><${Time} at=${key.last_used} /></td><td data-label="Ends">${key.expires && new Date(key.expires) < new Date() ? html`<span class="late">ended</span>` : html`<${Time} at=${key.expires} />`}</td>
    <td class="whole"><div class="row actions"><${ActionButton} action=${remove} kind="danger" confirm=${`Remove the key ${key.name}? What uses it is refused from then on.`} aria-label=${`Remove the key ${key.name}`}>Remove<//></div></td></tr>`;
}

function Password() {
  const [done, setDone] = useState(false);
  const form = useRef(null);
  const change = useAction(async (given) => {
    await post("/auth/password", { old: given.get("old"), new: given.get("new") });
    form.current.reset();
    setDone(true);
  });
  return html`<form ref=${form} class="card narrow" onSubmit=${(event) => { event.preventDefault(); setDone(false); change.run(new FormData(event.currentTarget)); }}>
    <h2>Change the password of ${currentUser().username}</h2>
    <label>Present password <input name="old" type="password" required autocomplete="current-password" /></label>
    <label>New password <input name="new" type="password" minlength="12" required autocomplete="new-password" /><span class="quiet small">12 characters at least</span></label>
    <div><button class="primary" disabled=${change.busy}>Change</button></div>
    ${done && html`<p role="status">Changed. Other sessions of yours have ended.</p>`}<${Problem} error=${change.error} /></form>`;
}

const KINDS = ["auth", "user", "key", "pipeline", "run", "query", "version", "file", "backup", "data"];
/** A moment as `datetime-local` has it, in the zone of the browser, and back. */
const local = (time) => (time ? new Date(new Date(time).getTime() - new Date(time).getTimezoneOffset() * 60000).toISOString().slice(0, 16) : "");
const utc = (text) => (text ? new Date(text).toISOString() : null);

function Audit() {
  const { query } = useLocation();
  const wanted = Object.fromEntries(["actor", "action", "since", "until"].map((name) => [name, query.get(name)]));
  const key = JSON.stringify(wanted);
  const request = useApi("/audit", { ...wanted, limit: 100 });
  const [more, setMore] = useState({ items: [] });
  useEffect(() => setMore({ items: [] }), [key]);
  const next = more.next === undefined ? request.data?.next : more.next;
  const older = useAction(async () => {
    const page = await get("/audit", { ...wanted, limit: 100, cursor: next });
    setMore((before) => ({ items: [...before.items, ...page.items], next: page.next }));
  });
  const show = (event) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setQuery({ actor: form.get("actor"), action: form.get("action"), since: utc(form.get("since")), until: utc(form.get("until")) }, { replace: false });
  };
  return html`<form key=${key} class="row filters" role="search" aria-label="Events" onSubmit=${show}>
      <label>Who <input name="actor" value=${wanted.actor ?? ""} placeholder="anybody" /></label>
      <label>What <input name="action" list="kinds" value=${wanted.action ?? ""} placeholder="user, or user.create" /><datalist id="kinds">${KINDS.map((kind) => html`<option value=${kind}></option>`)}</datalist></label>
      <label>Since <input name="since" type="datetime-local" value=${local(wanted.since)} /></label>
      <label>Until <input name="until" type="datetime-local" value=${local(wanted.until)} /></label>
      <button>Show</button><${Snippet} request=${{ path: "/audit", query: wanted }} /></form>
    <${Loaded} request=${request}>${(data) => (data.items.length === 0 && !next ? html`<${Empty} title="No events"><p>None fits what you look for.</p><//>` : html`<div class="scroll" tabindex="0" role="region" aria-label="Events"><table class="cards audit"><caption class="visually-hidden">Events, newest first</caption><thead><tr><th>When</th><th>Who</th><th>What</th><th>On</th><th>Outcome</th><th>From</th></tr></thead>
      <tbody>${[...data.items, ...more.items].map((event) => html`<tr key=${`${event.chain}-${event.n}`}><td class="whole">${instant(event.time)}</td><td data-label="Who">${event.actor ?? html`<span class="quiet">–</span>`}</td><td data-label="What"><code>${event.action}</code></td>
        <td class="whole">${event.object ?? ""}${event.details && html` <span class="quiet small">${Object.entries(event.details).map(([name, value]) => `${name}: ${cell(value)}`).join(", ")}</span>`}</td>
        <td data-label="Outcome">${event.outcome === "ok" ? "ok" : html`<span class="late">${event.outcome}${event.code ? html` <code>${event.code}</code>` : ""}</span>`}</td><td data-label="From">${event.address ?? html`<span class="quiet">–</span>`}</td></tr>`)}</tbody></table></div>
      <${Problem} error=${older.error} />${next && html`<div><${ActionButton} action=${older}>Older events<//></div>`}`)}<//>`;
}
