//! The one table of stable codes. docs/errors.md is made from it (`scripts/docs-errors.mjs`).
//!
//! Ranges: GL00xx files and YAML, GL01xx schema, GL02xx references between objects, GL03xx lanes,
//! GL04xx plug-ins, GL05xx local cluster, GL06xx command line, server and ports, GL07xx
//! Envoy. A code is never given a second meaning.

import { COMPILE_CODES } from "./compile-codes.ts";
import { ASM_CODES } from "./asm-codes.ts";
import { CLUSTER_CODES } from "./cluster-codes.ts";
import { COHORT_CODES } from "./cohort-codes.ts";
import { ENVOY_CODES } from "./envoy-codes.ts";
import { GATEWAY_API_CODES } from "./gateway-api-codes.ts";
import { LANE_CODES } from "./lane-codes.ts";
import { UPSTREAM_CODES } from "./upstream-codes.ts";
import type { Severity } from "./fault.ts";

export interface CodeInfo {
  /** What it says, as a heading without a full stop. */
  readonly title: string;
  readonly severity: Severity;
  /** Why it happens and what to do, in whole sentences (Markdown). */
  readonly help: string;
}

export const CODES: Readonly<Record<string, CodeInfo>> = {
  GL0001: {
    title: "A file cannot be read",
    severity: "error",
    help:
      "The operating system refused to open or read the file. Check its permissions, and that " +
      "the path is right.",
  },
  GL0002: {
    title: "There is no such file or folder",
    severity: "error",
    help: "A path given with `-f` does not exist. Relative paths start at the current folder.",
  },
  GL0003: {
    title: "A file is not UTF-8 text",
    severity: "error",
    help:
      "Manifests are UTF-8. Convert the file, for example with `iconv -t utf-8`, or leave it " +
      "out.",
  },
  GL0004: {
    title: "A folder holds no manifests",
    severity: "error",
    help:
      "A folder is searched for `*.yaml`, `*.yml` and `*.json`, without its subfolders. None was " +
      "found: name the file, or the subfolder that holds them.",
  },
  GL0005: {
    title: "A file is too large",
    severity: "error",
    help: "A manifest file may have 3 MiB. Split it into several files.",
  },
  GL0006: {
    title: "The YAML or JSON cannot be parsed",
    severity: "error",
    help:
      "The text breaks a rule of YAML 1.2 at the position named. The document is left out until" +
      " it is right; other documents of the file are still read.",
  },
  GL0007: {
    title: "A key stands twice in one mapping",
    severity: "error",
    help:
      "YAML keys are unique within a mapping. Often two list items lost their `-`, or a block " +
      "was pasted twice. Keep one of the two.",
  },
  GL0008: {
    title: "An object is too large",
    severity: "error",
    help: "One object may have 1.5 MiB as JSON, as in Kubernetes. Move large data elsewhere.",
  },
  GL0009: {
    title: "Too many aliases, or nesting too deep",
    severity: "error",
    help:
      "YAML aliases may multiply a document at most a hundredfold, and values may nest 100 " +
      "levels deep. Write the values out.",
  },
  GL0010: {
    title: "The same object stands in two places",
    severity: "error",
    help:
      "Two documents have the same kind, namespace and name, so that one would silently replace" +
      " the other. Remove one or rename it.",
  },
  GL0011: {
    title: "A document is not an object",
    severity: "error",
    help: "Every document is a mapping with `apiVersion`, `kind` and `metadata`.",
  },
  GL0012: {
    title: "A tag of YAML is not known",
    severity: "warning",
    help: "The value is read as if the tag (`!something`) were not there. Remove the tag.",
  },
  GL0101: {
    title: "The kind is not known here",
    severity: "warning",
    help:
      "The object is skipped; everything else is used. Check `apiVersion` and `kind` for a " +
      "slip; `graylane get` lists the kinds. Over the API such an object is refused.",
  },
  GL0102: {
    title: "apiVersion or kind is missing",
    severity: "error",
    help: "Every object says what it is, e.g. `apiVersion: apps/v1` and `kind: Deployment`.",
  },
  GL0103: {
    title: "A value has the wrong type",
    severity: "error",
    help:
      "The field wants another type of value, for example a whole number without quotation " +
      "marks, or a list (items start with `- `).",
  },
  GL0104: {
    title: "A required field is missing",
    severity: "error",
    help: "The object means nothing without this field. Add it.",
  },
  GL0105: {
    title: "A value is not one of the allowed ones",
    severity: "error",
    help: "The field takes one of a few values, which the message lists. They are case-sensitive.",
  },
  GL0106: {
    title: "A field is not known",
    severity: "warning",
    help:
      "The field has no effect: it is misspelt, stands at the wrong level of indentation, or " +
      "belongs to another version of the kind.",
  },
  GL0107: {
    title: "A field or value has no effect here",
    severity: "warning",
    help:
      "Graylane knows the field, but this version does not act on it; the rest of the object is" +
      " used. Remove the field when you can do without it.",
  },
  GL0108: {
    title: "A name breaks the rules of Kubernetes",
    severity: "error",
    help:
      "Names of objects are lower-case letters, digits and `-` (for most kinds also `.`), begin" +
      " and end with a letter or digit, and have at most 253 characters (63 for Services and " +
      "Namespaces).",
  },
  GL0109: {
    title: "A namespace does not fit",
    severity: "error",
    help:
      "A namespace is a DNS label of at most 63 characters; an object of a cluster-scoped kind " +
      "has none.",
  },
  GL0110: {
    title: "A label or its value is not valid",
    severity: "error",
    help:
      "A label key is a name of at most 63 letters, digits, `-`, `_` and `.`, optionally after " +
      "a DNS prefix and `/`; a value has the same characters or is empty.",
  },
  GL0111: {
    title: "A number or length is out of range",
    severity: "error",
    help:
      "The message names the bound: ports are 1 to 65535, weights are not negative, some lists " +
      "and texts must not be empty.",
  },
  GL0112: {
    title: "A regular expression does not compile",
    severity: "error",
    help:
      "Regular expressions have RE2's syntax, as in Envoy: no look-around and no back-" +
      "references. They match the whole value.",
  },
  GL0113: {
    title: "A text has the wrong form",
    severity: "error",
    help:
      "The field wants a text of a certain form, for example a duration such as `5s`, a header " +
      "name, a host or 64 hexadecimal digits. The message says which.",
  },
  GL0114: {
    title: "Fields exclude each other",
    severity: "error",
    help: "Of the fields named exactly one, or at most one, may be given.",
  },
  GL0115: {
    title: "Two items of a list are the same",
    severity: "error",
    help: "Items of this list are told apart by the fields named, so no two may agree in them.",
  },
  GL0116: {
    title: "The version of a known kind is not served",
    severity: "error",
    help: "The kind exists in other versions, which the message lists. Change `apiVersion`.",
  },
  GL0117: {
    title: "The metadata is not valid",
    severity: "error",
    help:
      "`metadata` is a mapping with at least a `name`; `labels` and `annotations` map texts to " +
      "texts.",
  },
  GL0118: {
    title: "A selector does not match its own template",
    severity: "error",
    help:
      "A Deployment owns the pods that carry all labels of `spec.selector.matchLabels`. Its " +
      "template must carry them too.",
  },
  GL0119: {
    title: "Two fields contradict each other",
    severity: "error",
    help: "The message names both. Change one of them.",
  },
  GL0130: {
    title: "A role or a binding is not what Kubernetes takes",
    severity: "error",
    help:
      "A rule of a Role or ClusterRole names `apiGroups` and `resources`, or, in a ClusterRole, " +
      "`nonResourceURLs`, and never both. A User and a Group are of `rbac.authorization.k8s.io`; " +
      "a ServiceAccount has no `apiGroup`, and a namespace in a ClusterRoleBinding.",
  },
  GL0120: {
    title: "A cluster-scoped object names a namespace",
    severity: "warning",
    help: "Objects of this kind belong to no namespace; the field is ignored. Remove it.",
  },
  GL0402: {
    title: "A plug-in file cannot be read",
    severity: "error",
    help: "The file that the `url` stands for is missing or not readable. Check path and rights.",
  },
  GL0403: {
    title: "A plug-in file is not a WebAssembly module",
    severity: "error",
    help:
      "The file does not begin with the eight bytes of a binary module. Name the `.wasm` file " +
      "that the compiler wrote, not its source, its text form or an archive of it.",
  },
  GL0404: {
    title: "A plug-in file has another digest than the resource says",
    severity: "error",
    help: "`spec.sha256` is the SHA-256 of the file. Correct it, or put the right file back.",
  },
  GL0406: {
    title: "A plug-in file is too large",
    severity: "error",
    help: "A module may have 64 MiB. Build it for size and without debug sections.",
  },
  GL0407: {
    title: "A plug-in is not where its url points",
    severity: "error",
    help:
      "The registry has no such image, or the web server no such file (404). Check name and tag, " +
      "and whether it was pushed. It is asked for again by itself, from after 10 s to every " +
      "5 minutes; applying the object again asks at once when its spec changes.",
  },
  GL0408: {
    title: "A registry or web server cannot be reached",
    severity: "error",
    help:
      "No connection, no answer in time, or an answer like 500. It is tried again by itself, " +
      "after 1 s to every minute. A registry with its own certificate needs " +
      "`NODE_EXTRA_CA_CERTS`; one without TLS must be on loopback or be named in " +
      "`GRAYLANE_INSECURE_REGISTRIES` (`host:port`, with commas between).",
  },
  GL0409: {
    title: "A registry or web server refuses access",
    severity: "error",
    help:
      "It wants a user and a password, or does not take the ones given. `imagePullSecret` names " +
      "a Secret of the type `kubernetes.io/dockerconfigjson` in the plug-in's namespace, with an " +
      "entry for this registry.",
  },
  GL0410: {
    title: "An image holds no plug-in",
    severity: "error",
    help:
      "Taken are: an image with a file `plugin.wasm` at its root (`FROM scratch`, " +
      "`COPY my.wasm ./plugin.wasm`), and an artifact with a layer of a Wasm media type.",
  },
  GL0411: {
    title: "A plug-in is being fetched",
    severity: "info",
    help:
      "The module is not here yet. A gateway that serves already goes on as before until it is; " +
      "a gateway that is new answers 503 until then (`FAIL_CLOSE`). Commands that work on files " +
      "alone fetch nothing.",
  },
  GL0412: {
    title: "A pull secret cannot be used",
    severity: "error",
    help:
      "The Secret that `imagePullSecret` names does not exist in the plug-in's namespace, or has " +
      "no `.dockerconfigjson` that can be read. Make it with `kubectl create secret " +
      "docker-registry`.",
  },
  GL0414: {
    title: "A plug-in is of no known ABI version",
    severity: "error",
    help:
      "A Proxy-Wasm plug-in exports a function `proxy_abi_version_0_1_0`, `_0_2_0`, `_0_2_1` or " +
      "`_0_2_100`. SDKs do that by themselves, so look whether the file is a plug-in at all.",
  },
  GL0415: {
    title: "A plug-in wants a function that no host of its ABI version has",
    severity: "error",
    help:
      "The message names the import. Build with an SDK of the ABI version that the module names, " +
      "for the target WASI preview 1, without functions of a browser.",
  },
  GL0416: {
    title: "A function of a plug-in has a wrong signature",
    severity: "error",
    help:
      "The message names the callback or import with both types. The module names another ABI " +
      "version than it was written for, or was built with a mixture of SDK versions.",
  },
  GL0417: {
    title: "A plug-in's module cannot be used",
    severity: "error",
    help:
      "The file begins like a module, and is damaged, uses a feature of WebAssembly that is not " +
      "supported, or lacks a memory or an allocator. The message says which.",
  },
  GL0418: {
    title: "A plug-in does not start, or refuses its configuration",
    severity: "error",
    help:
      "The message says in which callback, and quotes the last warning or error that the plug-in " +
      "logged; all of it is in `graylane plugin logs NAME`. The version that ran before goes on " +
      "serving; where there is none, FAIL_OPEN serves without the plug-in, FAIL_CLOSE answers " +
      "503, and the start is tried again after 1 s, doubling to 60 s.",
  },
  GL0501: {
    title: "A container image has no local command",
    severity: "error",
    help:
      "Deployments run as local processes here, not as containers. Add an entry for the image to " +
      "a file given with `--image-map` (the form is at the head of `catalogue/images.yaml`), or " +
      "set the annotation `graylane.io/command` on the pod template. Other pods run meanwhile.",
  },
  GL0502: {
    title: "An app listens where its sidecar should",
    severity: "error",
    help:
      "The pod's own address and port belong to its sidecar. The app has an address and a port " +
      "of its own, in HOST and PORT (the same in SERVER_ADDRESS and SERVER_PORT; PORT_8000 and " +
      "the like for further ports). Let it read them, or hand them on in the annotation " +
      '`graylane.io/command`, for example `python3 app.py --bind "$HOST" --port "$PORT"`. ' +
      "In a pod without a sidecar HOST is the pod's own address, and PORT the container port.",
  },
  GL0503: {
    title: "The program of a container is not found",
    severity: "error",
    help:
      "The command's first word is neither in PATH nor an executable file. Install the program, " +
      "or correct the annotation or the image map. It is tried again from time to time.",
  },
  GL0504: {
    title: "The working directory of a container does not exist",
    severity: "error",
    help:
      "`workingDir` names a directory inside the image. Set the annotation " +
      "`graylane.io/working-dir` on the pod template to one of this machine.",
  },
  GL0505: {
    title: "A variable of a container has no source",
    severity: "error",
    help:
      "The ConfigMap, the Secret or the field that `valueFrom` or `envFrom` names is not there. " +
      "Apply it, or write `optional: true`. The container starts as soon as it is found.",
  },
  GL0506: {
    title: "An image map cannot be read",
    severity: "error",
    help: "Check the path given with `--image-map`, its rights and its size (1 MiB at most).",
  },
  GL0507: {
    title: "An image map has a wrong entry",
    severity: "error",
    help:
      "The entry is left out, the others hold. The form is at the head of " +
      "`catalogue/images.yaml`.",
  },
  GL0508: {
    title: "Too many pods for this machine",
    severity: "error",
    help: "The local cluster runs 500 pods at one time. Lower `replicas` somewhere.",
  },
  GL0509: {
    title: "An app ends again and again",
    severity: "error",
    help:
      "The app is started again at once, then after 1 s, doubling to 60 s; ten minutes of health " +
      "reset that. `graylane logs POD` shows its output.",
  },
  GL0510: {
    title: "A pod got no address or no sidecar",
    severity: "error",
    help:
      "The pod's sidecar could not listen on its address, often because another program has the " +
      "port on all addresses. The message says which. Another pod is started in its place.",
  },
  GL0601: {
    title: "A gateway's port is in use",
    severity: "error",
    help:
      "Another program listens on the port that a Gateway asks for. Free it, or open another in " +
      "its place with `--map-port PORT=OTHER`. Until then the last good configuration serves.",
  },
  GL0602: {
    title: "No permission to listen on a gateway's port",
    severity: "error",
    help: "Ports below 1024 need rights. Map the port: `--map-port PORT=OTHER`.",
  },
  GL0603: {
    title: "A gateway's port cannot be opened",
    severity: "error",
    help: "The message has the system's own word for the reason.",
  },
  GL0604: {
    title: "The admin endpoints cannot listen on their address",
    severity: "error",
    help: "Another process has the port. Choose another with `--admin HOST:PORT`, or stop it.",
  },
  GL0605: {
    title: "Envoys cannot be served at the address",
    severity: "error",
    help: "Another process listens on the port of `--xds`, or the address is not this machine's.",
  },
  GL0610: {
    title: "The API cannot listen on its address",
    severity: "error",
    help:
      "Another process has the port, or the address is not one of this machine. Choose another " +
      "with `--api HOST:PORT`, or stop the other process.",
  },
  GL0611: {
    title: "The API may listen only on this machine",
    severity: "error",
    help:
      "Whoever reaches the API may change where every request goes, so it listens on loopback " +
      "addresses only. Choose `127.0.0.1:PORT` or `localhost:PORT` with `--api`.",
  },
  GL0620: {
    title: "A file of plug-in cases is wrong",
    severity: "error",
    help:
      "A field has a wrong value, or is none that a case has; nothing was run. " +
      "[plug-ins.md](plug-ins.md) has the fields.",
  },
  GL0621: {
    title: "A value in an Envoy configuration is wrong",
    severity: "error",
    help:
      "Envoy would refuse it too, or it names a file that cannot be read. The message says what " +
      "stands there and what must.",
  },
  GL0622: {
    title: "A part of an Envoy configuration is not supported",
    severity: "error",
    help:
      "`graylane envoy` runs the static part that plug-in examples use, and refuses what it does " +
      "not have rather than pass it over. [plug-ins.md](plug-ins.md) lists what it has.",
  },
  GL0623: {
    title: "A field of an Envoy configuration has no effect",
    severity: "warning",
    help:
      "Envoy has it, `graylane envoy` has not, and requests are answered without it as with it: " +
      "tracing, the log of a TCP proxy, timeouts beside those of routes. " +
      "[http.md](http.md) says which limits hold.",
  },
  ...CLUSTER_CODES,
  ...GATEWAY_API_CODES,
  ...COMPILE_CODES,
  ...LANE_CODES,
  ...ENVOY_CODES,
  ...COHORT_CODES,
  ...ASM_CODES,
  ...UPSTREAM_CODES,
};
