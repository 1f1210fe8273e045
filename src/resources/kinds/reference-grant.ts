//! gateway.networking.k8s.io ReferenceGrant: which objects of other namespaces may name one here.

import Type from "../typebox.ts";
import type { Resource } from "../object.ts";
import { text } from "./fields.ts";
import { defineKind, described } from "./kind.ts";
import type { KindInfo } from "./kind.ts";
import { GATEWAY_API_GROUP } from "./route-fields.ts";

export interface ReferenceGrantSpec {
  readonly from: readonly {
    readonly group: string;
    readonly kind: string;
    readonly namespace: string;
  }[];
  readonly to: readonly {
    readonly group: string;
    readonly kind: string;
    /** Absent: every object of the kind. */
    readonly name?: string;
  }[];
}

export interface ReferenceGrant extends Resource {
  readonly spec: ReferenceGrantSpec;
}

const ENTRIES_MAX = 16;
const group = Type.Unsafe<string>({ type: "string", default: "" });

const spec = Type.Object({
  from: Type.Array(Type.Object({ group, kind: text(), namespace: text("dns-1123-label") }), {
    minItems: 1,
    maxItems: ENTRIES_MAX,
  }),
  to: Type.Array(Type.Object({ group, kind: text(), name: Type.Optional(text()) }), {
    minItems: 1,
    maxItems: ENTRIES_MAX,
  }),
});

export const REFERENCE_GRANT: KindInfo = defineKind({
  kind: "ReferenceGrant",
  plural: "referencegrants",
  singular: "referencegrant",
  shortNames: ["refgrant"],
  group: GATEWAY_API_GROUP,
  versions: ["v1beta1", "v1"],
  hasStatus: false,
  schema: Type.Object({ spec: described<ReferenceGrantSpec, typeof spec>(spec) }),
});
