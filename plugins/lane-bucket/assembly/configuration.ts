//! `{"header", "key": {"kind", "name", "trustedHops"}, "hash", "salt", "modulo"}`.

import { numberOf, textOf, wholeOf } from "../../../sdk/assemblyscript/assembly/fields";
import { JsonKind, JsonValue } from "../../../sdk/assemblyscript/assembly/json";
import { Utf8 } from "../../../sdk/assemblyscript/assembly/text";
import { HashKind, hashKindOf, prefixOf } from "../../../sdk/assemblyscript/assembly/key-hash";

const PPM_TOTAL: u32 = 1000000;
const HOPS_MAX: u32 = 1000000;

export enum KeyKind {
  header,
  cookie,
  clientIp,
}

export class Settings {
  header: Utf8 = new Utf8("");
  kind: KeyKind = KeyKind.header;
  /** The header that the key, or the cookie, stands in. */
  source: Utf8 = new Utf8("");
  cookie: Utf8 = new Utf8("");
  trustedHops: i32 = 0;
  hash: HashKind = HashKind.none;
  prefix: ArrayBuffer = new ArrayBuffer(0);
  modulo: u32 = 1;
}

export function readSettings(text: string, errors: string[]): Settings {
  const settings = new Settings();
  const whole = wholeOf(text, errors);
  if (whole === null) return settings;
  settings.header = new Utf8(textOf(whole, "header", errors));
  const key = whole.get("key");
  if (key === null || key.kind != JsonKind.object) errors.push("key must be an object");
  else readKey(key, settings, errors);
  const hash = textOf(whole, "hash", errors);
  settings.hash = hashKindOf(hash);
  if (settings.hash == HashKind.none) errors.push("hash " + hash + " is not known");
  const salt = whole.get("salt");
  settings.prefix = prefixOf(settings.hash, salt === null ? "" : salt.string);
  const modulo = numberOf(whole, "modulo", PPM_TOTAL);
  if (modulo < 1 || modulo > PPM_TOTAL || PPM_TOTAL % modulo != 0) {
    errors.push("modulo must divide 1000000");
  } else settings.modulo = modulo;
  return settings;
}

function readKey(key: JsonValue, settings: Settings, errors: string[]): void {
  const kind = textOf(key, "kind", errors);
  if (kind == "header") {
    settings.source = new Utf8(textOf(key, "name", errors));
  } else if (kind == "cookie") {
    settings.kind = KeyKind.cookie;
    settings.source = new Utf8("cookie");
    settings.cookie = new Utf8(textOf(key, "name", errors));
  } else if (kind == "clientIp") {
    settings.kind = KeyKind.clientIp;
    settings.source = new Utf8("x-forwarded-for");
    settings.trustedHops = <i32>numberOf(key, "trustedHops", HOPS_MAX);
  } else errors.push("key.kind " + kind + " is not known");
}
