//! One attempt to fetch a module from where its `url` points: a registry or a web server.

import { createHash } from "node:crypto";
import type { Clock } from "../../base/clock.ts";
import { boundedFetch } from "./bounded-fetch.ts";
import { parseImageReference } from "./image-reference.ts";
import { moduleOfImage, unpacked } from "./image-module.ts";
import { faultOf, PullError } from "./pull-fault.ts";
import type { PullFault } from "./pull-fault.ts";
import { credentialFor } from "./registry-auth.ts";
import { RegistryClient } from "./registry-client.ts";
import { isTar, readTar } from "./tar.ts";

export interface ModuleSource {
  /** `http(s)://…`, `oci://…` or a plain image name. */
  readonly url: string;
  /** 64 hexadecimal digits in lower case, or `""`. */
  readonly sha256: string;
  /** The text of a `.dockerconfigjson`, or null. */
  readonly dockerConfig: string | null;
}

export interface FetchEnvironment {
  readonly insecureRegistries: ReadonlySet<string>;
  readonly bytesMax: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Never rejects. */
export async function fetchModule(
  source: ModuleSource,
  environment: FetchEnvironment,
): Promise<{ readonly bytes: Uint8Array } | PullFault> {
  try {
    const isWeb = /^https?:\/\//i.test(source.url);
    return {
      bytes: await (isWeb ? fromWeb(source, environment) : fromRegistry(source, environment)),
    };
  } catch (cause) {
    return faultOf(cause, source.url);
  }
}

async function fromWeb(source: ModuleSource, environment: FetchEnvironment): Promise<Uint8Array> {
  const { url, sha256 } = source;
  const { bytesMax, clock, signal } = environment;
  const { status, bytes } = await boundedFetch(url, { bytesMax, clock, signal });
  if (status !== 200) throw webFault(url, status);
  const own = hexDigest(bytes);
  if (sha256 !== "" && own !== sha256) throw wrongDigest(url, sha256, [own]);
  const plain = await unpacked(bytes, bytesMax);
  if (!isTar(plain)) return plain;
  const first = readTar(plain)[0];
  if (first !== undefined) return first.bytes;
  throw new PullError("GL0410", `${url} is an archive without a file`, "Serve the .wasm file.");
}

function webFault(url: string, status: number): PullError {
  if (status === 404 || status === 410) {
    return new PullError(
      "GL0407",
      `${url}: the server has no such file (${status})`,
      "Correct the url, or put the file there. It is asked for again by itself.",
    );
  }
  if (status === 401 || status === 403) {
    return new PullError(
      "GL0409",
      `${url}: the server refuses access (${status})`,
      "Web servers that want a credential are not supported: use a registry and imagePullSecret.",
    );
  }
  return new PullError(
    "GL0408",
    `${url}: the server answered ${status}`,
    "It is tried again by itself.",
    status >= 500 || status === 429,
  );
}

async function fromRegistry(
  source: ModuleSource,
  environment: FetchEnvironment,
): Promise<Uint8Array> {
  const { url, sha256, dockerConfig } = source;
  const image = parseImageReference(url);
  if (image === null) {
    throw new PullError(
      "GL0407",
      `${url} is not the name of an image`,
      "Write registry/repository:tag or registry/repository@sha256:…, in lower case.",
    );
  }
  const credential = dockerConfig === null ? null : credentialFor(dockerConfig, image.registry);
  if (typeof credential === "string") {
    throw new PullError(
      "GL0412",
      `the imagePullSecret cannot be used: ${credential}`,
      "Make it with: kubectl create secret docker-registry.",
    );
  }
  const { bytesMax, ...rest } = environment;
  const client = new RegistryClient({ image, credential, ...rest });
  const { bytes, digests } = await moduleOfImage(client, image, bytesMax);
  // Istio: the digest of the image. A user who has only the file's digest means the same.
  const known = [...digests.map((digest) => digest.replace("sha256:", "")), hexDigest(bytes)];
  if (sha256 !== "" && !known.includes(sha256)) throw wrongDigest(url, sha256, known);
  return bytes;
}

function wrongDigest(what: string, wanted: string, have: readonly string[]): PullError {
  return new PullError(
    "GL0404",
    `${what} has the SHA-256 ${have[0] ?? ""}, not ${wanted}`,
    "Correct spec.sha256, or publish the module that it was written for.",
  );
}

function hexDigest(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
