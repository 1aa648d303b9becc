/** A state that a reload of the page does not lose: what a person has chosen or written and not saved yet. */

import { useCallback, useState } from "preact";

const PREFIX = "penstock:";

/** As `useState`, kept in this tab under `key` while it differs from `first`; the third part forgets it. */
export function useKept(key, first) {
  const [value, setValue] = useState(() => {
    const found = sessionStorage.getItem(PREFIX + key);
    return found === null ? first : JSON.parse(found);
  });
  const forget = useCallback(() => sessionStorage.removeItem(PREFIX + key), [key]);
  const change = (next) => {
    setValue(next);
    if (next === first) forget();
    else sessionStorage.setItem(PREFIX + key, JSON.stringify(next));
  };
  return [value, change, forget];
}
