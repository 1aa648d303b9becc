/** What stands in the editor and its fields while it is not the address's: kept in this tab, with the address it began at. */

const KEY = "penstock-sql-draft";
const NOTHING = { text: "", values: {} };

const at = (asked) => (asked === null ? null : asked.sql ?? `query ${asked.saved}`);

/** The text and the values to begin with at an address; `definition` is the saved query that it names, or null. */
export function begun(asked, definition) {
  const draft = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
  if (draft !== null && (asked === null || draft.at === at(asked))) return { text: draft.text, values: { ...draft.values, ...asked?.values } };
  return asked === null ? NOTHING : { text: asked.sql ?? definition?.sql ?? "", values: asked.values };
}

/** Keeps what was written. */
export function keep(asked, text, values) {
  sessionStorage.setItem(KEY, JSON.stringify({ at: at(asked), text, values }));
}
