/**
 * The session of this page. The access token is kept in memory only; the refresh token is a cookie that no script can
 * read. Tabs share the cookie, and each refresh uses it up, so that they refresh one after the other (a Web Lock). A
 * page that is left gives the lock back while its request goes on, so that the next page waits for its answer.
 */

const PATH = "/api/v1/auth/session";
const MARGIN_SECONDS = 60;
const LOCK = "penstock-session";
const OWNER = "penstock:owner"; // whose drafts this tab keeps: they outlast a session, since it may end while somebody writes
const UNDER_WAY = "penstock-refresh-began";
const PATIENCE = 5000; // milliseconds that an answer may take on a busy machine

/** The tabs of one browser have one session: what one does to it holds in all. */
const tabs = new BroadcastChannel("penstock-session");
tabs.onmessage = ({ data }) => {
  if (data === null) leave();
  else if (user !== null && user.username !== data) location.reload();
};

let token = null;
let expires = 0;
let user = null;
const listeners = new Set();

/** The account that is signed in, `{username, role}`, or null. */
export const currentUser = () => user;

/** Calls `listener` when somebody signs in or out; returns what ends that. */
export function onSessionChange(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Whether the account may do what a role may: viewers read, operators also change and run, admins do all. */
export function may(role) {
  const order = ["viewer", "operator", "admin"];
  return user !== null && order.indexOf(user.role) >= order.indexOf(role);
}

/**
 * Signs in with a name and a password. Returns null, or the error that the service answered; its `wait` is how many
 * seconds it asks to wait.
 */
export const signIn = (username, password) => open(PATH, { username, password });

/** The token of the one-time link that led here, or null. It leaves the address, and so the browser's history. */
export function takeLink() {
  const token = /^#sign-in=(.+)$/.exec(location.hash)?.[1] ?? null;
  if (token !== null) history.replaceState(null, "", location.pathname + location.search);
  return token;
}

/** Signs in with the token of a one-time link, as `signIn`. */
export const followLink = (token) => open(`${PATH}/link`, { token });

async function open(path, body) {
  const headers = { "content-type": "application/json", "X-Penstock-CSRF": "1" };
  const asked = () => fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
  const answer = await navigator.locks.request(LOCK, () => alone(asked)); // a refresh under way could take the new cookie away
  const found = await answer.json();
  if (!answer.ok) return { ...found.error, wait: Number(answer.headers.get("retry-after") ?? 0) };
  accept(found);
  tabs.postMessage(user?.username);
  return null;
}

/** Ends the session, for all tabs. */
export async function signOut() {
  await navigator.locks.request(LOCK, () => alone(() => fetch(PATH, { method: "DELETE" })));
  tabs.postMessage(null);
  leave();
}

/** Takes up the session that the browser's cookie holds; returns whether there is one. Raises if nobody answers. */
export async function resume() {
  await refresh();
  return user !== null;
}

/** A token that is good for a minute at least, or null without a session. */
export async function accessToken() {
  if (token !== null && Date.now() / 1000 < expires - MARGIN_SECONDS) return token;
  await refresh();
  return token;
}

/** The token was refused: ask for another one before the next request. */
export function tokenRefused() {
  expires = 0;
}

async function refresh() {
  const before = token;
  await navigator.locks.request(LOCK, async () => {
    if (token !== before && token !== null) return; // another request of this page refreshed meanwhile
    const answer = await alone(() => fetch(`${PATH}/refresh`, { method: "POST", headers: { "X-Penstock-CSRF": "1" }, keepalive: true }));
    if (answer.status === 200) accept(await answer.json());
    else if (answer.status === 204 || answer.status === 401) forget();
    else throw new Error(`the session could not be refreshed: ${answer.status}`);
  });
}

/**
 * Asks when no page that was left meanwhile still waits for its answer: the lock goes with the page, the request does not,
 * and a cookie that is used twice ends the session. The mark is the time alone, and goes with the answer.
 */
async function alone(ask) {
  const left = Number(localStorage.getItem(UNDER_WAY)) + PATIENCE - Date.now();
  if (left > 0) await new Promise((go) => setTimeout(go, Math.min(left, PATIENCE)));
  localStorage.setItem(UNDER_WAY, Date.now());
  try {
    return await ask();
  } finally {
    localStorage.removeItem(UNDER_WAY);
  }
}

/** What somebody wrote and did not save is for nobody else who sits down here. */
function leave() {
  sessionStorage.clear();
  forget();
}

function accept(answer) {
  if (sessionStorage.getItem(OWNER) !== answer.user.username) sessionStorage.clear();
  sessionStorage.setItem(OWNER, answer.user.username);
  if (user !== null && user.username !== answer.user.username) return location.reload(); // what is shown is another's
  const changed = user?.username !== answer.user.username || user.role !== answer.user.role;
  token = answer.access_token;
  expires = Date.now() / 1000 + answer.expires_in;
  user = answer.user;
  if (changed) announce();
}

function forget() {
  const changed = user !== null;
  token = null;
  user = null;
  expires = 0;
  if (changed) announce();
}

function announce() {
  for (const listener of listeners) listener();
}
