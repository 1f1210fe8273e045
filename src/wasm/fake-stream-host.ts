//! A `StreamHost` for tests: two header lists, and a record of what the plug-in asked for.

import { MapKind, Status } from "./enums.ts";
import type { StreamKind, StreamMapKind, TrailersKind } from "./enums.ts";
import type { HeaderPair } from "./header-pairs.ts";
import type { HeaderMap, LocalResponse, StreamHost, UpstreamHost } from "./stream-host.ts";

export class FakeHeaderMap implements HeaderMap {
  pairs: HeaderPair[];

  constructor(pairs: readonly HeaderPair[]) {
    this.pairs = [...pairs];
  }

  get size(): number {
    return this.pairs.length;
  }

  get(name: string): string | undefined {
    return this.pairs.find((pair) => pair[0] === name)?.[1];
  }

  set(name: string, value: string): void {
    const index = this.pairs.findIndex((pair) => pair[0] === name);
    if (index === -1) this.add(name, value);
    else this.pairs = this.pairs.filter((pair, at) => at === index || pair[0] !== name);
    if (index !== -1) this.pairs[index] = [name, value];
  }

  add(name: string, value: string): void {
    this.pairs.push([name, value]);
  }

  remove(name: string): void {
    this.pairs = this.pairs.filter((pair) => pair[0] !== name);
  }

  forEach(visit: (name: string, value: string) => void): void {
    for (const [name, value] of this.pairs) visit(name, value);
  }

  replaceAll(pairs: readonly HeaderPair[]): void {
    this.pairs = [...pairs];
  }
}

export class FakeStreamHost implements StreamHost {
  explaining = false;
  readonly request: FakeHeaderMap;
  readonly response: FakeHeaderMap | null;
  readonly trailers: Map<StreamMapKind, FakeHeaderMap> = new Map<StreamMapKind, FakeHeaderMap>();
  readonly properties: Map<string, Uint8Array> = new Map<string, Uint8Array>();
  /** What the plug-in asked for, in order, e.g. `continue 0`. */
  readonly events: string[] = [];
  readonly responses: LocalResponse[] = [];
  hosts: readonly UpstreamHost[] = [];
  /** One text for each report of reasons. */
  readonly explanations: string[] = [];

  constructor(request: readonly HeaderPair[], response: readonly HeaderPair[] | null = null) {
    this.request = new FakeHeaderMap(request);
    this.response = response === null ? null : new FakeHeaderMap(response);
  }

  headerMap(kind: StreamMapKind): HeaderMap | null {
    if (kind === MapKind.requestHeaders) return this.request;
    return kind === MapKind.responseHeaders ? this.response : (this.trailers.get(kind) ?? null);
  }

  createTrailers(kind: TrailersKind): HeaderMap {
    const trailers = new FakeHeaderMap([]);
    this.trailers.set(kind, trailers);
    return trailers;
  }

  onVmTrap(): void {
    this.events.push("vm trapped");
  }

  property(path: readonly string[]): Uint8Array | null {
    return this.properties.get(path.join(".")) ?? null;
  }

  setProperty(name: string, value: Uint8Array): Status {
    if (name === "graylane.explain") this.explanations.push(Buffer.from(value).toString("utf8"));
    else this.properties.set(name, value);
    return Status.ok;
  }

  clearRouteCache(): void {
    this.events.push("clear route cache");
  }

  sendLocalResponse(response: LocalResponse): void {
    this.responses.push(response);
    this.events.push(`respond ${response.status}`);
  }

  takesResponseBody = true;

  injectResponseBody(body: Uint8Array, endOfStream: boolean): void {
    this.events.push(`inject ${Buffer.from(body).toString()}${endOfStream ? " end" : ""}`);
  }

  upstreamHosts(): readonly UpstreamHost[] {
    return this.hosts;
  }

  overrideUpstreamHost(address: string): void {
    this.events.push(`override ${address}`);
  }

  continueStream(kind: StreamKind): void {
    this.events.push(`continue ${kind}`);
  }

  closeStream(kind: StreamKind): void {
    this.events.push(`close ${kind}`);
  }
}
