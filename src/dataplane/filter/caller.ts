//! Who calls a gateway, as far as it can be known: by the client's verified certificate, and by the
//! address of its connection, when that is a pod's.

import { textAt } from "../../base/json-path.ts";
import type { ClientNames, ClientNamesReader } from "../listener/client-names.ts";
import type { ConnectionView } from "../listener/connection-facts.ts";
import type { KnownPod, KnownPods } from "../runtime/known-pods.ts";
import { stepsOf } from "./request-body.ts";

/** What is known of the connection that a request came by. */
export interface Peer {
  /** Of the connection itself: what a request's fields say of it counts for nothing here. */
  readonly peerAddress: string;
  readonly clientNames: ClientNamesReader;
  /** Absent: there is no connection, as in explain. */
  readonly facts?: ConnectionView | undefined;
}

/** What rules read of a caller, by paths: see docs/lanes.md. */
interface CallerDocument {
  readonly identity?: string;
  readonly dnsName?: string;
  readonly namespace?: string;
  readonly serviceAccount?: string;
  readonly pod?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

/** Of the SPIFFE ids that Istio gives to workloads. */
const WORKLOAD_ID = /^spiffe:\/\/[^/]+\/ns\/([^/]+)\/sa\/([^/]+)$/;

export class Caller {
  readonly #document: CallerDocument;
  readonly #address: string;

  constructor({ peerAddress, clientNames }: Peer, pods: KnownPods) {
    const names = clientNames();
    const pod = pods.find(peerAddress);
    this.#address = peerAddress;
    this.#document = { ...byAddress(pod), ...byCertificate(names) };
  }

  /** As wire text. */
  read(path: string): string | undefined {
    const text = textAt(this.#document, stepsOf(path));
    return text === undefined ? undefined : Buffer.from(text).toString("latin1");
  }

  /** Why nothing is known; `""`: something is. */
  get fault(): string {
    if (Object.keys(this.#document).length > 0) return "";
    return `no certificate of the caller was verified, and ${this.#address} is no pod's address`;
  }
}

function byAddress(pod: KnownPod | null): CallerDocument {
  return pod === null ? {} : { namespace: pod.namespace, pod: pod.name, labels: pod.labels };
}

/** A certificate with several ids is believed about none: SPIFFE allows one. */
function byCertificate(names: ClientNames | null): CallerDocument {
  if (names === null) return {};
  const [dnsName] = names.dnsNames;
  const [identity, ...others] = names.uris;
  const known = dnsName === undefined ? {} : { dnsName };
  if (identity === undefined || others.length > 0) return known;
  const [, namespace, serviceAccount] = WORKLOAD_ID.exec(identity) ?? [];
  if (namespace === undefined || serviceAccount === undefined) return { ...known, identity };
  return { ...known, identity, namespace, serviceAccount };
}
