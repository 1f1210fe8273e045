//! Finds the module in an image, in each of the layouts that plug-ins are shipped in:
//!
//! - Docker or OCI image with one or more layers of files, with `plugin.wasm` at the root;
//! - OCI artifact with a layer of a Wasm media type, with or without a configuration;
//! - OCI artifact with a tar layer beside a description (Higress: spec.yaml, README).

import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { imageName } from "./image-reference.ts";
import type { ImageReference } from "./image-reference.ts";
import { PullError } from "./pull-fault.ts";
import type { RegistryClient } from "./registry-client.ts";
import { isTar, readTar } from "./tar.ts";

const INDEXES = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
];
const PLUGIN_FILE = "plugin.wasm";
/** Marks a file that an upper layer deletes (OCI image specification, layer). */
const WHITEOUT = ".wh.";
const OPAQUE_WHITEOUT = ".wh..wh..opq";
const LAYERS_MAX = 128;
const GZIP = [0x1f, 0x8b] as const;
/** Names that a message shows. */
const NAMES_SHOWN_MAX = 5;

const unzip = promisify(gunzip);

interface Layer {
  readonly mediaType: string;
  readonly digest: string;
}

export interface ImageModule {
  readonly bytes: Uint8Array;
  /** Of the image's manifest, and of the index before it when there is one. */
  readonly digests: readonly string[];
}

/** Throws a PullError. `bytesMax` bounds each layer, packed and unpacked. */
export async function moduleOfImage(
  client: RegistryClient,
  image: ImageReference,
  bytesMax: number,
): Promise<ImageModule> {
  let manifest = await client.manifest(image.digest === "" ? image.tag : image.digest);
  const digests = [manifest.digest];
  if (isIndex(manifest.value)) {
    manifest = await client.manifest(platformOf(manifest.value, image));
    digests.push(manifest.digest);
  }
  const layers = layersOf(manifest.value, image);
  const wasm = layers.findLast(({ mediaType }) => isWasmType(mediaType));
  if (wasm !== undefined) return { bytes: await client.blob(wasm.digest, bytesMax), digests };
  return { bytes: await fromTarLayers(client, { image, layers, bytesMax }), digests };
}

/** The bytes as they are, or unpacked when gzip; not more than `bytesMax`. */
export async function unpacked(bytes: Uint8Array, bytesMax: number): Promise<Uint8Array> {
  if (!GZIP.every((byte, index) => bytes[index] === byte)) return bytes;
  try {
    return await unzip(bytes, { maxOutputLength: bytesMax });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") {
      throw new PullError(
        "GL0406",
        `the archive has more than ${bytesMax} bytes when it is unpacked`,
        "Ship the .wasm file alone, built for size and without debug sections.",
      );
    }
    throw new PullError(
      "GL0410",
      `the archive cannot be unpacked: ${cause instanceof Error ? cause.message : String(cause)}`,
      "Build and push it again.",
    );
  }
}

/** Upper layers first: what they hold or delete hides what is below. */
async function fromTarLayers(
  client: RegistryClient,
  from: {
    readonly image: ImageReference;
    readonly layers: readonly Layer[];
    readonly bytesMax: number;
  },
): Promise<Uint8Array> {
  const { image, layers, bytesMax } = from;
  const seen: string[] = [];
  for (const layer of layers.toReversed()) {
    if (!isTarType(layer.mediaType)) continue;
    const archive = await unpacked(await client.blob(layer.digest, bytesMax), bytesMax);
    if (!isTar(archive)) continue;
    const files = filesOf(archive, image);
    const found = files.findLast(({ name }) => name === PLUGIN_FILE);
    if (found !== undefined) return found.bytes;
    const names = files.map(({ name }) => name);
    if (names.includes(`${WHITEOUT}${PLUGIN_FILE}`) || names.includes(OPAQUE_WHITEOUT)) break;
    seen.push(...names);
  }
  const types = layers.map(({ mediaType }) => mediaType);
  const has =
    seen.length > 0
      ? `its files are ${seen.slice(0, NAMES_SHOWN_MAX).join(", ")}`
      : `its layers are ${types.slice(0, NAMES_SHOWN_MAX).join(", ")}`;
  throw new PullError(
    "GL0410",
    `${imageName(image)} holds no ${PLUGIN_FILE}: ${has}`,
    `The file must be called ${PLUGIN_FILE} and lie at the root: FROM scratch, ` +
      `COPY my.wasm ./${PLUGIN_FILE}; or the layer's media type must be a Wasm one.`,
  );
}

function filesOf(archive: Uint8Array, image: ImageReference): ReturnType<typeof readTar> {
  try {
    return readTar(archive);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new PullError(
      "GL0410",
      `${imageName(image)}: a layer cannot be read: ${reason}`,
      "Build and push the image again.",
    );
  }
}

function isWasmType(mediaType: string): boolean {
  return /\+wasm$/.test(mediaType) || mediaType === "application/wasm";
}

/** `…tar`, `…tar+gzip`, Docker's `…tar.gzip`. */
function isTarType(mediaType: string): boolean {
  return /[./]tar([.+]gzip)?$/.test(mediaType);
}

function isIndex(manifest: unknown): boolean {
  const type = field(manifest, "mediaType");
  return typeof type === "string"
    ? INDEXES.includes(type)
    : Array.isArray(field(manifest, "manifests"));
}

/** Wasm before this machine's Linux before the first that is not an attestation. */
function platformOf(index: unknown, image: ImageReference): string {
  const entries = listOf(field(index, "manifests")).flatMap((entry) => {
    const digest = field(entry, "digest");
    const platform = field(entry, "platform");
    const os = field(platform, "os");
    const architecture = field(platform, "architecture");
    if (typeof digest !== "string" || os === "unknown") return [];
    return [{ digest, isWasm: architecture === "wasm" || os === "wasi", os, architecture }];
  });
  const chosen =
    entries.find(({ isWasm }) => isWasm) ??
    entries.find(({ os, architecture }) => os === "linux" && architecture === "amd64") ??
    entries[0];
  if (chosen !== undefined) return chosen.digest;
  throw new PullError(
    "GL0410",
    `${imageName(image)} is an index that names no image`,
    "Push the image again.",
  );
}

function layersOf(manifest: unknown, image: ImageReference): readonly Layer[] {
  const layers = listOf(field(manifest, "layers")).flatMap((layer) => {
    const mediaType = field(layer, "mediaType");
    const digest = field(layer, "digest");
    const isLayer = typeof mediaType === "string" && typeof digest === "string";
    return isLayer && /^sha256:[0-9a-f]{64}$/.test(digest) ? [{ mediaType, digest }] : [];
  });
  if (layers.length > 0 && layers.length <= LAYERS_MAX) return layers;
  throw new PullError(
    "GL0410",
    layers.length === 0
      ? `${imageName(image)} has a manifest without layers`
      : `${imageName(image)} has ${layers.length} layers, the limit is ${LAYERS_MAX}`,
    "Old Docker images (schema 1) are not read: build and push it with a current tool.",
  );
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function field(value: unknown, key: string): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
  return (value as Record<string, unknown>)[key];
}
