//! Kubernetes' `Status` objects, and the exception that carries one to the client.

import type { Status, StatusCause } from "../api/types.ts";
import type { WriteFailure } from "../controlplane/store/store.ts";
import type { Fault } from "../resources/fault.ts";

/** Ends a request with this status. Thrown by handlers, caught in one place. */
export class StatusError extends Error {
  override readonly name = "StatusError";
  readonly status: Status;

  constructor(status: Status) {
    super(status.message);
    this.status = status;
  }
}

export function failure(
  code: number,
  reason: string,
  message: string,
  details?: NonNullable<Status["details"]>,
): Status {
  const status = "Failure";
  const base = { apiVersion: "v1", kind: "Status", metadata: {}, status } as const;
  return { ...base, message, reason, code, ...(details === undefined ? {} : { details }) };
}

export function success(details: NonNullable<Status["details"]>): Status {
  const base = { apiVersion: "v1", kind: "Status", metadata: {}, status: "Success" } as const;
  return { ...base, message: "", reason: "", code: 200, details };
}

export function refuse(code: number, reason: string, message: string): StatusError {
  return new StatusError(failure(code, reason, message));
}

export function badRequest(message: string): StatusError {
  return refuse(400, "BadRequest", message);
}

export function notFound(what: string): StatusError {
  return refuse(404, "NotFound", `${what} was not found`);
}

/** 422 with every cause, each with its path and our code. */
export function invalid(
  object: { readonly kind: string; readonly group: string; readonly name: string },
  faults: readonly Fault[],
): StatusError {
  const causes = faults.filter((fault) => fault.severity === "error").map(causeOf);
  const text = causes.map((cause) => cause.message).join("; ");
  const message = `${object.kind} ${JSON.stringify(object.name)} is invalid: ${text}`;
  return new StatusError(failure(422, "Invalid", message, { ...object, causes }));
}

/** Throws 422 when there is a cause, in the words of a Kubernetes API server. */
export function refuseOptions(kind: string, causes: readonly StatusCause[]): void {
  if (causes.length === 0) return;
  throw refuseInvalid({ group: "meta.k8s.io", kind, name: "" }, causes);
}

/** 422 in the words of a Kubernetes API server. */
export function refuseInvalid(
  { group, kind, name }: { readonly group: string; readonly kind: string; readonly name: string },
  causes: readonly StatusCause[],
): StatusError {
  const texts = causes.map(({ field, message }) => `${field}: ${message}`);
  const text = causes.length === 1 ? (texts[0] ?? "") : `[${texts.join(", ")}]`;
  const details = { ...(name !== "" && { name }), group, kind, causes };
  const message = `${kind}.${group} ${JSON.stringify(name)} is invalid: ${text}`;
  return new StatusError(failure(422, "Invalid", message, details));
}

function causeOf(fault: Fault): StatusCause {
  return { reason: fault.code, message: faultText(fault), field: fault.path };
}

export function faultText(fault: Fault): string {
  return fault.remedy === "" ? fault.message : `${fault.message}. ${fault.remedy}`;
}

/** How soon a client may try again when the disk is full or broken. */
const RETRY_AFTER_SECONDS = 5;

const FAILURES: Readonly<Record<WriteFailure, readonly [code: number, reason: string]>> = {
  already_exists: [409, "AlreadyExists"],
  not_found: [404, "NotFound"],
  conflict: [409, "Conflict"],
  too_large: [413, "RequestEntityTooLarge"],
  full: [507, "InsufficientStorage"],
  storage: [503, "ServiceUnavailable"],
};

export function writeRefused(result: {
  readonly reason: WriteFailure;
  readonly message: string;
}): StatusError {
  const [code, reason] = FAILURES[result.reason];
  const details = code === 503 ? { retryAfterSeconds: RETRY_AFTER_SECONDS } : undefined;
  return new StatusError(failure(code, reason, result.message, details));
}
