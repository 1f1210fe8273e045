//! Who an API server takes somebody for, by a certificate, a token or both: ours and a real one.

import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { Agent, request as httpsRequest, type AgentOptions } from "node:https";
import type { ConnectionOptions } from "node:tls";
import type { CertificateCase, Pair } from "./certificate-cases.ts";

const REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

export interface UserInfo {
  readonly username: string;
  readonly uid?: string;
  readonly groups: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

export interface Identity {
  readonly code: number;
  readonly user: UserInfo | null;
  readonly message: string;
  /** The handshake went on from an earlier one. */
  readonly isResumed: boolean;
}

export interface Shown {
  readonly pair?: Pair & Pick<ConnectionOptions, "ciphers">;
  readonly token?: string;
  /** Absent: one for this request alone. */
  readonly agent?: Agent;
  readonly tls?: ConnectionOptions;
}

export function agentOf(pair: Shown["pair"], options: AgentOptions = {}): Agent {
  return new Agent({
    keepAlive: true,
    maxSockets: 1,
    rejectUnauthorized: false,
    ...pair,
    ...options,
  });
}

/** `url`: of HTTPS. */
export async function whoAmI(url: string, shown: Shown): Promise<Identity> {
  const agent = shown.agent ?? agentOf(shown.pair, shown.tls);
  const body = JSON.stringify({
    ...{ apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" },
  });
  const request = httpsRequest(`${url.replace(/^http:/, "https:")}${REVIEW}`, {
    ...{ method: "POST", agent },
    headers: {
      ...{ "content-type": "application/json", "content-length": Buffer.byteLength(body) },
      ...(shown.token !== undefined && { authorization: `Bearer ${shown.token}` }),
    },
  });
  request.end(body);
  const [response] = (await once(request, "response")) as [IncomingMessage];
  const socket = request.socket as { readonly isSessionReused?: () => boolean } | null;
  const isResumed = socket?.isSessionReused?.() === true;
  const text = (await response.setEncoding("utf8").toArray()).join("");
  if (shown.agent === undefined) agent.destroy();
  const { message = "", status } = JSON.parse(text) as {
    readonly message?: string;
    readonly status?: { readonly userInfo?: UserInfo };
  };
  const user = status?.userInfo ?? null;
  return { code: response.statusCode ?? 0, user, message, isResumed };
}

/** What is expected of a case; null: it is so. */
export function isAsSaid({ is }: CertificateCase, { code, user }: Identity): boolean {
  if (is instanceof RegExp) return code === 401 && user === null;
  const own = { username: user?.username, groups: user?.groups };
  return code === 201 && JSON.stringify(own) === JSON.stringify(is);
}
