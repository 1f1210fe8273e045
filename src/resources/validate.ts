//! Unknown value in, validated resource or faults out: all faults at once, each with its place.

import type { TSchema } from "typebox";
import { CODES } from "./codes.ts";
import type { Fault, Position } from "./fault.ts";
import type { Finding, JsonObject, KindInfo, Path } from "./kinds/kind.ts";
import { member } from "./kinds/member.ts";
import { wholeSchema } from "./metadata.ts";
import { normalize } from "./normalize.ts";
import type { Notice } from "./normalize.ts";
import type { ObjectRef, Resource } from "./object.ts";
import { pathText } from "./path-text.ts";
import { apiVersionOf, kindByApiVersion, KINDS, splitApiVersion } from "./registry.ts";
import { schemaFindings, shown } from "./schema-faults.ts";
import { fieldPlaces, nearest } from "./suggest.ts";

/** Where the key or the value at a path stands; the nearest outer one when there is none. */
export type PositionOf = (path: Path, part?: "key" | "value") => Position;

export interface Validated {
  /** Null when there is an error, or when the kind is unknown. */
  readonly resource: Resource | null;
  readonly faults: readonly Fault[];
}

/**
 * Checks one object of any kind and fills its defaults. The value itself is not changed. The
 * resource may share parts with it (what no schema looks into, such as `pluginConfig`).
 */
export function validateResource(value: unknown, positionOf?: PositionOf): Validated {
  const faults = new FaultList(refOfUnchecked(value), positionOf);
  const info = kindOf(value, faults);
  if (info === null) return { resource: null, faults: faults.list };

  const schema = wholeSchema(info);
  const object = normalize(schema, value, (notice) => {
    reportNotice(notice, schema, faults);
  }) as JsonObject;
  settleNamespace(info, object, faults);
  info.fill?.(object);
  for (const finding of schemaFindings(schema, object)) faults.add(finding, finding.part);
  info.check?.(object, (finding) => {
    faults.add(finding);
  });
  faults.refer(refOfUnchecked(object));
  return {
    resource: faults.hasError ? null : (object as unknown as Resource),
    faults: faults.list,
  };
}

/** Collects the faults of one object, in the order of their places. */
class FaultList {
  #object: ObjectRef | null;
  readonly #positionOf: PositionOf | undefined;
  readonly #faults: Fault[] = [];

  constructor(object: ObjectRef | null, positionOf: PositionOf | undefined) {
    this.#object = object;
    this.#positionOf = positionOf;
  }

  add(finding: Finding, part: "key" | "value" = "value"): void {
    const path = pathText(finding.path);
    this.#faults.push({
      severity: CODES[finding.code]?.severity ?? "error",
      code: finding.code,
      message: path === "" ? finding.says : `${path} ${finding.says}`,
      remedy: finding.remedy,
      path,
      object: this.#object,
      position: this.#positionOf?.(finding.path, part) ?? null,
    });
  }

  /** Names the object once its namespace is settled. */
  refer(object: ObjectRef | null): void {
    this.#object = object;
  }

  get hasError(): boolean {
    return this.#faults.some((fault) => fault.severity === "error");
  }

  get list(): readonly Fault[] {
    return this.#faults
      .map((fault) => ({ ...fault, object: this.#object }))
      .sort((left, right) => comparePositions(left.position, right.position));
  }
}

/** Orders places of one file; faults without a place keep their order. */
export function comparePositions(left: Position | null, right: Position | null): number {
  if (left === null || right === null) return 0;
  return left.line - right.line || left.column - right.column;
}

/** The object's name for messages, as far as it can be told. */
function refOfUnchecked(value: unknown): ObjectRef | null {
  const kind = member(value, "kind");
  const name = member(value, "metadata", "name");
  const namespace = member(value, "metadata", "namespace");
  if (typeof kind !== "string" || typeof name !== "string") return null;
  return { kind, namespace: typeof namespace === "string" ? namespace : "", name };
}

function kindOf(value: unknown, faults: FaultList): KindInfo | null {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    faults.add({
      code: "GL0011",
      path: [],
      says: `the document must be a mapping with apiVersion, kind and metadata, is ${shown(value)}`,
      remedy: "",
    });
    return null;
  }
  const apiVersion = readEnvelope(value, "apiVersion", faults);
  const kind = readEnvelope(value, "kind", faults);
  if (apiVersion === null || kind === null) return null;
  const info = kindByApiVersion(apiVersion, kind);
  if (info === undefined) reportUnknownKind(apiVersion, kind, faults);
  return info ?? null;
}

const ENVELOPE_EXAMPLES = { apiVersion: "apiVersion: v1", kind: "kind: Service" } as const;

function readEnvelope(
  value: object,
  field: keyof typeof ENVELOPE_EXAMPLES,
  faults: FaultList,
): string | null {
  const text = member(value, field);
  if (typeof text === "string" && text !== "") return text;
  const isMissing = text === undefined || text === null || text === "";
  faults.add({
    code: isMissing ? "GL0102" : "GL0103",
    path: [field],
    says: isMissing ? "is required" : `must be a text, is ${shown(text)}`,
    remedy: `Say what the object is, e.g. ${ENVELOPE_EXAMPLES[field]}.`,
  });
  return null;
}

function reportUnknownKind(apiVersion: string, kind: string, faults: FaultList): void {
  const { group } = splitApiVersion(apiVersion);
  const served = KINDS.find((info) => info.kind === kind && info.group === group);
  if (served !== undefined) {
    const versions = served.versions.map((version) => apiVersionOf(served, version));
    faults.add({
      code: "GL0116",
      path: ["apiVersion"],
      says: `${shown(apiVersion)} is not served for ${kind}; served: ${versions.join(", ")}`,
      remedy: `Write apiVersion: ${apiVersionOf(served)}.`,
    });
    return;
  }
  const near = nearest(
    kind,
    KINDS.map((info) => info.kind),
  );
  const meant = KINDS.find((info) => info.kind === near);
  faults.add({
    code: "GL0101",
    path: ["kind"],
    says: `${shown(kind)} of ${apiVersion} is no kind that Graylane knows; the object is skipped`,
    remedy: meant === undefined ? "" : `Did you mean kind ${meant.kind} of ${apiVersionOf(meant)}?`,
  });
}

function settleNamespace(info: KindInfo, object: JsonObject, faults: FaultList): void {
  if (info.namespaced) return;
  const metadata = member(object, "metadata");
  if (typeof metadata !== "object" || metadata === null || !("namespace" in metadata)) return;
  if (metadata.namespace !== "") {
    faults.add({
      code: "GL0120",
      path: ["metadata", "namespace"],
      says: `is ignored: ${info.kind} is cluster-scoped`,
      remedy: "Remove it.",
    });
  }
  Reflect.deleteProperty(metadata, "namespace");
}

function reportNotice(notice: Notice, schema: TSchema, faults: FaultList): void {
  switch (notice.kind) {
    case "unknown":
      faults.add(unknownField(notice.path, notice.known, schema), "key");
      return;
    case "notHonoured":
      faults.add(
        {
          code: "GL0107",
          path: notice.path,
          says: "has no effect in this version of Graylane",
          remedy: "",
        },
        "key",
      );
      return;
    case "notHonouredValue":
      faults.add({
        code: "GL0107",
        path: notice.path,
        says: `is ${shown(notice.value)}, which has no effect in this version of Graylane`,
        remedy: "",
      });
      return;
  }
}

function unknownField(path: Path, known: readonly string[], schema: TSchema): Finding {
  const name = String(path.at(-1));
  return {
    code: "GL0106",
    path,
    says: "is not a known field",
    remedy: unknownFieldRemedy(name, known, schema),
  };
}

const KNOWN_SHOWN_MAX = 8;
const PLACES_SHOWN_MAX = 3;

/** A slip of the keyboard first, then one of indentation, then what there is to choose from. */
function unknownFieldRemedy(name: string, known: readonly string[], schema: TSchema): string {
  const near = nearest(name, known);
  if (near !== null) return `Did you mean ${near}?`;
  const places = fieldPlaces(schema, name);
  if (places.length > 0 && places.length <= PLACES_SHOWN_MAX) {
    return `A field of that name is ${places.join(" or ")}: check the indentation.`;
  }
  if (known.length === 0 || known.length > KNOWN_SHOWN_MAX) return "";
  return `Known here: ${known.join(", ")}.`;
}
