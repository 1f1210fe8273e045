//! Properties that are declared to be texts and messages, with what is stored in each.

import { CLUSTER } from "../../support/conformance.ts";
import { fieldBytes, percent } from "./case-parts.ts";

const TEXT = 1;
const MESSAGE = 3;
const URL = "type.googleapis.com/google.protobuf";

function text(field: number, value: string): Buffer {
  return fieldBytes(field, Buffer.from(value));
}

/** `{k: "v"}` as a Struct. */
const STRUCT = fieldBytes(1, Buffer.concat([text(1, "k"), fieldBytes(2, text(3, "v"))]));
/** `{k: {k: "v"}}`. */
const DEEPER = fieldBytes(1, Buffer.concat([text(1, "k"), fieldBytes(2, fieldBytes(5, STRUCT))]));
const SECONDS = Buffer.from([1 * 8, 5, 2 * 8, 7]);

interface Declared {
  readonly name: string;
  readonly type: number;
  readonly schema: string;
  readonly value: Buffer;
}

function message(name: string, schema: string, value: Buffer): Declared {
  return { name, type: MESSAGE, schema, value };
}

export const DECLARED: readonly Declared[] = [
  { name: "a-text", type: TEXT, schema: "", value: Buffer.from("ab") },
  { name: "a-text-with-schema", type: TEXT, schema: `${URL}.Struct`, value: Buffer.from("ab") },
  { name: "a-bytes-with-schema", type: 0, schema: `${URL}.Struct`, value: STRUCT },
  { name: "an-unknown-type", type: 9, schema: "", value: Buffer.from("ab") },
  message("a-struct", `${URL}.Struct`, STRUCT),
  message("a-deep-struct", "x/google.protobuf.Struct", DEEPER),
  message("a-value", `${URL}.Value`, text(3, "vv")),
  message("a-list", `${URL}.ListValue`, fieldBytes(1, text(3, "li"))),
  message("a-string", `${URL}.StringValue`, text(1, "hey")),
  message("an-empty-string", `${URL}.StringValue`, Buffer.alloc(0)),
  message("an-int", `${URL}.Int64Value`, Buffer.from([8, 42])),
  message("a-uint", `${URL}.UInt32Value`, Buffer.from([8, 42])),
  message("a-bool", `${URL}.BoolValue`, Buffer.from([8, 1])),
  message("a-duration", `${URL}.Duration`, SECONDS),
  message("a-time", `${URL}.Timestamp`, SECONDS),
  message("no-message", `${URL}.Struct`, Buffer.from("ab")),
  message("no-type", "", Buffer.from("ab")),
  message("no-url", "google.protobuf.Struct", STRUCT),
];

const GET_CALL = "p::method=GET&:path=/call&:authority=echo&:scheme=http";

/** A script that declares them in the callback of a call, where the context is the root. */
export const DECLARES: readonly string[] = [
  `rh http_call s:${CLUSTER} ${GET_CALL} s: p: 2000 n`,
  "rh return 1",
  ...DECLARED.map(({ name, type, schema }) => {
    const input = Buffer.concat([text(1, name), Buffer.from([3 * 8, type]), text(4, schema)]);
    return `call call_foreign_function s:declare_property s:${percent(input)} v`;
  }),
  "call set_effective_context $s",
  "call continue_stream 0",
];

/** A script that stores them. */
export const DECLARED_STORED: readonly string[] = DECLARED.map(
  ({ name, value }) => `rh set_property s:${name} s:${percent(value)}`,
);
