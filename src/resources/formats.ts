//! The forms that texts in a resource must have, each with a sentence for whoever broke it.

import ipaddr from "ipaddr.js";
import { RE2JS } from "re2js";
import { wallTimeOf } from "../base/clock.ts";
import { parseJsonPath } from "../base/json-path.ts";
import { isPercentage } from "./share.ts";

export interface TextFormat {
  readonly accepts: (text: string) => boolean;
  /** Completes "must be …". */
  readonly want: string;
  readonly code: string;
  readonly remedy: string;
}

const LABEL_MAX = 63;
const SUBDOMAIN_MAX = 253;
const SALT_MAX = 253;
const REGEX_LENGTH_MAX = 4096;
const DNS_1123_LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const DNS_1035_LABEL = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;
const DNS_SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const QUALIFIED_NAME = /^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/;
/** RFC 9110 section 5.6.2: token. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** RFC 9110 section 5.5, visible characters and inner spaces; obs-text is allowed. */
const FIELD_VALUE = /^([\x21-\x7e\x80-\uffff]([\t\x20-\x7e\x80-\uffff]*[\x21-\x7e\x80-\uffff])?)?$/;
/** Half of a pair of UTF-16: no character, so that no bytes of UTF-8 stand for it. */
const LONE_SURROGATE = /\p{Surrogate}/u;
/** What every proxy and agent on the way hands on as it is. */
const LANE_TAG = /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/;
const HOST_LABEL = /^[A-Za-z0-9_]([-A-Za-z0-9_]*[A-Za-z0-9_])?$/;
const DATE_TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})$/;
/** Go's time.ParseDuration, as far as protobuf's duration and Istio's examples go. */
const DURATION = /^(\d+(\.\d+)?(ms|us|h|m|s))+$/;
const CORS_ORIGIN = /^[A-Za-z][A-Za-z0-9+.-]*:\/\/(\*\.)?[A-Za-z0-9._-]+(:(\d{1,5}|\*))?$/;
const CONTROLLER_NAME =
  /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[\w/\-.~%!$&'()*+,;=:]+$/;
const LISTENER_PROTOCOL = /^([a-z0-9.-]+\/)?[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?$/;
const FILE_PATH = /^\/[^\0\r\n]+$/;
/** The kernel takes paths of at most 107 bytes. */
const UNIX_ADDRESS = /^unix:\/\/\/[\x21-\x7e]{1,106}$/;
const REGION = /^[^/*\s]{1,63}$/;
const FAILOVER_LABEL = /^[A-Za-z0-9][-A-Za-z0-9_./]{0,252}(=[-A-Za-z0-9_.]{0,63})?$/;
const LOCALITY = /^[^/*\s]{1,63}(\/[^/*\s]{1,63}){0,2}$/;
const LOCALITY_PATTERN = /^[^/*\s]{1,63}((\/[^/*\s]{1,63}){0,2}|(\/[^/*\s]{1,63})?\/\*)$/;
const ENTRY_PROTOCOLS = /^(https?|grpc(-web)?|http2|mongo|tcp|tls)$/i;
const PSEUDO_HEADERS: ReadonlySet<string> = new Set([":method", ":path", ":authority", ":scheme"]);
const URL_SCHEMES: ReadonlySet<string> = new Set(["oci", "http", "https", "file"]);

function isLabel(text: string): boolean {
  return text.length <= LABEL_MAX && DNS_1123_LABEL.test(text);
}

function isSubdomain(text: string): boolean {
  return text.length <= SUBDOMAIN_MAX && DNS_SUBDOMAIN.test(text);
}

/** Kubernetes takes such names for roles and bindings. */
function isPathSegment(text: string): boolean {
  return text.length <= SUBDOMAIN_MAX && !/[/%\p{Cc}\p{Surrogate}]|^\.{0,2}$/u.test(text);
}

function isLabelKey(text: string): boolean {
  const slash = text.indexOf("/");
  const name = text.slice(slash + 1);
  if (slash !== -1 && !isSubdomain(text.slice(0, slash))) return false;
  return name.length <= LABEL_MAX && QUALIFIED_NAME.test(name);
}

/** `*`, a host, or `*.` and a host. Underscores are common in private names. */
function isHost(text: string): boolean {
  if (text === "*") return true;
  const host = text.startsWith("*.") ? text.slice(2) : text;
  return text.length <= SUBDOMAIN_MAX && host.split(".").every((label) => HOST_LABEL.test(label));
}

/** What may stand in SNI (RFC 6066 section 3): a host name, and no IP address. */
function isServerName(text: string): boolean {
  return isHost(text) && !text.includes("*") && !/(^|\.)\d+$/.test(text);
}

/** Four numbers with dots, which are names of DNS too. */
function isAddressLike(text: string): boolean {
  return /^\d+(\.\d+){3}$/.test(text);
}

function isAuthority(text: string): boolean {
  return isHost(text.replace(/:\d{1,5}$/, ""));
}

function isRe2(text: string): boolean {
  return regexFault(text) === null;
}

/** Why a regular expression is refused, or null. */
export function regexFault(text: string): string | null {
  if (text.length > REGEX_LENGTH_MAX) return `is longer than ${REGEX_LENGTH_MAX} characters`;
  try {
    RE2JS.compile(text);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : "cannot be compiled";
  }
}

function isModuleUrl(text: string): boolean {
  if (/\s/.test(text)) return false;
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//.exec(text)?.[1];
  return scheme === undefined || URL_SCHEMES.has(scheme.toLowerCase());
}

/** `namespace/host`, where the namespace may be `*`, `.` or `~`, as in Istio's Gateway. */
function isGatewayHost(text: string): boolean {
  const slash = text.indexOf("/");
  if (slash === -1) return isHost(text);
  const namespace = text.slice(0, slash);
  return (
    (["*", ".", "~"].includes(namespace) || isLabel(namespace)) && isHost(text.slice(slash + 1))
  );
}

function isGatewayRef(text: string): boolean {
  const slash = text.indexOf("/");
  if (slash === -1) return isSubdomain(text);
  return isLabel(text.slice(0, slash)) && isSubdomain(text.slice(slash + 1));
}

function isBase64(text: string): boolean {
  const packed = text.replaceAll(/[\r\n]/g, "");
  return packed.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(packed);
}

/** An address, or one and the length of its prefix. */
export function isNetwork(text: string): boolean {
  if (text.includes("/")) return ipaddr.isValidCIDR(text);
  return ipaddr.IPv4.isValidFourPartDecimal(text) || ipaddr.IPv6.isValid(text);
}

/** An IP address, in its usual form. */
export function isAddress(text: string): boolean {
  return ipaddr.IPv4.isValidFourPartDecimal(text) || ipaddr.IPv6.isValid(text);
}

/** As Istio and Envoy write a Unix socket. */
export function isUnixAddress(text: string): boolean {
  return UNIX_ADDRESS.test(text);
}

function isEndpointAddress(text: string): boolean {
  if (isAddress(text) || isUnixAddress(text)) return true;
  return isHost(text) && !text.includes("*") && !/(^|\.)\d+$/.test(text);
}

function isPortName(text: string): boolean {
  return text.length <= 15 && isLabel(text) && /[a-z]/.test(text) && !text.includes("--");
}

function format(
  accepts: TextFormat["accepts"],
  want: string,
  code = "GL0113",
  remedy = "",
): TextFormat {
  return { accepts, want, code, remedy };
}

const NAME_REMEDY = "Use lower-case letters, digits and '-', beginning and ending with no '-'.";

export const FORMATS: Readonly<Record<string, TextFormat>> = {
  "dns-subdomain": format(
    isSubdomain,
    "a name of at most 253 lower-case letters, digits, '-' and '.'",
    "GL0108",
    NAME_REMEDY,
  ),
  "dns-1123-label": format(
    isLabel,
    "a name of at most 63 lower-case letters, digits and '-'",
    "GL0108",
    NAME_REMEDY,
  ),
  "dns-1035-label": format(
    (text) => text.length <= LABEL_MAX && DNS_1035_LABEL.test(text),
    "a name of at most 63 lower-case letters, digits and '-' that begins with a letter",
    "GL0108",
    NAME_REMEDY,
  ),
  "path-segment": format(
    isPathSegment,
    "a name of at most 253 characters without '/', '%' and control characters, and not . or ..",
    "GL0108",
  ),
  "label-key": format(
    isLabelKey,
    "a label key: at most 63 letters, digits, '-', '_' and '.', optionally after a prefix and '/'",
    "GL0110",
  ),
  "label-value": format(
    (text) => text === "" || (text.length <= LABEL_MAX && QUALIFIED_NAME.test(text)),
    "a label value: empty, or at most 63 letters, digits, '-', '_' and '.'",
    "GL0110",
  ),
  re2: format(isRe2, "a regular expression in RE2's syntax", "GL0112"),
  duration: format(
    (text) => DURATION.test(text),
    "a duration",
    "GL0113",
    "Write a number and a unit, e.g. 5s, 100ms or 1m30s.",
  ),
  "date-time": format(
    (text) => DATE_TIME.test(text) && !Number.isNaN(wallTimeOf(text)),
    "a time as in RFC 3339",
    "GL0113",
    "Write e.g. 2026-12-31T18:00:00Z.",
  ),
  "absolute-path": format(
    (text) => /^\/[^\0]{1,4095}$/.test(text),
    "an absolute path of a file",
    "GL0113",
    "Begin it with a slash.",
  ),
  "json-path": format(
    (text) => parseJsonPath(text) !== null,
    "a path to one place",
    "GL0113",
    'Write e.g. sub, realm.roles[0] or ["https://shop.example/id"].',
  ),
  "header-name": format((text) => TOKEN.test(text), "a header name: letters, digits and '-'"),
  "header-match-name": format(
    (text) => TOKEN.test(text) || PSEUDO_HEADERS.has(text),
    "a header name: letters, digits and '-'",
  ),
  "header-value": format(
    (text) => FIELD_VALUE.test(text) && !LONE_SURROGATE.test(text),
    "a header value: one line of characters without spaces at its ends",
  ),
  "lane-tag": format(
    (text) => LANE_TAG.test(text),
    "a lane's tag: printable ASCII characters without spaces at its ends",
    "GL0113",
    "The tag travels in a header: use letters, digits, '-', '_' and '.', e.g. gray.",
  ),
  "redirect-text": format(
    (text) => /^[\x21-\x7e]+$/.test(text),
    "a path: printable characters without spaces",
  ),
  "ingress-path": format((text) => /^\/[\x21-\x7e]*$/.test(text), "a path that begins with '/'"),
  "server-name": format(
    isServerName,
    "the name of a server: letters, digits, '-' and '.', and no address",
    "GL0113",
    "Write e.g. cart.example.com.",
  ),
  "file-path": format(
    (text) => FILE_PATH.test(text),
    "the path of a file, from the root",
    "GL0113",
    "Write e.g. /etc/certs/client.pem.",
  ),
  "authorities-path": format(
    (text) => text === "system" || FILE_PATH.test(text),
    "the path of a file, from the root, or system",
    "GL0113",
    "Write e.g. /etc/certs/ca.pem.",
  ),
  authority: format(isAuthority, "a host name, optionally with ':' and a port"),
  host: format(
    isHost,
    "a host name",
    "GL0113",
    "Write e.g. mocka or mocka.default.svc.cluster.local.",
  ),
  "virtual-service-host": format(
    isHost,
    "a host name, '*' or '*.' and a host name",
    "GL0113",
    "Write e.g. '*', '*.example.com' or example.com, without a port.",
  ),
  "gateway-api-hostname": format(
    (text) => isSubdomain(text.replace(/^\*\./, "")) && !isAddressLike(text),
    "a host name in lower case, optionally after '*.', and no address",
    "GL0113",
    "Write e.g. shop.example.com or *.example.com.",
  ),
  "precise-hostname": format(
    (text) => isSubdomain(text) && !isAddressLike(text),
    "a host name in lower case, and no address",
    "GL0113",
    "Write e.g. shop.example.com.",
  ),
  "controller-name": format(
    (text) => CONTROLLER_NAME.test(text) && text.length <= SUBDOMAIN_MAX,
    "a domain, '/' and a name",
    "GL0113",
    "Write e.g. graylane.io/gateway-controller.",
  ),
  "listener-protocol": format(
    (text) => LISTENER_PROTOCOL.test(text),
    "a protocol: HTTP, HTTPS, or a domain, '/' and a name",
  ),
  "cors-origin": format(
    (text) => text === "*" || CORS_ORIGIN.test(text),
    "an origin: a scheme, '://' and a host, or '*'",
    "GL0113",
    "Write e.g. https://shop.example.com, https://*.example.com or '*'.",
  ),
  network: format(
    isNetwork,
    "an address or a network",
    "GL0113",
    "Write e.g. 10.0.0.0/8 or 2001:db8::/32.",
  ),
  "export-to": format(
    (text) => text === "*" || text === "." || text === "~" || isLabel(text),
    "a namespace, '*', '.' or '~'",
  ),
  locality: format(
    isLocality,
    "region/zone/sub-zone, or the first of these",
    "GL0113",
    "Write e.g. us-east/us-east-1/rack-7.",
  ),
  region: format(
    (text) => REGION.test(text),
    "a region, without zone and '*'",
    "GL0113",
    "Write e.g. us-east: places within a region stand in for each other by themselves.",
  ),
  "failover-label": format(
    (text) => FAILOVER_LABEL.test(text),
    "the key of a label, or key=value",
    "GL0113",
    "Write e.g. topology.kubernetes.io/region or version=v2.",
  ),
  "locality-pattern": format(
    (text) => text === "*" || LOCALITY_PATTERN.test(text),
    "region/zone/sub-zone, or the first of these; the last may be '*'",
    "GL0113",
    "Write e.g. us-east/us-east-1 or us-east/*.",
  ),
  "endpoint-address": format(
    isEndpointAddress,
    "an IP address, a host name, or unix:// and an absolute path",
    "GL0113",
    "Write e.g. 10.0.0.7, api.example.com or unix:///var/run/app.sock.",
  ),
  "service-entry-protocol": format(
    (text) => ENTRY_PROTOCOLS.test(text),
    "a protocol",
    "GL0113",
    "Write HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, MONGO, TCP or TLS.",
  ),
  "gateway-host": format(
    isGatewayHost,
    "a host name, '*' or '*.' and a host name, optionally after a namespace and '/'",
  ),
  "gateway-ref": format(isGatewayRef, "the name of a Gateway, 'namespace/name' or mesh"),
  "module-url": format(
    isModuleUrl,
    "an image name or a URL with the scheme oci, http, https or file",
  ),
  sha256: format((text) => /^[0-9a-fA-F]{64}$/.test(text), "64 hexadecimal digits"),
  base64: format(isBase64, "base64 text", "GL0113", "Use stringData for plain text."),
  "data-key": format(
    (text) => text.length <= SUBDOMAIN_MAX && /^[-._a-zA-Z0-9]+$/.test(text),
    "a key of letters, digits, '-', '_' and '.'",
  ),
  "port-name": format(
    isPortName,
    "a port's name: at most 15 lower-case letters, digits and '-', at least one letter",
  ),
  "env-name": format(
    (text) => /^[\x21-\x3c\x3e-\x7e]+$/.test(text),
    "the name of an environment variable",
  ),
  percentage: format(
    isPercentage,
    "a percentage from 0% to 100%, in steps of 0.0001%",
    "GL0113",
    'Write a number and its unit, e.g. "30%", "0.1%" or "1‰".',
  ),
  salt: format((text) => text.length <= SALT_MAX, `a text of at most ${SALT_MAX} characters`),
  "any-name": format((text) => text !== "", "a name"),
};

/** Formats that one regular expression of RE2 says, and a length. */
export const FORMAT_PATTERNS: Readonly<
  Record<string, { readonly pattern: string; readonly lengthMax?: number }>
> = {
  "dns-subdomain": { pattern: DNS_SUBDOMAIN.source, lengthMax: SUBDOMAIN_MAX },
  "dns-1123-label": { pattern: DNS_1123_LABEL.source, lengthMax: LABEL_MAX },
  "dns-1035-label": { pattern: DNS_1035_LABEL.source, lengthMax: LABEL_MAX },
  "header-name": { pattern: TOKEN.source },
  "lane-tag": { pattern: LANE_TAG.source },
  "date-time": { pattern: DATE_TIME.source },
  duration: { pattern: DURATION.source },
};

export function isLocality(text: string): boolean {
  return LOCALITY.test(text);
}
