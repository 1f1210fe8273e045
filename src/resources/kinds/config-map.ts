//! v1 ConfigMap.

import Type from "../typebox.ts";
import type { Resource } from "../object.ts";
import { accepted, mapOf } from "./fields.ts";
import type { Labels } from "./fields.ts";
import { column, defineKind } from "./kind.ts";
import type { KindInfo } from "./kind.ts";

export interface ConfigMap extends Resource {
  readonly data?: Labels;
  /** Values in base64 (RFC 4648). */
  readonly binaryData?: Labels;
}

export const CONFIG_MAP: KindInfo = defineKind({
  kind: "ConfigMap",
  plural: "configmaps",
  singular: "configmap",
  shortNames: ["cm"],
  group: "",
  versions: ["v1"],
  hasStatus: false,
  schema: Type.Object({
    data: Type.Optional(mapOf(Type.Unsafe<string>({ type: "string" }), "data-key")),
    binaryData: Type.Optional(
      mapOf(Type.Unsafe<string>({ type: "string", format: "base64" }), "data-key"),
    ),
    immutable: accepted(),
  }),
  columns: [
    column("DATA", (object) => {
      const { data, binaryData } = object as ConfigMap;
      return String(Object.keys(data ?? {}).length + Object.keys(binaryData ?? {}).length);
    }),
  ],
});
