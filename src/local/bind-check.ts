//! Finds out an app that listens where its sidecar should: on the service's own port.

import type { LaunchFault } from "./command.ts";
import type { ListeningSocket } from "./listening.ts";

/** Where one port of an app is expected, and the port that its sidecar owns. */
export interface AppAddress {
  readonly containerPort: number;
  readonly appAddress: string;
  readonly appPort: number;
  /** Absent: true. False: the app has the pod's own address and port. */
  readonly hasSidecar?: boolean;
}

export const WRONG_BIND: {
  readonly code: string;
  readonly reason: string;
  readonly remedy: string;
} = {
  code: "GL0502",
  reason: "WrongBindAddress",
  remedy:
    "it should read HOST and PORT (or SERVER_ADDRESS and SERVER_PORT), or the annotation " +
    "graylane.io/command should hand them on, for example: python3 app.py --port $PORT",
};

const WILDCARDS: readonly string[] = ["0.0.0.0", "::"];

/** A fault when the app listens on a container port and not where it was told to. */
export function wrongBind(
  sockets: readonly ListeningSocket[],
  listens: readonly AppAddress[],
): LaunchFault | null {
  for (const expected of listens) {
    if (sockets.some((socket) => serves(socket, expected))) continue;
    const wrong = sockets.find((socket) => socket.port === expected.containerPort);
    if (wrong === undefined) continue;
    const place = WILDCARDS.includes(wrong.address) ? "the wildcard address" : wrong.address;
    return fault(`the app listens on ${place}, port ${wrong.port}`, expected);
  }
  return null;
}

/** The wildcard will do on the app's own port: nobody else wants that one. */
function serves(socket: ListeningSocket, expected: AppAddress): boolean {
  const isThere = socket.address === expected.appAddress || WILDCARDS.includes(socket.address);
  return isThere && socket.port === expected.appPort;
}

/** How the runtimes say EADDRINUSE: libc, Node, Python, Go, Spring Boot. */
const IN_USE = /EADDRINUSE|address already in use|port \d+ was already in use/i;

/**
 * A fault when the last output of an ended app says that its address was taken: the sidecar has
 * it.
 */
export function addressInUse(output: string, listens: readonly AppAddress[]): LaunchFault | null {
  const line = output.split("\n").find((each) => IN_USE.test(each));
  const expected = listens[0];
  if (line === undefined || expected === undefined) return null;
  return fault(`the app found its address in use ("${line.trim().slice(0, 200)}")`, expected);
}

function fault(what: string, expected: AppAddress): LaunchFault {
  const { code, reason, remedy } = WRONG_BIND;
  const { containerPort, appAddress, appPort, hasSidecar = true } = expected;
  const owner = hasSidecar ? "the pod's sidecar" : "each pod on an address of its own";
  const message =
    `${what}: port ${containerPort} belongs to ${owner}, the app has ` +
    `${appAddress}:${appPort}; ${remedy}`;
  return { kind: "fault", code, reason, message };
}
