//! CustomResourceDefinitions from the kinds' own schemas (apiextensions.k8s.io/v1): what a schema
//! of Kubernetes can say, a Kubernetes API server refuses at once; the rest the controller says in
//! the object's status.
//!
//! <https://kubernetes.io/docs/reference/kubernetes-api/extend-resources/>

import { FORMAT_PATTERNS } from "./formats.ts";
import type { KindInfo } from "./kinds/kind.ts";
import { KINDS } from "./registry.ts";

/** The parts of a kind's schema that are read here. */
interface Schema {
  readonly type?: string | readonly string[];
  readonly format?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly additionalProperties?: Schema;
  readonly uniqueBy?: readonly string[];
  readonly openObject?: boolean;
  readonly exactlyOneOf?: readonly string[];
  readonly atMostOneOf?: readonly string[];
  readonly [word: string]: unknown;
}

type Structural = Record<string, unknown>;

interface Column {
  readonly name: string;
  readonly type: "string" | "integer" | "boolean" | "date";
  readonly jsonPath: string;
  readonly priority?: number;
}

export interface CustomResourceDefinition {
  readonly apiVersion: "apiextensions.k8s.io/v1";
  readonly kind: "CustomResourceDefinition";
  readonly metadata: { readonly name: string };
  readonly spec: object;
}

const OWN_GROUP = "graylane.io";
/** Groups whose kinds a Kubernetes API server has no definition of but by somebody's CRD. */
const ISTIO_GROUPS = ["networking.istio.io", "extensions.istio.io"];

/** Which CRDs may be asked for, by a word. */
export const CRD_SETS: Readonly<Record<string, readonly string[]>> = {
  graylane: [OWN_GROUP],
  istio: ISTIO_GROUPS,
  asm: ["istio.alibabacloud.com"],
  higress: ["extensions.higress.io", "networking.higress.io"],
};

const OPEN = { "x-kubernetes-preserve-unknown-fields": true } as const;
/** Words that mean the same in both. */
const SHARED = [
  ...["description", "default", "enum", "pattern", "minimum", "maximum"],
  ...["minLength", "maxLength", "minItems", "maxItems"],
];

/** Of CEL's reserved words those that a field may have for its name. */
const CEL_WORDS: ReadonlySet<string> = new Set([
  ...["as", "break", "const", "continue", "else", "for", "function", "if", "import", "in", "let"],
  ...["loop", "namespace", "package", "return", "var", "void", "while"],
]);

/** The printed columns that a path can say; the others need our own `get`. */
const COLUMNS: Readonly<Record<string, readonly Column[]>> = {
  LaneGroup: [
    { name: "Fallback", type: "string", jsonPath: ".spec.fallback" },
    { name: "Header", type: "string", jsonPath: ".spec.context.routeHeader" },
    { name: "Lanes", type: "string", jsonPath: ".status.openLanes" },
  ],
  Lane: [
    { name: "Group", type: "string", jsonPath: ".spec.group" },
    { name: "Enabled", type: "boolean", jsonPath: ".spec.enabled" },
    { name: "Share", type: "string", jsonPath: ".status.share" },
    { name: "Priority", type: "integer", jsonPath: ".spec.priority" },
    { name: "Owner", type: "string", jsonPath: ".spec.owner", priority: 1 },
  ],
};
const LAST_COLUMNS: readonly Column[] = [
  {
    name: "Accepted",
    type: "string",
    jsonPath: '.status.conditions[?(@.type=="Accepted")].status',
  },
  { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" },
];

/** The kinds of some groups, in the registry's order. */
export function definitionsOf(groups: readonly string[]): readonly CustomResourceDefinition[] {
  return KINDS.filter(({ group }) => groups.includes(group)).map(definitionOf);
}

export function definitionOf(info: KindInfo): CustomResourceDefinition {
  const { group, plural, singular, kind, shortNames, storageVersion } = info;
  const schema = objectSchema(info);
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope: info.namespaced ? "Namespaced" : "Cluster",
      names: {
        ...{ kind, plural, singular, listKind: `${kind}List` },
        ...(shortNames.length > 0 ? { shortNames } : {}),
      },
      versions: info.versions.map((name) => ({
        ...{ name, served: true, storage: name === storageVersion },
        schema: { openAPIV3Schema: schema },
        subresources: { status: {} },
        additionalPrinterColumns: [...(COLUMNS[kind] ?? []), ...LAST_COLUMNS],
      })),
    },
  };
}

/** Metadata is the API server's own affair. */
function objectSchema(info: KindInfo): Structural {
  const { properties = {}, required = [] } = info.schema as unknown as Schema;
  // What others have defined may have fields that we do not know: the compiler says so, and the
  // object keeps them.
  const isOpen = info.group !== OWN_GROUP;
  const own = Object.entries(properties).map(([name, schema]) => [
    name,
    name === "status" ? { type: "object", ...OPEN } : structural(schema, isOpen),
  ]);
  return {
    type: "object",
    ...(required.length > 0 ? { required } : {}),
    properties: {
      apiVersion: { type: "string" },
      kind: { type: "string" },
      metadata: { type: "object" },
      ...(Object.fromEntries(own) as Structural),
    },
  };
}

function structural(schema: Schema, isOpen: boolean): Structural {
  const { type, format = "" } = schema;
  const known: Structural = {};
  for (const word of SHARED) if (schema[word] !== undefined) known[word] = schema[word];
  if (type === "object") return { ...known, ...objectPart(schema, isOpen) };
  if (type === "array") return { ...known, ...arrayPart(schema, isOpen) };
  if (typeof type === "string") return { type, ...patternOf(format), ...known };
  const isIntOrString = Array.isArray(type) && type.every((one) => one !== "object");
  return isIntOrString && type.includes("string") && type.includes("integer")
    ? { "x-kubernetes-int-or-string": true }
    : { ...OPEN };
}

function patternOf(format: string): Structural {
  const found = FORMAT_PATTERNS[format];
  if (found === undefined) return {};
  const { pattern, lengthMax } = found;
  return { pattern, ...(lengthMax === undefined ? {} : { maxLength: lengthMax }) };
}

function objectPart(schema: Schema, isOpen: boolean): Structural {
  const { properties, required, additionalProperties, openObject } = schema;
  if (additionalProperties !== undefined) {
    return { type: "object", additionalProperties: structural(additionalProperties, isOpen) };
  }
  const members = Object.entries(properties ?? {}).map(([name, member]) => [
    name,
    structural(member, isOpen),
  ]);
  // CEL sees only fields with a type.
  const isTyped = (name: string): boolean => typeof properties?.[name]?.type === "string";
  const typed = (names: readonly string[] = []): readonly string[] =>
    names.every(isTyped) ? names : [];
  const rules = [
    ...choiceRule(typed(schema.exactlyOneOf), "== 1", "exactly one of"),
    ...choiceRule(typed(schema.atMostOneOf), "<= 1", "at most one of"),
  ];
  return {
    type: "object",
    ...(members.length === 0 ? {} : { properties: Object.fromEntries(members) as Structural }),
    ...(required === undefined || required.length === 0 ? {} : { required }),
    ...(isOpen || openObject === true || properties === undefined ? OPEN : {}),
    ...(rules.length === 0 ? {} : { "x-kubernetes-validations": rules }),
  };
}

/** A rule in CEL. */
function choiceRule(names: readonly string[], count: string, says: string): readonly object[] {
  if (names.length === 0) return [];
  const given = names.map((name) => `(has(self.${celName(name)}) ? 1 : 0)`).join(" + ");
  return [{ rule: `${given} ${count}`, message: `needs ${says} ${names.join(", ")}` }];
}

/** As Kubernetes writes fields that CEL has a word for. */
function celName(name: string): string {
  return CEL_WORDS.has(name) ? `__${name}__` : name;
}

function arrayPart(schema: Schema, isOpen: boolean): Structural {
  const { items = {}, uniqueBy } = schema;
  const { properties = {}, required = [] } = items;
  const isKey = (name: string): boolean =>
    required.includes(name) || properties[name]?.["default"] !== undefined;
  // The API server takes only keys that are always there; other doubles the controller names.
  const isMap = uniqueBy !== undefined && uniqueBy.every(isKey);
  return {
    type: "array",
    items: structural(items, isOpen),
    ...(isMap
      ? { "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [...uniqueBy] }
      : {}),
  };
}
