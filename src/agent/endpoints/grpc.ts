//! Channels of @grpc/grpc-js: each call goes by a channel to the endpoints of its own lane. The
//! lane is looked for when the call starts: only then are its metadata complete.

import { bareTarget } from "../grpc.ts";
import type { DirectCallParts, GrpcCall, GrpcListener, GrpcMetadata } from "./grpc-call.ts";
import { LaneCall } from "./grpc-call.ts";
import type { Hop, Hops } from "./hops.ts";

interface Channel {
  getTarget(): string;
  close(): void;
}

type Method = (this: Channel, ...words: unknown[]) => unknown;

interface GrpcPackage {
  readonly Channel: { readonly prototype: Record<string, Method | undefined> };
  readonly Metadata: new () => GrpcMetadata;
}

/** Where the releases of the package keep what a channel was made with. */
interface Made {
  readonly credentials?: unknown;
  readonly options?: Readonly<Record<string, unknown>>;
}

/** Of one channel of the app; the one that has not been asked for the longest goes. */
const CHANNELS_MAX = 32;
const UNAVAILABLE = 14;
const DEFAULT_PORT = "443";
const ROUND_ROBIN = JSON.stringify({ loadBalancingConfig: [{ round_robin: {} }] });

/** Channels of ours, by the app's and then by their endpoints. */
const ours = new WeakMap<object, Map<string, Channel>>();
const isOurs = new WeakSet<object>();

export function patchChannels(hops: Hops, exports: object): void {
  const { Channel, Metadata } = exports as GrpcPackage;
  const { prototype } = Channel;
  const { createCall, close } = prototype;
  if (createCall === undefined || close === undefined) return;
  prototype["createCall"] = function (...words) {
    const make = (channel: Channel): GrpcCall =>
      Reflect.apply(createCall, channel, words) as GrpcCall;
    const authority = isOurs.has(this) ? null : authorityOf(this.getTarget());
    if (authority === null || !hops.knows(authority)) return make(this);
    return new LaneCall(authority, (metadata) => partsOf(this, { authority, metadata }, make));
  };
  prototype["close"] = function (...words) {
    for (const each of ours.get(this)?.values() ?? []) each.close();
    ours.delete(this);
    return Reflect.apply(close, this, words);
  };
  // Readiness is asked outside any call: the baseline's.
  for (const name of ["getConnectivityState", "watchConnectivityState"]) {
    const ask = prototype[name];
    if (ask === undefined) continue;
    prototype[name] = function (...words) {
      const authority = isOurs.has(this) ? null : authorityOf(this.getTarget());
      const hop = authority === null ? null : hops.route(authority, () => undefined);
      const channel = hop === null || authority === null ? null : channelTo(this, authority, hop);
      return Reflect.apply(ask, channel ?? this, words);
    };
  }

  function partsOf(
    channel: Channel,
    { authority, metadata }: { readonly authority: string; readonly metadata: GrpcMetadata },
    make: (channel: Channel) => GrpcCall,
  ): DirectCallParts {
    const hop = hops.route(authority, (name) => textOf(metadata.get(name)[0]));
    if (hop === null) return { call: make(channel), metadata };
    const sent = metadata.clone();
    for (const [name, value] of hop.context) {
      if (value === null) sent.remove(name);
      else sent.set(name, value);
    }
    if (hop.failure !== null) return { call: failed(hop.failure), metadata: sent };
    return { call: make(channelTo(channel, authority, hop) ?? channel), metadata: sent };
  }

  function failed({ message }: Error): Pick<GrpcCall, "start"> {
    return {
      start: (_metadata: GrpcMetadata, listener: GrpcListener) => {
        process.nextTick(() => {
          const status = { code: UNAVAILABLE, details: message, metadata: new Metadata() };
          listener.onReceiveStatus(status);
        });
      },
    };
  }
}

/** Null: this release keeps elsewhere what is needed, or there is no endpoint. */
function channelTo(channel: Channel, authority: string, { endpoints }: Hop): Channel | null {
  const inner = Reflect.get(channel, "internalChannel") as Made | undefined;
  const { credentials, options = {} } = inner ?? (channel as Made);
  const [first] = endpoints;
  if (credentials === undefined || first === undefined) return null;
  const isV6 = first.address.includes(":");
  const addresses = endpoints
    .filter(({ address }) => address.includes(":") === isV6)
    .map(({ address, port }) => (isV6 ? `[${address}]:${port}` : `${address}:${port}`))
    .sort();
  const target = `${isV6 ? "ipv6" : "ipv4"}:${addresses.join(",")}`;
  const known = ours.get(channel) ?? new Map<string, Channel>();
  ours.set(channel, known);
  const found = known.get(target);
  if (found !== undefined) {
    known.delete(target);
    known.set(target, found);
    return found;
  }
  const Made = channel.constructor as new (...words: unknown[]) => Channel;
  const made = new Made(target, credentials, {
    "grpc.service_config": ROUND_ROBIN,
    "grpc.default_authority": authority,
    "grpc.ssl_target_name_override": authority.replace(/:\d+$/, ""),
    ...options,
  });
  isOurs.add(made);
  known.set(target, made);
  for (const [oldest, old] of known) {
    if (known.size <= CHANNELS_MAX) break;
    known.delete(oldest);
    old.close();
  }
  return made;
}

/** `host:port`; null: a list, a path or the like. */
function authorityOf(target: string): string | null {
  const bare = bareTarget(target);
  if (bare.includes("/") || bare.includes(",")) return null;
  return /:\d+$/.test(bare) ? bare : `${bare}:${DEFAULT_PORT}`;
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}
