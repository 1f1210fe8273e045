//! A duration as kubectl's AGE column shows it: `5s`, `3m20s`, `2h5m`, `4d3h`, `212d`, `3y20d`.

const SECOND_MS = 1_000;
const MINUTE_S = 60;
const HOUR_S = 3_600;
const DAY_S = 86_400;
const YEAR_D = 365;

/** `created` is an RFC 3339 time; `<unknown>` when it is none. */
export function formatAge(created: string | undefined, nowMs: number): string {
  const createdMs = created === undefined ? Number.NaN : parseTime(created);
  return Number.isNaN(createdMs) ? "<unknown>" : formatDuration(nowMs - createdMs);
}

/** After `k8s.io/apimachinery/pkg/util/duration.HumanDuration`: two units while they matter. */
export function formatDuration(durationMs: number): string {
  const seconds = Math.max(0, Math.floor(durationMs / SECOND_MS));
  if (seconds < 2 * MINUTE_S) return `${seconds}s`;
  const minutes = Math.floor(seconds / MINUTE_S);
  if (minutes < 10) return withRest(`${minutes}m`, seconds % MINUTE_S, "s");
  if (minutes < 3 * MINUTE_S) return `${minutes}m`;
  const hours = Math.floor(seconds / HOUR_S);
  if (hours < 8) return withRest(`${hours}h`, minutes % MINUTE_S, "m");
  if (hours < 48) return `${hours}h`;
  const days = Math.floor(seconds / DAY_S);
  if (days < 8) return withRest(`${days}d`, hours % 24, "h");
  if (days < 2 * YEAR_D) return `${days}d`;
  const years = Math.floor(days / YEAR_D);
  if (years < 8) return withRest(`${years}y`, days % YEAR_D, "d");
  return `${years}y`;
}

function withRest(text: string, rest: number, unit: string): string {
  return rest === 0 ? text : `${text}${rest}${unit}`;
}

const RFC_3339 = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.\d+)?Z$/;

/** Milliseconds since the epoch. Arithmetic of our own: `Date` is the clock's. */
function parseTime(text: string): number {
  const parts = RFC_3339.exec(text)?.slice(1).map(Number);
  if (parts === undefined) return Number.NaN;
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = parts;
  return (
    (daysSinceEpoch(year, month, day) * DAY_S + hour * HOUR_S + minute * MINUTE_S + second) *
    SECOND_MS
  );
}

/** Days from 1970-01-01 in the proleptic Gregorian calendar (Hinnant's `days_from_civil`). */
function daysSinceEpoch(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const yearOfEra = y - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra =
    yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}
