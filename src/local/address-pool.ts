//! Gives each pod a loopback address of its own, its app another, and ports for the app and for the
//! calls it makes.

import { createSocket } from "node:dgram";
import { createServer } from "node:net";

/** Below Linux' and macOS' ephemeral ranges, so that no outgoing connection takes one. */
const PORT_FIRST = 20_000;
const PORT_COUNT = 12_000;
/** `.0` and `.255` are left out: some tools take them for a network and a broadcast address. */
const HOSTS_PER_ROW = 254;
const ADDRESSES_MAX = 256 * HOSTS_PER_ROW;
/**
 * Candidates tried for one address or port before giving up: others may own a few, not thousands.
 */
const TRIES_MAX = 2_000;

/** UDP, so that it is in no container's way: those are reached by TCP. */
const CLAIM_PORT = 19_999;

export const SHARED_ADDRESS = "127.0.0.1";

/** Where one pod's sidecar listens and where its app does: without one the same. */
export interface PodAddress {
  readonly podIp: string;
  readonly inbound: readonly {
    readonly containerPort: number;
    /** Port of the sidecar at `podIp`: the `containerPort`, unless all pods share one address. */
    readonly listenPort: number;
    readonly appAddress: string;
    readonly appPort: number;
  }[];
  /** Null: the pod has no sidecar. */
  readonly outbound: { readonly address: string; readonly port: number } | null;
}

/** True when the address and port can be listened on now. */
export type ListenProbe = (address: string, port: number) => Promise<boolean>;

/** An address that no other instance on this machine gets before it is released. */
export interface AddressClaim {
  release(): void;
}

/** Null when another has the address. */
export type ClaimAddress = (address: string) => Promise<AddressClaim | null>;

export class AddressPool {
  readonly #podPrefix: string;
  readonly #appPrefix: string;
  readonly #canListen: ListenProbe;
  readonly #claim: ClaimAddress;
  readonly #hosts = new Map<number, AddressClaim>();
  readonly #ports = new Set<number>();
  #nextHost = 0;
  #nextPort: number;
  #hasAliases: boolean | null = null;

  constructor(options: {
    readonly podPrefix: string;
    readonly appPrefix: string;
    /** Where the search for ports begins, 0 to 1: two instances on one machine meet less often. */
    readonly portOffset: number;
    readonly canListen?: ListenProbe;
    readonly claim?: ClaimAddress;
  }) {
    this.#podPrefix = options.podPrefix;
    this.#appPrefix = options.appPrefix;
    this.#canListen = options.canListen ?? canListen;
    this.#claim = options.claim ?? claimAddress;
    this.#nextPort = Math.floor(options.portOffset * PORT_COUNT) % PORT_COUNT;
  }

  /**
   * Reserves addresses for a pod with these container ports. Rejects when the pool is used up.
   * Where loopback aliases are missing (macOS), all pods share 127.0.0.1 with distinct ports.
   */
  async allocate(containerPorts: readonly number[], hasSidecar = true): Promise<PodAddress> {
    this.#hasAliases ??= await this.#canListen(`${this.#podPrefix}.255.254`, 0);
    const host = this.#hasAliases ? await this.#takeHost(containerPorts) : null;
    const podIp = host === null ? SHARED_ADDRESS : addressOf(this.#podPrefix, host);
    const appPrefix = hasSidecar ? this.#appPrefix : this.#podPrefix;
    const appAddress = host === null ? SHARED_ADDRESS : addressOf(appPrefix, host);
    const inbound = [];
    for (const containerPort of new Set(containerPorts)) {
      const listenPort = host === null ? await this.#takePort(podIp) : containerPort;
      const appPort = hasSidecar ? await this.#takePort(appAddress) : listenPort;
      inbound.push({ containerPort, listenPort, appAddress, appPort });
    }
    if (!hasSidecar) return { podIp, inbound, outbound: null };
    const outbound = { address: appAddress, port: await this.#takePort(appAddress) };
    return { podIp, inbound, outbound };
  }

  /** Takes addresses that another pool has given to a pod, and released since. */
  async adopt({ podIp, inbound, outbound }: PodAddress): Promise<void> {
    const host = hostOf(this.#podPrefix, podIp);
    if (host !== null) {
      this.#hosts.set(host, (await this.#claim(podIp)) ?? UNCLAIMED);
      this.#nextHost = Math.max(this.#nextHost, host + 1) % ADDRESSES_MAX;
    }
    if (outbound !== null) this.#ports.add(outbound.port);
    for (const { listenPort, appPort } of inbound) {
      if (outbound !== null) this.#ports.add(appPort);
      if (host === null) this.#ports.add(listenPort);
    }
  }

  release(address: PodAddress): void {
    const host = hostOf(this.#podPrefix, address.podIp);
    if (host !== null) {
      this.#hosts.get(host)?.release();
      this.#hosts.delete(host);
    }
    if (address.outbound !== null) this.#ports.delete(address.outbound.port);
    for (const { listenPort, appPort } of address.inbound) {
      // Without a sidecar it is the container port, which others have, too.
      if (address.outbound !== null) this.#ports.delete(appPort);
      if (host === null) this.#ports.delete(listenPort);
    }
  }

  /** Goes round, so that an address rests as long as possible before another pod gets it. */
  async #takeHost(containerPorts: readonly number[]): Promise<number> {
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const host = this.#nextHost;
      this.#nextHost = (host + 1) % ADDRESSES_MAX;
      if (this.#hosts.has(host)) continue;
      const address = addressOf(this.#podPrefix, host);
      this.#hosts.set(host, UNCLAIMED);
      const claim = await this.#claim(address);
      if (claim !== null && (await this.#allFree(address, containerPorts))) {
        this.#hosts.set(host, claim);
        return host;
      }
      claim?.release();
      this.#hosts.delete(host);
    }
    const ports = containerPorts.join(", ");
    throw new Error(`no free pod address in ${this.#podPrefix}.0.0/16 for the ports ${ports}`);
  }

  async #allFree(address: string, ports: readonly number[]): Promise<boolean> {
    for (const port of ports) {
      // A privileged port cannot be tried without rights; the sidecar will say so.
      if (port >= 1024 && !(await this.#canListen(address, port))) return false;
    }
    return true;
  }

  async #takePort(address: string): Promise<number> {
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const port = PORT_FIRST + this.#nextPort;
      this.#nextPort = (this.#nextPort + 1) % PORT_COUNT;
      if (this.#ports.has(port)) continue;
      this.#ports.add(port);
      // The wildcard, too: an app may honour PORT and ignore HOST.
      if ((await this.#canListen("0.0.0.0", port)) && (await this.#canListen(address, port))) {
        return port;
      }
      this.#ports.delete(port);
    }
    throw new Error(`no free port in ${PORT_FIRST} to ${PORT_FIRST + PORT_COUNT - 1}`);
  }
}

const UNCLAIMED: AddressClaim = { release: () => undefined };

function addressOf(prefix: string, host: number): string {
  return `${prefix}.${Math.floor(host / HOSTS_PER_ROW)}.${(host % HOSTS_PER_ROW) + 1}`;
}

function hostOf(prefix: string, address: string): number | null {
  if (!address.startsWith(`${prefix}.`)) return null;
  const [row = 0, last = 0] = address
    .slice(prefix.length + 1)
    .split(".")
    .map(Number);
  return row * HOSTS_PER_ROW + last - 1;
}

/** Listens for a moment. */
export function canListen(address: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => {
      resolve(false);
    });
    server.listen({ host: address, port, exclusive: true }, () => {
      server.close(() => {
        resolve(true);
      });
    });
  });
}

/**
 * Holds a UDP port of the address: two instances that start at once see the same TCP ports free,
 * but only one of them gets this; the system gives it back however the holder ends.
 */
export function claimAddress(address: string): Promise<AddressClaim | null> {
  return new Promise((resolve) => {
    const socket = createSocket("udp4");
    socket.once("error", () => {
      socket.close();
      resolve(null);
    });
    socket.bind({ address, port: CLAIM_PORT, exclusive: true }, () => {
      socket.unref();
      resolve({
        release: () => {
          socket.close();
        },
      });
    });
  });
}
