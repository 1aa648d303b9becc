/** A state that a reload of the page does not lose: what a person has chosen or written and not saved yet. */

import { useCallback, useMemo, useState } from "preact";

const PREFIX = "penstock:";

function read(key, first) {
  const found = sessionStorage.getItem(PREFIX + key);
  return found === null ? first : JSON.parse(found);
}

/** As `useState`, kept in this tab under `key` while it differs from `first`; another key is another state. The third part forgets it. */
export function useKept(key, first) {
  const beginning = useMemo(() => read(key, first), [key]);
  const [changed, setChanged] = useState({ key: null, value: null });
  const forget = useCallback(() => sessionStorage.removeItem(PREFIX + key), [key]);
  const change = (next) => {
    setChanged({ key, value: next });
    if (next === first) forget();
    else sessionStorage.setItem(PREFIX + key, JSON.stringify(next));
  };
  return [changed.key === key ? changed.value : beginning, change, forget];
}
