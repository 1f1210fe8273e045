//! The long parts of a DeltaDiscoveryRequest, of pieces that a thousand clients have in common:
//! they must not cost more than the server that they measure.

import type { Json } from "../../src/base/json.ts";
import type { EnvoyApi } from "../../src/controlplane/xds/envoy-api.ts";

export const REQUEST = "envoy.service.discovery.v3.DeltaDiscoveryRequest";

const pieces = new Map<string, Buffer>();
const PIECES_MAX = 200_000;

/** A part of the message, which may stand in front of and behind others. */
function piece(api: EnvoyApi, key: string, fields: Readonly<Record<string, Json>>): Buffer {
  const bytes = Buffer.from(api.encode(REQUEST, fields));
  if (pieces.size < PIECES_MAX) pieces.set(key, bytes);
  return bytes;
}

export function encodedNames(api: EnvoyApi, names: readonly string[]): Buffer[] {
  return names.map(
    (name) => pieces.get(name) ?? piece(api, name, { resource_names_subscribe: [name] }),
  );
}

export function encodedVersions(api: EnvoyApi, held: ReadonlyMap<string, string>): Buffer[] {
  return Array.from(held, ([name, version]) => {
    const key = `${name}\n${version}`;
    const fields = { initial_resource_versions: { [name]: version } };
    return pieces.get(key) ?? piece(api, key, fields);
  });
}
