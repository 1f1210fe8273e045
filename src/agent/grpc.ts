//! Calls of @grpc/grpc-js: the context's headers are added to their metadata when the call is made.
//!
//! Later would be wrong: a call that waits for its connection leaves in the context of whoever made
//! the connection.

import { AsyncResource } from "node:async_hooks";
import { current, mayCarryTo, quietly } from "./carry.ts";
import type { Carried, CarrySettings } from "./carry.ts";
import { onPackage } from "./packages.ts";

interface Metadata {
  get(name: string): readonly unknown[];
  set(name: string, value: string): void;
  clone(): Metadata;
}

interface GrpcPackage {
  readonly Client: { readonly prototype: Record<string, ReadArguments | undefined> };
}

interface GrpcClient {
  getChannel(): { getTarget(): string };
}

/** What a call has found in the arguments that it was given, each of them optional. */
interface Arguments {
  readonly metadata: Metadata;
  readonly callback?: (...words: unknown[]) => unknown;
}

type ReadArguments = (this: GrpcClient, ...words: unknown[]) => Arguments;

/**
 * Every call of a client, made by a generated stub or by hand, reads its arguments through one of
 * these. The calls themselves cannot be replaced: stubs hold on to them from the start.
 */
const READERS: readonly string[] = [
  "checkOptionalUnaryResponseArguments",
  "checkMetadataAndOptions",
];
const PACKAGE = /(?:^|[\\/])@grpc[\\/]grpc-js(?:[\\/]build[\\/]src[\\/]index\.js)?$/;

export function patchGrpc(settings: CarrySettings): void {
  onPackage(PACKAGE, (exports) => {
    quietly(() => settings.direct?.patchGrpc(exports));
    const { prototype } = (exports as GrpcPackage).Client;
    for (const name of READERS) {
      const read = prototype[name];
      if (read === undefined) continue;
      prototype[name] = function (...words) {
        const found = Reflect.apply(read, this, words);
        let sent = found;
        quietly(() => {
          sent = withCarried(this, found, settings);
        });
        return sent;
      };
    }
  });
}

function withCarried(client: GrpcClient, found: Arguments, settings: CarrySettings): Arguments {
  const carried = current();
  if (carried.length === 0) return found;
  const target = bareTarget(client.getChannel().getTarget());
  const isKnown = settings.direct?.knows(target) === true;
  if (!isKnown && !mayCarryTo(target.replace(/:\d+$/, ""), settings)) return found;
  const metadata = found.metadata.clone();
  addTo(metadata, carried);
  const { callback } = found;
  // An answer arrives in the context of the connection.
  if (typeof callback !== "function") return { ...found, metadata };
  return { ...found, metadata, callback: AsyncResource.bind(callback) };
}

function addTo(metadata: Metadata, carried: Carried): void {
  for (const [name, value] of carried) {
    if (metadata.get(name).length === 0) metadata.set(name, value);
  }
}

/** `dns:///orders.default:9000`, `ipv4:127.0.0.1:9000`, `orders:9000`. */
export function bareTarget(target: string): string {
  return target.replace(/^(?:dns|ipv4|ipv6|passthrough):(?:\/\/[^/]*\/)?/, "");
}
