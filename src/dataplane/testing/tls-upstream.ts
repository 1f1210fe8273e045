//! An upstream that speaks TLS and shows what came to it, and settings that trust it.

import { once } from "node:events";
import type { AddressInfo, Server } from "node:net";
import { createServer } from "node:tls";
import type { PeerCertificate, TLSSocket, TlsOptions } from "node:tls";
import type { UpstreamTls } from "../../snapshot/tls.ts";
import { CA } from "./certificates.ts";
import type { A_TEST } from "./certificates.ts";
import { atEnd } from "./harness.ts";

export function tls(changes: Partial<UpstreamTls> = {}): UpstreamTls {
  return {
    serverName: "a.test",
    acceptedNames: ["a.test"],
    isVerified: true,
    authorities: CA.certificate,
    certificate: "",
    privateKey: "",
    ...changes,
  };
}

export interface TlsUpstream {
  readonly port: number;
  readonly connections: TLSSocket[];
  /** Of the certificates that the connections have shown. */
  readonly owners: unknown[];
  /** The requests' bytes, as they were read. */
  readonly requests: string[];
  open: number;
  /** Requests that wait for the test to answer. */
  held: number;
}

export function listening(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  return once(server, "listening").then(() => (server.address() as AddressInfo).port);
}

/** Answers each request of HTTP/1.1 with its number on its connection. */
export async function startTlsUpstream(
  pair: typeof A_TEST,
  options: TlsOptions = {},
): Promise<TlsUpstream> {
  const connections: TLSSocket[] = [];
  const requests: string[] = [];
  const all = { cert: pair.certificate, key: pair.privateKey, ALPNProtocols: ["http/1.1"] };
  const server = createServer({ ...all, ...options }, (socket) => {
    connections.push(socket);
    const shown: Partial<PeerCertificate> = socket.getPeerCertificate();
    seen.owners.push(shown.subject?.O);
    seen.open += 1;
    let count = 0;
    socket.on("error", () => undefined);
    socket.on("close", () => {
      seen.open -= 1;
    });
    socket.on("data", (bytes: Buffer) => {
      requests.push(bytes.toString("latin1"));
      if (bytes.toString("latin1").includes("/hold")) {
        seen.held += 1;
        return;
      }
      count += 1;
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n#${count}.`);
    });
  });
  server.on("tlsClientError", () => undefined);
  atEnd(() => {
    server.close();
    for (const socket of connections) socket.destroy();
  });
  const port = await listening(server);
  const seen: TlsUpstream = { port, connections, owners: [], requests, open: 0, held: 0 };
  return seen;
}
