//! Reads the name of a container image, as `docker pull` does.

/** An image in a registry. */
export interface ImageReference {
  /** `host` or `host:port`. */
  readonly registry: string;
  readonly repository: string;
  /** `""` when only a digest is given. */
  readonly tag: string;
  /** `sha256:` and 64 hexadecimal digits, or `""`. */
  readonly digest: string;
}

/** What `docker.io` means to clients: the host that answers. */
const DOCKER_HUB = "docker.io";
const DOCKER_HUB_HOST = "registry-1.docker.io";
const NAME_MAX = 255;

/** Grammar of distribution/reference: lower-case components with single separators. */
const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const TAG = /^\w[\w.-]{0,127}$/;
const DIGEST = /^sha256:[0-9a-f]{64}$/;

/** Null: the text is no image name. `oci://` in front does not count. */
export function parseImageReference(text: string): ImageReference | null {
  let rest = text.replace(/^oci:\/\//, "");
  let digest = "";
  const at = rest.indexOf("@");
  if (at !== -1) {
    digest = rest.slice(at + 1).toLowerCase();
    rest = rest.slice(0, at);
    if (!DIGEST.test(digest)) return null;
  }
  let tag = digest === "" ? "latest" : "";
  const colon = rest.lastIndexOf(":");
  if (colon > rest.lastIndexOf("/")) {
    tag = rest.slice(colon + 1);
    rest = rest.slice(0, colon);
    if (!TAG.test(tag)) return null;
  }
  const named = splitRegistry(rest);
  const isValid =
    named.repository.length <= NAME_MAX &&
    named.repository.split("/").every((component) => COMPONENT.test(component)) &&
    isHostAndPort(named.registry);
  return isValid ? { ...named, tag, digest } : null;
}

/** The host to speak to, which is another one for Docker Hub. */
export function registryHost({ registry }: ImageReference): string {
  return registry === DOCKER_HUB ? DOCKER_HUB_HOST : registry;
}

/** As a message or a cache names it. */
export function imageName({ registry, repository, tag, digest }: ImageReference): string {
  const suffix = `${tag === "" ? "" : `:${tag}`}${digest === "" ? "" : `@${digest}`}`;
  return `${registry}/${repository}${suffix}`;
}

/** A first component with a dot or a port, or `localhost`, is a registry; else it is Docker Hub. */
function splitRegistry(name: string): Pick<ImageReference, "registry" | "repository"> {
  const slash = name.indexOf("/");
  const first = slash === -1 ? "" : name.slice(0, slash);
  if (/[.:]/.test(first) || first === "localhost") {
    return { registry: first, repository: name.slice(slash + 1) };
  }
  return { registry: DOCKER_HUB, repository: slash === -1 ? `library/${name}` : name };
}

function isHostAndPort(text: string): boolean {
  return /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::\d{1,5})?$/.test(
    text,
  );
}
