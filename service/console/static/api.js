/** Requests to the public API, with the token of the session, and a hook that reads one address. */

import { useCallback, useLayoutEffect, useRef, useState } from "preact";
import { answered, silent } from "console/connection";
import { accessToken, tokenRefused } from "console/session";

const BASE = "/api/v1";
const TELLS = JSON.parse("1", (_, value, context) => context?.source === "1");
const OUTSIDE = /^\/(health|metrics)\b/;
export const UNREACHABLE = { code: "UNREACHABLE", message: "The service does not answer. This page goes on when it is back." };

/** An error as the service answers it: what is wrong, where, and the request's id for whoever looks at the log. */
export class ApiError extends Error {
  constructor(status, error, requestId) {
    super(error.message);
    this.status = status;
    this.code = error.code;
    this.details = error.details ?? {};
    this.requestId = requestId;
  }

  /** The problems, each `{field, message}`. */
  get problems() {
    return this.details.errors ?? [{ field: this.details.field ?? null, message: this.message }];
  }
}

/** The address of a route with its query; parameters that are null, undefined or empty are left out. */
export function address(path, query = {}) {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "") parameters.set(name, value);
  }
  const text = parameters.toString();
  return (OUTSIDE.test(path) ? "" : BASE) + path + (text ? `?${text}` : "");
}

/** The answer of a route, whatever its kind. Raises `ApiError`; the network's own errors become one, too. */
export async function fetched(method, path, { query, body, headers = {}, signal } = {}) {
  const send = async () => {
    const token = await accessToken();
    const json = body !== undefined && !(body instanceof Blob);
    return fetch(address(path, query), {
      method,
      signal,
      headers: {
        ...(token ? { authorization: `Bearer ${token}` } : {}),
        ...(json ? { "content-type": "application/json" } : {}),
        ...headers,
      },
      body: json ? JSON.stringify(body) : body,
    });
  };
  let answer;
  try {
    answer = await send();
    if (answer.status === 401) {
      tokenRefused();
      answer = await send();
    }
  } catch (error) {
    if (error.name === "AbortError") throw error;
    silent();
    throw new ApiError(0, UNREACHABLE, null);
  }
  if (answer.ok || answer.status === 304) {
    answered();
    return answer;
  }
  const error = new ApiError(answer.status, await errorOf(answer), answer.headers.get("x-request-id"));
  if (error.status === 503 && /service is (starting|stopping)/.test(error.message)) silent("starting");
  else answered();
  throw error;
}

async function errorOf(answer) {
  try {
    return (await answer.json()).error;
  } catch {
    return { code: "UNREADABLE", message: `The service answered ${answer.status} without a reason.` };
  }
}

/** The JSON that a route answers, or null where it answers nothing. */
export async function call(method, path, options) {
  const answer = await fetched(method, path, options);
  return answer.status === 204 ? null : exact(await answer.text());
}

/**
 * JSON whose whole numbers beyond 2^53 are BigInt: a number of this language would be another one. Browsers that do not
 * tell what they parse get them as texts.
 */
export function exact(text) {
  if (!/[:,[]\s*-?\d{16}/.test(text)) return JSON.parse(text); // ids have as many digits, within quotes
  if (!TELLS) return JSON.parse(text.replace(/"(?:[^"\\]|\\.)*"|-?\d{16,}(?![\d.eE])/g, (part) => (part[0] === '"' ? part : `"${part}"`)));
  return JSON.parse(text, (_, value, context) => {
    const lost = typeof value === "number" && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? "");
    return lost ? BigInt(context.source) : value;
  });
}

export const get = (path, query, options) => call("GET", path, { query, ...options });
export const post = (path, body, options) => call("POST", path, { body, ...options });

/**
 * Reads one address: `{data, error, loading, key, reload, patch}`. What was read stays while it is read again, so that
 * nothing jumps; `key` is the address that it was read from; `patch` changes it in place; a `path` of null reads nothing.
 */
export function useApi(path, query) {
  const key = path === null ? null : address(path, query);
  const [state, setState] = useState({ key: null, data: null, error: null, loading: path !== null });
  const [round, setRound] = useState(0);
  const wanted = useRef(null);
  wanted.current = { path, query };
  useLayoutEffect(() => { // asks before the next drawing
    if (key === null) return undefined;
    const stop = new AbortController();
    setState((before) => ({ key, data: before.key === key ? before.data : null, error: null, loading: true }));
    get(wanted.current.path, wanted.current.query, { signal: stop.signal }).then(
      (data) => stop.signal.aborted || setState({ key, data, error: null, loading: false }),
      (error) => stop.signal.aborted || setState((before) => ({ ...before, error, loading: false })),
    );
    return () => stop.abort();
  }, [key, round]);
  const reload = useCallback(() => setRound((before) => before + 1), []);
  const patch = useCallback((change) => setState((before) => (before.data === null ? before : { ...before, data: change(before.data) })), []);
  if (key !== null && state.key !== key) return { data: null, error: null, loading: true, key: state.key, reload, patch }; // never what another address answered
  return { data: state.data, error: state.error, loading: state.loading, key: state.key, reload, patch };
}

/** Whatever changes something: `{run, busy, error, clear}`; `run` resolves to its result, or undefined after an error. */
export function useAction(action) {
  const [state, setState] = useState({ busy: false, error: null });
  const run = async (...given) => {
    setState({ busy: true, error: null });
    try {
      const result = await action(...given);
      setState({ busy: false, error: null });
      return result;
    } catch (error) {
      setState({ busy: false, error });
      return undefined;
    }
  };
  return { run, busy: state.busy, error: state.error, clear: () => setState({ busy: false, error: null }) };
}
