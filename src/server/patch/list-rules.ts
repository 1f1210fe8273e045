//! How the lists of Kubernetes' own kinds are merged: by a key, as a set, or not at all.
//!
//! Kubernetes writes this into its Go types (`patchMergeKey`, `listMapKey`). Lists that stand here
//! are those of the kinds that we serve; every other list, and each of a custom resource, is
//! replaced as a whole ("atomic"), as a Kubernetes API server does.

export type ListRule =
  | {
      readonly kind: "map";
      /** Tells two items apart in a strategic merge patch. */
      readonly mergeKey: string;
      /** Tells them apart in server-side apply, with the defaults of keys that may be left out. */
      readonly keys: Readonly<Record<string, string | null>>;
    }
  | { readonly kind: "set" };

function byKey(mergeKey: string): ListRule {
  return { kind: "map", mergeKey, keys: { [mergeKey]: null } };
}

function ports(mergeKey: string): ListRule {
  return { kind: "map", mergeKey, keys: { [mergeKey]: null, protocol: "TCP" } };
}

const SET: ListRule = { kind: "set" };

const CONTAINER: Readonly<Record<string, ListRule>> = {
  "": byKey("name"),
  ".env": byKey("name"),
  ".ports": ports("containerPort"),
  ".volumeMounts": byKey("mountPath"),
  ".volumeDevices": byKey("devicePath"),
};

const POD_SPEC: Readonly<Record<string, ListRule>> = {
  ...under("containers", CONTAINER),
  ...under("initContainers", CONTAINER),
  volumes: byKey("name"),
  imagePullSecrets: byKey("name"),
  hostAliases: byKey("ip"),
};

const METADATA: Readonly<Record<string, ListRule>> = {
  "metadata.finalizers": SET,
  "metadata.ownerReferences": byKey("uid"),
};

const RULES: Readonly<Record<string, Readonly<Record<string, ListRule>>>> = {
  "/Pod": under("spec.", POD_SPEC),
  "/Service": { "spec.ports": ports("port") },
  "apps/Deployment": under("spec.template.spec.", POD_SPEC),
};

function under(
  prefix: string,
  rules: Readonly<Record<string, ListRule>>,
): Record<string, ListRule> {
  return Object.fromEntries(Object.entries(rules).map(([path, rule]) => [prefix + path, rule]));
}

/** The rule of the list at a path of field names; items of lists add none. `null`: atomic. */
export type ListRules = (path: readonly string[]) => ListRule | null;

export function listRulesOf(group: string, kind: string): ListRules {
  const own = RULES[`${group}/${kind}`] ?? {};
  return (path) => {
    const text = path.join(".");
    return own[text] ?? METADATA[text] ?? null;
  };
}

/** Kinds whose Go types are in kubectl, for which it sends strategic merge patches. */
export function hasStrategicMerge(group: string): boolean {
  return group === "" || group === "apps" || group.endsWith(".k8s.io");
}
