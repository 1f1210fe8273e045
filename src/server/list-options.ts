//! What a list or a watch is told of revisions and pages, checked as Kubernetes checks it.
//!
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions>

import type { StatusCause } from "../api/types.ts";
import { readContinue, type Place } from "./continue-token.ts";
import type { Call } from "./call.ts";
import type { Selection } from "./selection.ts";
import { badRequest, refuseOptions } from "./status.ts";

export interface ListOptions {
  /** Objects of a page; 0: all. */
  readonly limit: number;
  /** The state that is wanted; null: the newest. */
  readonly exactly: number | null;
  /** It must have come so far. */
  readonly atLeast: number;
  /** Null: from the beginning. */
  readonly from: Place | null;
}

const EXACT = "Exact";
const NOT_OLDER = "NotOlderThan";

/** Throws 400 and 422. */
export function listOptionsOf({ query }: Pick<Call, "query">, selection: Selection): ListOptions {
  const [match, revision, token] = ["resourceVersionMatch", "resourceVersion", "continue"].map(
    (name) => query.get(name) ?? "",
  ) as [string, string, string];
  const limit = limitOf(query.get("limit"));
  refuseAll([...matchCauses({ match, revision, token }), ...initialCauses(query)]);
  const wanted = revisionOf(revision);
  if (token !== "") {
    if (wanted !== 0) {
      throw badRequest("specifying resource version is not allowed when using continue");
    }
    const from = readContinue(token, selection);
    return { limit, from, exactly: from.revision, atLeast: 0 };
  }
  // As Kubernetes has had it before there was a resourceVersionMatch.
  const isExact = match === EXACT || (match === "" && limit > 0 && wanted > 0);
  return { limit, from: null, exactly: isExact ? wanted : null, atLeast: wanted };
}

/** Of a watch. Throws 422. True: as at the end of a list, it is told when all has been sent. */
export function sendsInitialEvents({ query }: Pick<Call, "query">): boolean | null {
  const sends = booleanOf(query.get("sendInitialEvents"));
  const match = query.get("resourceVersionMatch") ?? "";
  const causes: StatusCause[] = [];
  if (sends !== null && match !== NOT_OLDER) {
    causes.push(
      forbidden(`sendInitialEvents requires setting resourceVersionMatch to ${NOT_OLDER}`),
    );
  }
  if (match !== "" && sends === null) {
    causes.push(
      forbidden("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"),
    );
  }
  if (match !== "" && match !== NOT_OLDER) causes.push(unsupported(match, [NOT_OLDER]));
  if ((query.get("continue") ?? "") !== "") causes.push(forbidden(WITH_CONTINUE));
  refuseAll(causes);
  return sends;
}

const WITH_CONTINUE = "resourceVersionMatch is forbidden when continue is provided";

function matchCauses(given: {
  readonly match: string;
  readonly revision: string;
  readonly token: string;
}): StatusCause[] {
  const { match, revision, token } = given;
  if (match === "") return [];
  const causes: StatusCause[] = [];
  if (revision === "") {
    causes.push(forbidden("resourceVersionMatch is forbidden unless resourceVersion is provided"));
  }
  if (token !== "") causes.push(forbidden(WITH_CONTINUE));
  if (match !== EXACT && match !== NOT_OLDER) {
    causes.push(unsupported(match, [EXACT, NOT_OLDER, ""]));
  }
  if (match === EXACT && revision === "0") {
    causes.push(forbidden('resourceVersionMatch "exact" is forbidden for resourceVersion "0"'));
  }
  return causes;
}

function initialCauses(query: URLSearchParams): StatusCause[] {
  if (booleanOf(query.get("sendInitialEvents")) === null) return [];
  const field = "sendInitialEvents";
  return [forbidden("sendInitialEvents is forbidden for list", field)];
}

/** Go's `strconv.ParseBool`, with which Kubernetes reads a query: what it does not know is true. */
function booleanOf(text: string | null): boolean | null {
  if (text === null) return null;
  return !["false", "0"].includes(text.toLowerCase());
}

function limitOf(text: string | null): number {
  if (text === null) return 0;
  if (!/^[+-]?\d{1,15}$/.test(text)) {
    throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
  }
  // One below nothing is none, as in Kubernetes.
  return Math.max(0, Number(text));
}

/** 0: none is asked for. Throws 400. */
export function revisionOf(text: string): number {
  if (text === "") return 0;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  const value = JSON.stringify(text);
  throw badRequest(
    `invalid resource version: resourceVersion: Invalid value: ${value}: ` +
      `strconv.ParseUint: parsing ${value}: invalid syntax`,
  );
}

function forbidden(message: string, field = "resourceVersionMatch"): StatusCause {
  return { reason: "FieldValueForbidden", message: `Forbidden: ${message}`, field };
}

function unsupported(value: string, supported: readonly string[]): StatusCause {
  const list = supported.map((one) => JSON.stringify(one)).join(", ");
  const message = `Unsupported value: ${JSON.stringify(value)}: supported values: ${list}`;
  return { reason: "FieldValueNotSupported", message, field: "resourceVersionMatch" };
}

function refuseAll(causes: readonly StatusCause[]): void {
  refuseOptions("ListOptions", causes);
}
