//! Reads a DeltaDiscoveryRequest straight from its bytes. An Envoy that comes back says the name
//! and the version of all that it has, some thousands of them, and a thousand may come back at
//! once: no value is made on the way to its JSON form.

import type { Json, JsonObject } from "../../base/json.ts";
import type { EnvoyApi } from "./envoy-api.ts";
import type { AdsRequest } from "./type-channel.ts";
import { WIRE_BYTES, WireError, WireReader } from "./wire.ts";

export interface SaidRequest {
  /** Who says it: only in the first request of a stream. */
  readonly node: Json | undefined;
  readonly request: AdsRequest;
}

export const NO_VERSIONS: ReadonlyMap<string, string> = new Map<string, string>();
/** Fields of `envoy.service.discovery.v3.DeltaDiscoveryRequest`, by number. */
const NODE = 1;
const TYPE_URL = 2;
const SUBSCRIBE = 3;
const UNSUBSCRIBE = 4;
const INITIAL_VERSIONS = 5;
const NONCE = 6;
const ERROR = 7;
/** Of an entry of a map. */
const KEY = 1;
const VALUE = 2;
/** Names are the same in all streams: so many are kept, then they are kept anew. */
const NAMES_MAX = 100_000;

export class DeltaRequestReader {
  readonly #api: EnvoyApi;
  #names = new Map<string, string>();

  constructor(api: EnvoyApi) {
    this.#api = api;
  }

  /** Throws `WireError`. Fields that are not known are left out. */
  read(bytes: Uint8Array): SaidRequest {
    const subscribe: string[] = [];
    const unsubscribe: string[] = [];
    const initialVersions = new Map<string, string>();
    let [typeUrl, nonce] = ["", ""];
    let error: string | null = null;
    let node: Json | undefined;
    for (const reader = new WireReader(bytes); !reader.isAtEnd;) {
      const { id, wireType } = reader.tag();
      if (wireType !== WIRE_BYTES) reader.skip(wireType);
      else if (id === INITIAL_VERSIONS) this.#readEntry(reader, initialVersions);
      else if (id === SUBSCRIBE) subscribe.push(this.#name(reader));
      else if (id === UNSUBSCRIBE) unsubscribe.push(this.#name(reader));
      else if (id === TYPE_URL) typeUrl = this.#name(reader);
      else if (id === NONCE) nonce = reader.text();
      else if (id === NODE) node = this.#api.decode("envoy.config.core.v3.Node", reader.bytes());
      else if (id === ERROR) error = errorOf(this.#api.decode("google.rpc.Status", reader.bytes()));
      else reader.skip(wireType);
    }
    const names = { subscribe, unsubscribe };
    return { node, request: { typeUrl, ...names, initialVersions, nonce, error } };
  }

  #readEntry(reader: WireReader, into: Map<string, string>): void {
    const end = reader.enter();
    let [name, version] = ["", ""];
    while (reader.offset < end) {
      const { id, wireType } = reader.tag();
      if (wireType === WIRE_BYTES && id === KEY) name = this.#name(reader);
      else if (wireType === WIRE_BYTES && id === VALUE) version = reader.text();
      else reader.skip(wireType);
    }
    if (reader.offset !== end) throw new WireError("a field ends behind the one that it is in");
    into.set(name, version);
  }

  /** The same text for the same name, of which the hash is known. */
  #name(reader: WireReader): string {
    const text = reader.text();
    const known = this.#names.get(text);
    if (known !== undefined) return known;
    if (this.#names.size === NAMES_MAX) this.#names = new Map();
    this.#names.set(text, text);
    return text;
  }
}

/** Envoy's words in a `google.rpc.Status`; null: there is none. */
export function errorOf(detail: Json | undefined): string | null {
  if (detail === undefined) return null;
  const words = textOf((detail as JsonObject)["message"]);
  return words === "" ? "no reason given" : words;
}

export function textOf(value: Json | undefined): string {
  return typeof value === "string" ? value : "";
}
