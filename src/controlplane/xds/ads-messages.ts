//! The requests and responses of both protocols of xDS, between bytes and what a session reads.
//!
//! A resource is encoded once, however many Envoys it goes to.

import type { Json, JsonObject } from "../../base/json.ts";
import { TYPE_URLS } from "../../compile-envoy/envoy-config.ts";
import type { EnvoyResource, ResourceType } from "../../compile-envoy/envoy-config.ts";
import type { AdsResponse, XdsMode } from "./ads-session.ts";
import type { EnvoyApi } from "./envoy-api.ts";
import { versionOf } from "./type-channel.ts";
import { DeltaRequestReader, NO_VERSIONS, errorOf, textOf } from "./delta-request.ts";
import type { SaidRequest } from "./delta-request.ts";
import type { AdsRequest } from "./type-channel.ts";
import { WIRE_BYTES, WireWriter } from "./wire.ts";

const SERVICE = "envoy.service.discovery.v3";
const SOTW_REQUEST = `${SERVICE}.DiscoveryRequest`;
const RESPONSE_TYPES: Readonly<Record<XdsMode, string>> = {
  delta: `${SERVICE}.DeltaDiscoveryResponse`,
  sotw: `${SERVICE}.DiscoveryResponse`,
};
const RESOURCE_TYPE = `${SERVICE}.Resource`;
const ANY_TYPE = "google.protobuf.Any";
/** `resources` has this number in the responses of both protocols. */
const RESOURCES_FIELD = 2;

export class AdsMessages {
  readonly #api: EnvoyApi;
  readonly #deltaRequests: DeltaRequestReader;
  readonly #bytes: Readonly<Record<XdsMode, WeakMap<JsonObject, Buffer>>> = {
    delta: new WeakMap(),
    sotw: new WeakMap(),
  };

  constructor(api: EnvoyApi) {
    this.#api = api;
    this.#deltaRequests = new DeltaRequestReader(api);
  }

  /** Throws `WireError`. */
  decode(mode: XdsMode, bytes: Uint8Array): SaidRequest {
    if (mode === "delta") return this.#deltaRequests.read(bytes);
    const request = this.#api.decode(SOTW_REQUEST, bytes) as JsonObject;
    return { node: request["node"], request: readSotw(request) };
  }

  encode(mode: XdsMode, response: AdsResponse): Buffer {
    const { type, version, nonce, resources, removed } = response;
    const head: Record<string, Json> = { type_url: TYPE_URLS[type], nonce };
    head[mode === "delta" ? "system_version_info" : "version_info"] = version;
    if (removed.length > 0) head["removed_resources"] = removed;
    const parts = resources.map((resource) => this.#resource(mode, type, resource));
    // The order of fields is free: every reader takes the resources behind the others, too.
    return Buffer.concat([this.#api.encode(RESPONSE_TYPES[mode], head), ...parts]);
  }

  /** Of what may be many: the rest is small. */
  sizeOf(mode: XdsMode, { type, resources, removed }: AdsResponse): number {
    const names = removed.reduce((sum, name) => sum + name.length, 0);
    return resources.reduce((sum, one) => sum + this.#resource(mode, type, one).length, names);
  }

  sizeOfResource(mode: XdsMode, type: ResourceType, resource: EnvoyResource): number {
    return this.#resource(mode, type, resource).length;
  }

  /** As a field of the response: with its tag and its length. */
  #resource(mode: XdsMode, type: AdsResponse["type"], resource: EnvoyResource): Buffer {
    const known = this.#bytes[mode].get(resource.json);
    if (known !== undefined) return known;
    const any = { "@type": TYPE_URLS[type], ...resource.json };
    const content =
      mode === "sotw"
        ? this.#api.encode(ANY_TYPE, any)
        : this.#api.encode(RESOURCE_TYPE, {
            ...{ name: resource.name, version: versionOf(resource), resource: any },
          });
    const writer = new WireWriter();
    writer.tag(RESOURCES_FIELD, WIRE_BYTES);
    writer.bytes(content);
    // A copy: the writer's buffer is larger than what it holds.
    const bytes = Buffer.from(writer.finish());
    this.#bytes[mode].set(resource.json, bytes);
    return bytes;
  }
}

/** A request of the state of the world, from the JSON form of its message. */
function readSotw(request: JsonObject): AdsRequest {
  const names = request["resource_names"] as readonly string[] | undefined;
  return {
    ...{ typeUrl: textOf(request["type_url"]), nonce: textOf(request["response_nonce"]) },
    ...{ subscribe: names ?? [], unsubscribe: [], initialVersions: NO_VERSIONS },
    error: errorOf(request["error_detail"]),
  };
}
