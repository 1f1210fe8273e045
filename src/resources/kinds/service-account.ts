//! v1 ServiceAccount: who a program is. Its tokens are asked for, and are stored nowhere.

import Type from "../typebox.ts";
import type { Resource } from "../object.ts";
import { acceptedFields } from "./fields.ts";
import { column, defineKind } from "./kind.ts";
import type { KindInfo } from "./kind.ts";
import { items } from "./member.ts";

export type ServiceAccount = Resource;

export const SERVICE_ACCOUNT: KindInfo = defineKind({
  kind: "ServiceAccount",
  plural: "serviceaccounts",
  singular: "serviceaccount",
  shortNames: ["sa"],
  group: "",
  versions: ["v1"],
  hasStatus: false,
  schema: Type.Object({
    ...acceptedFields("secrets", "imagePullSecrets", "automountServiceAccountToken"),
  }),
  columns: [column("SECRETS", (object) => String(items(object["secrets"]).length))],
});
