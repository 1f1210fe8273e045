//! A stand-in for a registry, for tests: the pull side of the distribution specification in memory,
//! with the ways of asking for a credential, and faults on order. Tests against a real registry are
//! in test/components.

import { createHash } from "node:crypto";
import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";

export const TYPES = {
  dockerManifest: "application/vnd.docker.distribution.manifest.v2+json",
  dockerList: "application/vnd.docker.distribution.manifest.list.v2+json",
  dockerLayer: "application/vnd.docker.image.rootfs.diff.tar.gzip",
  ociManifest: "application/vnd.oci.image.manifest.v1+json",
  ociIndex: "application/vnd.oci.image.index.v1+json",
  ociLayer: "application/vnd.oci.image.layer.v1.tar+gzip",
  ociPlainLayer: "application/vnd.oci.image.layer.v1.tar",
  wasmConfig: "application/vnd.module.wasm.config.v1+json",
  wasmLayer: "application/vnd.module.wasm.content.layer.v1+wasm",
} as const;

export type Access = "open" | "basic" | "bearer";

const USER = "puller";
const PASSWORD = "pässword";
const TOKEN = "a-token";

interface Manifest {
  readonly mediaType: string;
  readonly [other: string]: unknown;
}

export class FakeRegistry {
  access: Access = "open";
  /** When set, each request is answered by it. */
  fault: ((response: ServerResponse) => void) | null = null;
  /** `GET /v2/…` of every request, in order. */
  readonly requests: string[] = [];
  /** Digests for which it sends bytes of which one bit is wrong. */
  readonly damaged: Set<string> = new Set();
  readonly #manifests = new Map<string, { type: string; bytes: Buffer }>();
  readonly #blobs = new Map<string, Buffer>();
  readonly #files = new Map<string, Buffer>();
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => {
      this.#answer(request, response);
    });
  }

  static async start(): Promise<FakeRegistry> {
    const registry = new FakeRegistry();
    await new Promise<void>((resolve) => {
      registry.#server.listen(0, "127.0.0.1", resolve);
    });
    return registry;
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** A `.dockerconfigjson` that opens it. */
  get dockerConfig(): string {
    const auth = Buffer.from(`${USER}:${PASSWORD}`, "utf8").toString("base64");
    return JSON.stringify({ auths: { [this.host]: { auth } } });
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  blob(bytes: Uint8Array): string {
    const digest = digestOf(bytes);
    this.#blobs.set(digest, Buffer.from(bytes));
    return digest;
  }

  /** Puts a file at `/files/<name>`, and returns its url. */
  file(name: string, bytes: Uint8Array): string {
    this.#files.set(`/files/${name}`, Buffer.from(bytes));
    return `http://${this.host}/files/${name}`;
  }

  /** Stores a manifest of layers under the tag, and returns its digest. */
  image(
    name: string,
    layers: readonly { readonly type: string; readonly bytes: Uint8Array }[],
    type: string = TYPES.ociManifest,
  ): string {
    const config = { mediaType: TYPES.wasmConfig, size: 2, digest: this.blob(Buffer.from("{}")) };
    const described = layers.map((layer) => ({
      mediaType: layer.type,
      size: layer.bytes.length,
      digest: this.blob(layer.bytes),
    }));
    return this.manifest(name, { schemaVersion: 2, mediaType: type, config, layers: described });
  }

  /** `name` is `repository:tag`. */
  manifest(name: string, manifest: Manifest): string {
    const bytes = Buffer.from(JSON.stringify(manifest));
    const [repository = "", tag = ""] = name.split(":");
    const stored = { type: manifest.mediaType, bytes };
    this.#manifests.set(`${repository} ${tag}`, stored);
    this.#manifests.set(`${repository} ${digestOf(bytes)}`, stored);
    return digestOf(bytes);
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? "/", `http://${this.host}`);
    this.requests.push(`${request.method ?? ""} ${url.pathname}`);
    if (this.fault !== null) {
      this.fault(response);
    } else if (url.pathname === "/token") {
      this.#giveToken(request, url, response);
    } else if (!this.#isAllowed(request)) {
      this.#challenge(response);
    } else {
      this.#give(url.pathname, response);
    }
  }

  #give(path: string, response: ServerResponse): void {
    const [, repository = "", kind = "", reference = ""] =
      /^\/v2\/(.+)\/(manifests|blobs)\/([^/]+)$/.exec(path) ?? [];
    const manifest =
      kind === "manifests" ? this.#manifests.get(`${repository} ${reference}`) : null;
    const stored = manifest?.bytes ?? this.#blobs.get(reference) ?? this.#files.get(path);
    if (stored === undefined) {
      response.writeHead(404).end('{"errors":[{"code":"MANIFEST_UNKNOWN"}]}');
      return;
    }
    const bytes = this.#sent(reference, stored);
    response.writeHead(200, {
      "content-type": manifest?.type ?? "application/octet-stream",
      "content-length": bytes.length,
    });
    response.end(bytes);
  }

  #sent(reference: string, stored: Buffer): Buffer {
    if (!this.damaged.has(reference)) return stored;
    const bytes = Buffer.from(stored);
    bytes.writeUInt8(bytes.readUInt8(0) ^ 1, 0);
    return bytes;
  }

  #isAllowed({ headers }: IncomingMessage): boolean {
    if (this.access === "open") return true;
    const wanted = this.access === "basic" ? basic() : `Bearer ${TOKEN}`;
    return headers.authorization === wanted;
  }

  #challenge(response: ServerResponse): void {
    const realm = `http://${this.host}/token`;
    const challenge =
      this.access === "basic"
        ? 'Basic realm="stand-in"'
        : `Bearer realm="${realm}",service="stand-in",scope="repository:any:pull"`;
    response.writeHead(401, { "www-authenticate": challenge });
    response.end('{"errors":[{"code":"UNAUTHORIZED"}]}');
  }

  #giveToken({ headers }: IncomingMessage, url: URL, response: ServerResponse): void {
    const isAsked = url.searchParams.get("service") === "stand-in";
    if (headers.authorization !== basic() || !isAsked) response.writeHead(401).end("{}");
    else response.writeHead(200).end(JSON.stringify({ token: TOKEN }));
  }
}

function basic(): string {
  return `Basic ${Buffer.from(`${USER}:${PASSWORD}`, "utf8").toString("base64")}`;
}

export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** A ustar archive of the files. */
export function tarOf(files: Readonly<Record<string, Uint8Array>>): Buffer {
  const blocks: Buffer[] = [];
  for (const [name, bytes] of Object.entries(files)) {
    const header = Buffer.alloc(512);
    header.write(name, 0, 100, "utf8");
    header.write("0000644\0", 100, "latin1");
    header.write(`${bytes.length.toString(8).padStart(11, "0")}\0`, 124, "latin1");
    header.write("        ", 148, "latin1");
    header.write("0", 156, "latin1");
    header.write("ustar\0", 257, "latin1");
    header.write("00", 263, "latin1");
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
    blocks.push(header, Buffer.from(bytes), Buffer.alloc((512 - (bytes.length % 512)) % 512));
  }
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

export function tarGzipOf(files: Readonly<Record<string, Uint8Array>>): Buffer {
  return gzipSync(tarOf(files));
}
