//! v1 Secret.

import Type from "../typebox.ts";
import type { Resource } from "../object.ts";
import { accepted, mapOf, strings } from "./fields.ts";
import type { Labels } from "./fields.ts";
import { column, defineKind } from "./kind.ts";
import type { KindInfo } from "./kind.ts";

export interface Secret extends Resource {
  readonly type: string;
  /** Values in base64 (RFC 4648). */
  readonly data?: Labels;
  readonly stringData?: Labels;
}

export const SECRET: KindInfo = defineKind({
  kind: "Secret",
  plural: "secrets",
  singular: "secret",
  group: "",
  versions: ["v1"],
  hasStatus: false,
  schema: Type.Object({
    type: Type.String({ default: "Opaque" }),
    data: Type.Optional(
      mapOf(Type.Unsafe<string>({ type: "string", format: "base64" }), "data-key"),
    ),
    stringData: Type.Optional(strings()),
    immutable: accepted(),
  }),
  columns: [
    column("TYPE", (object) => (object as Secret).type),
    column("DATA", (object) => {
      const { data, stringData } = object as Secret;
      return String(new Set([...Object.keys(data ?? {}), ...Object.keys(stringData ?? {})]).size);
    }),
  ],
});
