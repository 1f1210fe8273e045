//! Follows the services of some groups of one namespace of Nacos: lists them, subscribes to each,
//! and keeps what was said last when the server goes away.

import { timestamp } from "../../base/clock.ts";
import type { Clock, Timer } from "../../base/clock.ts";
import { compareTexts } from "../../compile/messages.ts";
import type { RegistryAnswer, RegistryService } from "../../compile/registry.ts";
import { isRecord } from "../publish/inputs.ts";
import { NacosConnection } from "./connection.ts";
import { logIn } from "./login.ts";
import type { Token } from "./login.ts";
import type { JsonRecord } from "./payload.ts";
import { plainName, readServiceInfo } from "./service-info.ts";
import type { ServiceInfo } from "./service-info.ts";

export interface RegistrySettings {
  readonly host: string;
  /** Of the HTTP API. */
  readonly port: number;
  readonly grpcPort: number;
  readonly namespace: string;
  readonly groups: readonly string[];
  /** Null: nobody logs in. */
  readonly user: { readonly name: string; readonly password: string } | null;
}

export interface NacosRegistryOptions {
  readonly settings: RegistrySettings;
  readonly clock: Clock;
  /** What is known has changed. */
  readonly onChange: () => void;
  /** Services that are followed; absent: `SERVICES_MAX`. */
  readonly servicesMax?: number;
}

/** How often the names are listed: a new service is known as soon as a changed one. */
export const LIST_MS = 400;
/**
 * Services that routes or lanes name are asked for with each list, so many at one time and in
 * turns: what servers push comes up to a second late.
 */
export const POLLED_MAX = 32;
/** How often each service is asked for although nothing was pushed. */
export const REFRESH_MS = 30_000;
/** So long after a connection was made, what has become empty is not believed. */
export const KEEP_MS = 15_000;
export const RETRY_MS_MIN = 250;
export const RETRY_MS_MAX = 5_000;
/** Of one registry; further ones, by name, are left out. */
export const SERVICES_MAX = 2_000;
const PAGE_SIZE = 500;
/** Requests at one time. */
const ASKED_AT_ONCE = 32;
/** Of a token's life; then another is asked for. */
const TOKEN_SHARE = 0.8;
const HOST = /^(?=.{1,253}$)[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?(\.[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?)*$/;

interface Followed {
  readonly group: string;
  readonly name: string;
  readonly host: string;
  /** Monotonic time of the last subscription by this connection; -Infinity: there was none. */
  subscribedMs: number;
  /** Of the last time that it was asked for. */
  askedMs: number;
  madeMs: number;
  /** That by which it is called: stays while the service is known. */
  port: number;
  info: ServiceInfo | null;
}

export class NacosRegistry {
  readonly #options: NacosRegistryOptions;
  /** By group and name. */
  readonly #services = new Map<string, Followed>();
  #named: ReadonlySet<string> = new Set();
  #unusable: readonly string[] = [];
  #token: (Token & { readonly renewMs: number }) | null = null;
  #connectedMs = -Infinity;
  #heardMs = 0;
  #fault = "not asked yet";
  #retryMs = RETRY_MS_MIN;
  #isStopped = false;
  #answer: RegistryAnswer | null = null;
  #stopWaiting: () => void = () => undefined;
  #endSession: (reason: string) => void = () => undefined;
  /** Resolves when the server has said all, or has failed to. */
  readonly first: Promise<void>;
  #resolveFirst: () => void = () => undefined;

  constructor(options: NacosRegistryOptions) {
    this.#options = options;
    this.first = new Promise((resolve) => {
      this.#resolveFirst = resolve;
    });
    void this.#run();
  }

  get answer(): RegistryAnswer {
    this.#answer ??= this.#makeAnswer();
    return this.#answer;
  }

  /** Hosts that routes or lanes name. */
  name(hosts: ReadonlySet<string>): void {
    this.#named = hosts;
  }

  stop(): void {
    this.#isStopped = true;
    this.#endSession("stopped");
    this.#stopWaiting();
    this.#resolveFirst();
  }

  async #run(): Promise<void> {
    for (;;) {
      const reason = await this.#session();
      if (this.#isStopped) return;
      if (this.#fault !== reason) this.#say(reason);
      this.#resolveFirst();
      await this.#wait(this.#retryMs);
      this.#retryMs = Math.min(RETRY_MS_MAX, this.#retryMs * 2);
    }
  }

  /** From a connection to its end, of which it resolves to the reason. */
  async #session(): Promise<string> {
    const { settings, clock } = this.#options;
    const ended = new Promise<string>((resolve) => {
      this.#endSession = resolve;
    });
    let connection: NacosConnection | null = null;
    try {
      await this.#logIn();
      connection = new NacosConnection({
        ...{ host: settings.host, port: settings.grpcPort, namespace: settings.namespace, clock },
        headers: () => (this.#token === null ? {} : { accessToken: this.#token.text }),
        onPush: (body) => {
          this.#onPush(body);
        },
        onEnd: this.#endSession,
      });
      for (const service of this.#services.values()) {
        service.subscribedMs = -Infinity;
        service.madeMs = 0;
      }
      const following = this.#follow(connection);
      // Whoever loses this race ends with the connection.
      following.catch(() => undefined);
      return await Promise.race([ended, following]);
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    } finally {
      connection?.close();
    }
  }

  async #follow(connection: NacosConnection): Promise<never> {
    const { clock } = this.#options;
    await connection.open();
    this.#connectedMs = clock.monotonicMs();
    for (;;) {
      await this.#logIn();
      await this.#list(connection);
      this.#heardMs = clock.nowMs();
      this.#retryMs = RETRY_MS_MIN;
      if (this.#fault !== "") this.#say("");
      this.#resolveFirst();
      await this.#wait(LIST_MS);
    }
  }

  async #logIn(): Promise<void> {
    const { settings, clock } = this.#options;
    const { host, port, user } = settings;
    if (user === null) return;
    if (this.#token !== null && clock.monotonicMs() < this.#token.renewMs) return;
    this.#token = null;
    const login = { host, port, username: user.name, password: user.password, clock };
    const token = await logIn(login);
    this.#token = { ...token, renewMs: clock.monotonicMs() + token.lifeTimeMs * TOKEN_SHARE };
  }

  async #list(connection: NacosConnection): Promise<void> {
    const { groups } = this.#options.settings;
    const { servicesMax = SERVICES_MAX } = this.#options;
    const listed = new Set<string>();
    const unusable: string[] = [];
    for (const group of groups) {
      for (const name of await this.#namesOf(group, connection)) {
        const key = keyOf(group, name);
        const host = this.#hostOf(group, name);
        if (listed.has(key)) continue;
        if (!HOST.test(host) || listed.size >= servicesMax) {
          unusable.push(HOST.test(host) ? `${name} (more than ${servicesMax} services)` : name);
          continue;
        }
        listed.add(key);
        if (this.#services.has(key)) continue;
        const never = { subscribedMs: -Infinity, askedMs: -Infinity };
        const unknown = { ...never, madeMs: 0, port: 0, info: null };
        this.#services.set(key, { group, name, host, ...unknown });
      }
    }
    this.#drop(listed);
    if (unusable.join() !== this.#unusable.join()) {
      this.#unusable = unusable;
      this.#changed();
    }
    await this.#refresh(listed, connection);
  }

  async #namesOf(group: string, connection: NacosConnection): Promise<string[]> {
    const { namespace } = this.#options.settings;
    const names: string[] = [];
    for (let pageNo = 1; ; pageNo += 1) {
      const page = { namespace, groupName: group, pageNo, pageSize: PAGE_SIZE, selector: "" };
      const { serviceNames } = await connection.request("ServiceListRequest", page);
      const found = Array.isArray(serviceNames) ? (serviceNames as readonly unknown[]) : [];
      names.push(...found.filter((name) => typeof name === "string").map(plainName));
      // One more than are followed is enough to say so.
      if (found.length < PAGE_SIZE || names.length > SERVICES_MAX) return names.sort(compareTexts);
    }
  }

  #hostOf(group: string, name: string): string {
    const { namespace } = this.#options.settings;
    const rest = `${group}.${namespace === "" ? "public" : namespace}.nacos`;
    return `${name}.${rest.replaceAll("_", "-")}`.toLowerCase();
  }

  /** What is listed no more, unless the server has only just begun to hear of its services. */
  #drop(listed: ReadonlySet<string>): void {
    if (this.#isEarly()) return;
    for (const [key, { info }] of this.#services) {
      if (listed.has(key)) continue;
      this.#services.delete(key);
      if (info !== null) this.#changed();
    }
  }

  #isEarly(): boolean {
    return this.#options.clock.monotonicMs() < this.#connectedMs + KEEP_MS;
  }

  async #refresh(listed: ReadonlySet<string>, connection: NacosConnection): Promise<void> {
    const nowMs = this.#options.clock.monotonicMs();
    const here = [...this.#services].filter(([key]) => listed.has(key)).map(([, one]) => one);
    const isDue = ({ subscribedMs }: Followed): boolean => subscribedMs + REFRESH_MS <= nowMs;
    const polled = here
      .filter((one) => this.#named.has(one.host) && !isDue(one))
      .sort((a, b) => a.askedMs - b.askedMs)
      .slice(0, POLLED_MAX);
    const work = [
      ...here.filter(isDue).map((one) => () => this.#subscribe(one, connection)),
      ...polled.map((one) => () => this.#query(one, connection)),
    ];
    const run = async (): Promise<void> => {
      for (let next = work.pop(); next !== undefined; next = work.pop()) await next();
    };
    await Promise.all(Array.from({ length: ASKED_AT_ONCE }, run));
  }

  async #subscribe(service: Followed, connection: NacosConnection): Promise<void> {
    const asked = { ...this.#nameOf(service), subscribe: true, clusters: "" };
    const { serviceInfo } = await connection.request("SubscribeServiceRequest", asked);
    service.subscribedMs = this.#options.clock.monotonicMs();
    if (isRecord(serviceInfo)) this.#take(service, readServiceInfo(serviceInfo));
  }

  async #query(service: Followed, connection: NacosConnection): Promise<void> {
    service.askedMs = this.#options.clock.monotonicMs();
    const asked = { ...this.#nameOf(service), cluster: "", healthyOnly: false, udpPort: 0 };
    const { serviceInfo } = await connection.request("ServiceQueryRequest", asked);
    if (isRecord(serviceInfo)) this.#take(service, readServiceInfo(serviceInfo));
  }

  #nameOf({ name, group }: Followed): JsonRecord {
    return { namespace: this.#options.settings.namespace, serviceName: name, groupName: group };
  }

  #onPush(body: JsonRecord): void {
    const info = body["serviceInfo"];
    if (!isRecord(info)) return;
    const [name, group] = [body["serviceName"] ?? info["name"], body["groupName"]];
    if (typeof name !== "string" || typeof group !== "string") return;
    const service = this.#services.get(keyOf(group, plainName(name)));
    if (service !== undefined) this.#take(service, readServiceInfo(info));
  }

  /** Answers and pushes may overtake each other: the younger one counts. */
  #take(service: Followed, info: ServiceInfo): void {
    if (info.madeMs !== 0 && info.madeMs < service.madeMs) return;
    service.madeMs = info.madeMs;
    const old = service.info;
    const hasLost = info.instances.length === 0 && (old?.instances.length ?? 0) > 0;
    if (hasLost && this.#isEarly()) {
      // A server that was started anew: its services come back one by one. Asked again soon.
      const untilMs = this.#connectedMs + KEEP_MS;
      service.subscribedMs = Math.min(service.subscribedMs, untilMs - REFRESH_MS);
      return;
    }
    service.info = info;
    if (service.port === 0) service.port = info.port;
    if (old === null || contentOf(old) !== contentOf(info)) this.#changed();
  }

  #say(fault: string): void {
    this.#fault = fault;
    this.#changed();
  }

  #changed(): void {
    this.#answer = null;
    if (!this.#isStopped) this.#options.onChange();
  }

  #makeAnswer(): RegistryAnswer {
    const known = [...this.#services.values()].filter(
      ({ info, port }) => info !== null && port > 0,
    );
    const services = known
      .map(({ host, port, info }): RegistryService => {
        const { isHttp2 = false, instances = [] } = info ?? {};
        return { host, port, isHttp2, instances };
      })
      .sort((a, b) => compareTexts(a.host, b.host));
    const partly = known
      .filter(({ info }) => (info?.leftOutCount ?? 0) > 0)
      .map(({ name, info }) => `${name} (${info?.leftOutCount ?? 0} of its instances)`);
    const isAway = this.#fault !== "";
    return {
      services,
      fault: this.#fault,
      heardAt: isAway && this.#heardMs > 0 ? timestamp(this.#heardMs) : "",
      leftOut: [...this.#unusable, ...partly.sort(compareTexts)],
    };
  }

  #wait(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer: Timer = this.#options.clock.after(
        delayMs,
        () => {
          this.#stopWaiting = () => undefined;
          resolve();
        },
        { unref: true },
      );
      this.#stopWaiting = () => {
        timer.cancel();
        resolve();
      };
    });
  }
}

function contentOf({ instances, isHttp2, leftOutCount }: ServiceInfo): string {
  return JSON.stringify([instances, isHttp2, leftOutCount]);
}

function keyOf(group: string, name: string): string {
  return `${group}@@${name}`;
}
