//! What a share made of a request, in words: key, salt, hash, bucket, interval and limit.

import type { CohortExplanation } from "../../lane/cohort.ts";
import { isToken } from "./explain-rule.ts";
import type { CohortInterval, CohortKey } from "../../snapshot/cohort.ts";

/** Longer keys are cut: a message is to be read. */
const SHOWN_CHARS_MAX = 100;
/** Intervals that are listed. */
const INTERVALS_SHOWN_MAX = 4;

export function explainedCohort(explained: CohortExplanation): string {
  const { table, deal, keyValue, hash, bucketPpm, intervals, hit } = explained;
  const where = table === "*" ? "" : ` of the base route ${table}`;
  const shares = `shares${where}: ${sharesText(intervals)}`;
  if (deal === null) return `${shares}; a new draw for each request`;
  const key = keyText(deal.key);
  if (keyValue === null || bucketPpm === null) {
    const issued = deal.key.kind === "issuedCookie" ? ", the gateway would issue one" : "";
    return `${shares}; ${key} is absent${issued}: no share`;
  }
  const salt = deal.salt === "" ? " without a salt" : ` with the salt ${JSON.stringify(deal.salt)}`;
  const modulo = deal.hash === "murmur3" ? "" : ` % ${deal.modulo}`;
  const shown =
    keyValue.length > SHOWN_CHARS_MAX ? `${keyValue.slice(0, SHOWN_CHARS_MAX)}…` : keyValue;
  const keyShown = isToken(keyValue) ? "a token" : JSON.stringify(shown);
  const result =
    hit === null
      ? "in no interval: the baseline"
      : `in [${hit.fromPpm}, ${hit.toPpm}) of the lane ${hit.lane}`;
  return (
    `${shares}; ${key} is ${keyShown}, ${deal.hash}${modulo}${salt} is ` +
    `${hash ?? ""}, bucket ${bucketPpm} of 1000000 is ${result}`
  );
}

function keyText(key: CohortKey): string {
  if (key.kind === "clientIp") return "the client's address";
  return `${key.kind === "issuedCookie" ? "cookie" : key.kind} ${key.name}`;
}

/** `gray 300000 ppm [0, 300000)`, one for each lane. */
function sharesText(intervals: readonly CohortInterval[]): string {
  const byLane = new Map<string, CohortInterval[]>();
  for (const interval of intervals) {
    const list = byLane.get(interval.lane);
    if (list === undefined) byLane.set(interval.lane, [interval]);
    else list.push(interval);
  }
  const texts = [...byLane].map(([lane, own]) => {
    const ppm = own.reduce((sum, { fromPpm, toPpm }) => sum + toPpm - fromPpm, 0);
    const shown = own
      .slice(0, INTERVALS_SHOWN_MAX)
      .map(({ fromPpm, toPpm }) => `[${fromPpm}, ${toPpm})`);
    const more = own.length > INTERVALS_SHOWN_MAX ? " …" : "";
    return `${lane} ${ppm} ppm ${shown.join(" ")}${more}`;
  });
  return texts.length === 0 ? "none" : texts.join(", ");
}
