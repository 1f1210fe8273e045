//! istio.alibabacloud.com ASMHeaderPropagation: headers that ASM's sidecars carry in the baggage.

import Type from "../typebox.ts";
import type { Resource } from "../object.ts";
import { labels, text } from "./fields.ts";
import type { Labels } from "./fields.ts";
import { defineKind, described } from "./kind.ts";
import type { JsonObject, KindInfo, Report } from "./kind.ts";
import { items, member } from "./member.ts";
import { anyStatus } from "./pod-template.ts";

export interface AsmHeaderPropagationSpec {
  /** Absent: every workload of the namespace. */
  readonly workloadSelector?: { readonly labels?: Labels };
  readonly headers?: readonly string[];
  readonly headerPrefix?: readonly string[];
}

export interface AsmHeaderPropagation extends Resource {
  readonly spec: AsmHeaderPropagationSpec;
}

const spec = Type.Object({
  workloadSelector: Type.Optional(Type.Object({ labels: Type.Optional(labels()) })),
  headers: Type.Optional(Type.Array(text("header-name"))),
  headerPrefix: Type.Optional(Type.Array(text("header-name"))),
});

export const ASM_HEADER_PROPAGATION: KindInfo = defineKind({
  kind: "ASMHeaderPropagation",
  plural: "asmheaderpropagations",
  singular: "asmheaderpropagation",
  group: "istio.alibabacloud.com",
  versions: ["v1beta1", "v1"],
  schema: Type.Object({
    spec: described<AsmHeaderPropagationSpec, typeof spec>(spec),
    status: anyStatus(),
  }),
  check: checkPropagation,
});

function checkPropagation(object: JsonObject, report: Report): void {
  const names = ["headers", "headerPrefix"];
  if (names.some((name) => items(member(object, "spec", name)).length > 0)) return;
  report({
    code: "GL0104",
    path: ["spec", "headers"],
    says: "or headerPrefix is required",
    remedy: "Name the headers to carry, e.g. headers: [x-asm-prefer-tag].",
  });
}
