/**
 * Figures of all columns of a version. The profile is at once there; it holds for the stored rows only where the
 * analyzer is the last step and saw as many rows as were stored. Otherwise the schema counts them.
 */

import { useMemo } from "preact";
import { useApi } from "console/api";

const EMPTY = new Map();

/** A map of names to `{missing, distinct, about, profile}`; empty while they are counted. `info` is the version. */
export function useFigures(name, info) {
  const path = info ? `/pipeline/${encodeURIComponent(name)}` : null;
  const version = info?.version;
  const configuration = useApi(path && `${path}/config`, { revision: info?.revision });
  const last = configuration.data?.processors?.at(-1)?.type ?? (configuration.data ? "none" : null);
  const profiles = useApi(path && last === "analyzer" ? `${path}/profile` : null, { version });
  const profile = profiles.data?.profiles.at(-1);
  const fits = profile !== undefined && profile.row_count === info?.rows;
  const counted = (last !== null && last !== "analyzer") || configuration.error || profiles.error || (profiles.data !== null && !fits);
  const schema = useApi(path && counted && version ? `${path}/schema` : null, { version });
  return useMemo(() => {
    if (fits) return new Map(profile.columns.map((one) => [one.name, { missing: one.missing, distinct: one.distinct, about: profile.exact === false, profile: one }]));
    if (schema.data) return new Map(schema.data.columns.map((one) => [one.name, { missing: one.missing_values, distinct: one.unique_values, about: true, profile: null }]));
    return EMPTY;
  }, [profile, fits, schema.data]);
}
