/**
 * Figures of all columns of a version. The profile is at once there; it holds for the stored rows only where the
 * analyzer is the last step and saw as many rows as were stored. Otherwise they are counted in SQL: the schema's
 * quantiles of all columns would take ten times as long.
 */

import { useEffect, useMemo, useState } from "preact";
import { useApi } from "console/api";
import { overview } from "console/screens/data/measured";

const EMPTY = new Map();

/** A map of names to `{missing, distinct, about, profile}`; empty while they are counted. `info` is the version, `columns` are those of it. */
export function useFigures(name, table, info, columns) {
  const path = info ? `/pipeline/${encodeURIComponent(name)}` : null;
  const version = info?.version;
  const configuration = useApi(path && `${path}/config`, { revision: info?.revision });
  const last = configuration.data?.processors?.at(-1)?.type ?? (configuration.data ? "none" : null);
  const profiles = useApi(path && last === "analyzer" ? `${path}/profile` : null, { version });
  const profile = profiles.data?.profiles.at(-1);
  const fits = profile !== undefined && profile.row_count === info?.rows;
  const counted = (last !== null && last !== "analyzer") || configuration.error || profiles.error || (profiles.data !== null && !fits);
  const [found, setFound] = useState({ of: null, figures: EMPTY });
  useEffect(() => {
    if (!counted || !version) return undefined;
    const stop = new AbortController();
    overview(table, columns, stop.signal, (figures) => setFound({ of: version, figures })).catch(() => {}); // the types are there
    return () => stop.abort();
  }, [Boolean(counted), table, version]);
  return useMemo(() => {
    if (fits) return new Map(profile.columns.map((one) => [one.name, { missing: one.missing, distinct: one.distinct, about: profile.exact === false, profile: one }]));
    return found.of === version ? found.figures : EMPTY;
  }, [profile, fits, found, version]);
}
