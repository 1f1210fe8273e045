//! Reads manifests and blobs of one repository, after the distribution specification 1.1.
//!
//! Who we are is found out as registries ask for it: the first request goes without credentials,
//! and a 401 says whether a user and password or a token is wanted.

import { createHash } from "node:crypto";
import type { Clock } from "../../base/clock.ts";
import { boundedFetch, isLoopbackHost } from "./bounded-fetch.ts";
import type { Answer } from "./bounded-fetch.ts";
import { imageName, registryHost } from "./image-reference.ts";
import type { ImageReference } from "./image-reference.ts";
import { PullError } from "./pull-fault.ts";
import { basicHeader, parseChallenge } from "./registry-auth.ts";
import type { Credential } from "./registry-auth.ts";

/** The specification asks registries to take at least 4 MiB. */
const MANIFEST_BYTES_MAX = 4 * 1024 * 1024;
const TOKEN_BYTES_MAX = 1024 * 1024;

const MANIFEST_TYPES = [
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.v2+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
];

export interface RegistryOptions {
  readonly image: ImageReference;
  readonly credential: Credential | null;
  /** Registries (`host` or `host:port`) that speak plain HTTP; loopback ones always do. */
  readonly insecureRegistries: ReadonlySet<string>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export class RegistryClient {
  readonly #options: RegistryOptions;
  readonly #base: string;
  readonly #host: string;
  #authorization: string | null = null;

  constructor(options: RegistryOptions) {
    this.#options = options;
    const { image, insecureRegistries } = options;
    this.#host = registryHost(image);
    const isPlain = isLoopbackHost(this.#host) || insecureRegistries.has(this.#host);
    this.#base = `${isPlain ? "http" : "https"}://${this.#host}/v2/${image.repository}`;
  }

  /** A manifest or an index by tag or digest, checked against the digest. */
  async manifest(reference: string): Promise<{ value: unknown; digest: string }> {
    const { bytes } = await this.#get(`manifests/${reference}`, MANIFEST_BYTES_MAX, {
      accept: MANIFEST_TYPES.join(", "),
    });
    const digest = this.#check(bytes, reference.startsWith("sha256:") ? reference : "");
    try {
      return { value: JSON.parse(Buffer.from(bytes).toString("utf8")), digest };
    } catch {
      throw new PullError(
        "GL0410",
        `${this.#name()}: the registry's manifest is not JSON`,
        "Is the address that of a registry, and not of a web page in front of it?",
      );
    }
  }

  /** A layer, checked against its digest. */
  async blob(digest: string, bytesMax: number): Promise<Uint8Array> {
    const { bytes } = await this.#get(`blobs/${digest}`, bytesMax, {});
    this.#check(bytes, digest);
    return bytes;
  }

  async #get(
    path: string,
    bytesMax: number,
    headers: Readonly<Record<string, string>>,
  ): Promise<Answer> {
    const url = `${this.#base}/${path}`;
    let answer = await this.#fetch(url, bytesMax, headers);
    if (answer.status === 401) {
      this.#authorization = await this.#authorize(answer);
      answer = await this.#fetch(url, bytesMax, headers);
    }
    if (answer.status === 200) return answer;
    throw this.#faultOf(answer);
  }

  #fetch(
    url: string,
    bytesMax: number,
    headers: Readonly<Record<string, string>>,
  ): Promise<Answer> {
    const { clock, signal } = this.#options;
    const authorization = this.#authorization;
    const sent = authorization === null ? headers : { ...headers, authorization };
    return boundedFetch(url, { headers: sent, bytesMax, clock, signal });
  }

  /** What the registry asked for, as the value of `Authorization`. */
  async #authorize(answer: Answer): Promise<string> {
    const { credential } = this.#options;
    if (credential?.kind === "token") return `Bearer ${credential.token}`;
    const { scheme, parameters } = parseChallenge(answer.headers.get("www-authenticate") ?? "");
    if (scheme === "bearer") return `Bearer ${await this.#token(parameters, credential)}`;
    if (scheme === "basic" && credential !== null) return basicHeader(credential);
    throw this.#unauthorized(answer);
  }

  /** The token service of the distribution specification: GET realm?service=&scope=. */
  async #token(
    parameters: Readonly<Record<string, string>>,
    credential: (Credential & { kind: "basic" }) | null,
  ): Promise<string> {
    const { image, clock, signal } = this.#options;
    const realm = parameters["realm"] ?? "";
    const url = this.#tokenService(realm);
    if (url === null) {
      throw new PullError(
        "GL0409",
        `${this.#name()}: the registry's token service ${realm} is no https address`,
        "Passwords are sent over TLS only. Name its host in GRAYLANE_INSECURE_REGISTRIES if the " +
          "network can be trusted.",
      );
    }
    const service = parameters["service"];
    if (service !== undefined) url.searchParams.set("service", service);
    url.searchParams.set("scope", parameters["scope"] ?? `repository:${image.repository}:pull`);
    const headers = credential === null ? {} : { authorization: basicHeader(credential) };
    const answer = await boundedFetch(url.href, {
      headers,
      bytesMax: TOKEN_BYTES_MAX,
      clock,
      signal,
    });
    if (answer.status !== 200) throw this.#faultOf(answer, "the token service");
    const token = tokenIn(answer.bytes);
    if (token !== null) return token;
    throw new PullError(
      "GL0409",
      `${this.#name()}: the token service gave no token`,
      "Check the registry's set-up.",
    );
  }

  /** Its address, when passwords may be sent there. */
  #tokenService(realm: string): URL | null {
    if (!URL.canParse(realm)) return null;
    const url = new URL(realm);
    if (url.protocol === "https:") return url;
    const mayBePlain = isLoopbackHost(url.host) || this.#options.insecureRegistries.has(url.host);
    return url.protocol === "http:" && mayBePlain ? url : null;
  }

  #faultOf(answer: Answer, who = "the registry"): PullError {
    const { status } = answer;
    const said = errorIn(answer.bytes);
    if (status === 401 || status === 403) return this.#unauthorized(answer);
    if (status === 404) {
      return new PullError(
        "GL0407",
        `${this.#name()}: the registry has no such image (404)${said}`,
        "Check the name, the tag and whether it was pushed. It is asked for again by itself.",
      );
    }
    return new PullError(
      "GL0408",
      `${this.#name()}: ${who} answered ${status}${said}`,
      "It is tried again by itself; the registry's log tells more.",
      status >= 500 || status === 429 || status === 408,
    );
  }

  #unauthorized({ status, bytes }: Answer): PullError {
    const had = this.#options.credential === null ? "none was given" : "the one given is refused";
    return new PullError(
      "GL0409",
      `${this.#name()}: the registry wants a credential and ${had} (${status})${errorIn(bytes)}`,
      "Name a Secret of the type kubernetes.io/dockerconfigjson in the plug-in's namespace as " +
        "imagePullSecret, with an entry for this registry.",
    );
  }

  #check(bytes: Uint8Array, wanted: string): string {
    const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
    if (wanted === "" || wanted === digest) return digest;
    throw new PullError(
      "GL0404",
      `${this.#name()}: the registry sent ${digest} for ${wanted}`,
      "What it sends is damaged on the way or in the registry: push the image again.",
    );
  }

  #name(): string {
    return imageName(this.#options.image);
  }
}

function tokenIn(bytes: Uint8Array): string | null {
  try {
    const { token, access_token: access } = JSON.parse(Buffer.from(bytes).toString("utf8")) as {
      readonly token?: unknown;
      readonly access_token?: unknown;
    };
    const found = token ?? access;
    return typeof found === "string" && found !== "" ? found : null;
  } catch {
    return null;
  }
}

/** `: <code> <message>` of the specification's error body, or nothing. */
function errorIn(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.subarray(0, 4096)).toString("utf8");
  const code = /"code"\s*:\s*"([A-Z_]{1,64})"/.exec(text)?.[1];
  return code === undefined ? "" : `: ${code}`;
}
