//! The annotations of Gateway resources that say how requests are taken in (docs/http.md).

import type { Gateway as GatewayResource } from "../resources/kinds/gateway.ts";
import type { EdgeSettings } from "../snapshot/edge.ts";
import { isLocality } from "../resources/formats.ts";
import type { MessageList } from "./messages.ts";

const PREFIX = "graylane.io/";
const TRUSTED_PROXIES_MAX = 16;

type Changes = { -readonly [Key in keyof EdgeSettings]?: EdgeSettings[Key] };

const BASE = { normalize: true, mergeSlashes: false, escapedSlashes: "keep" } as const;

/** Istio's words (`meshConfig.pathNormalization`). */
const PATH_RULES: Readonly<Record<string, EdgeSettings["path"]>> = {
  NONE: { ...BASE, normalize: false },
  BASE,
  DEFAULT: BASE,
  MERGE_SLASHES: { ...BASE, mergeSlashes: true },
  DECODE_AND_MERGE_SLASHES: { normalize: true, mergeSlashes: true, escapedSlashes: "decode" },
};

/** Envoy's words (`path_with_escaped_slashes_action`), those that need no redirect. */
const ESCAPED_SLASHES: Readonly<Record<string, EdgeSettings["path"]["escapedSlashes"]>> = {
  KEEP_UNCHANGED: "keep",
  REJECT_REQUEST: "reject",
  UNESCAPE_AND_FORWARD: "decode",
};

const PROXY_PROTOCOL: Readonly<Record<string, NonNullable<EdgeSettings["proxyProtocol"]> | null>> =
  {
    OFF: null,
    REQUIRE: "required",
    ALLOW: "allowed",
  };

const SWITCH: Readonly<Record<string, boolean>> = { true: true, false: false };

interface Setting {
  /** What a value may be, for the message. */
  readonly allowed: string;
  /** False when the value is not understood. */
  take(changes: Changes, value: string): boolean;
}

function listed(table: Readonly<Record<string, unknown>>): string {
  return Object.keys(table).join(", ");
}

const SETTINGS: Readonly<Record<string, Setting>> = {
  "num-trusted-proxies": {
    allowed: `a whole number from 0 to ${TRUSTED_PROXIES_MAX}`,
    take(changes, value) {
      const count = /^\d{1,2}$/.test(value) ? Number(value) : TRUSTED_PROXIES_MAX + 1;
      if (count > TRUSTED_PROXIES_MAX) return false;
      changes.trustedProxies = count;
      return true;
    },
  },
  "path-normalization": {
    allowed: listed(PATH_RULES),
    take(changes, value) {
      const rules = PATH_RULES[value];
      if (rules !== undefined) changes.path = rules;
      return rules !== undefined;
    },
  },
  // After path-normalization, which it changes: SETTINGS are taken in this order.
  "escaped-slashes": {
    allowed: listed(ESCAPED_SLASHES),
    take(changes, value) {
      const escapedSlashes = ESCAPED_SLASHES[value];
      if (escapedSlashes === undefined) return false;
      changes.path = { ...(changes.path ?? BASE), escapedSlashes };
      return true;
    },
  },
  via: {
    allowed: "a token of at most 64 characters",
    take(changes, value) {
      if (!/^[-!#$%&'*+.^_`|~0-9A-Za-z]{1,64}$/.test(value)) return false;
      changes.via = value;
      return true;
    },
  },
  "absolute-form": {
    allowed: "ACCEPT, REFUSE",
    take(changes, value) {
      if (value !== "ACCEPT" && value !== "REFUSE") return false;
      changes.refuseAbsoluteForm = value === "REFUSE";
      return true;
    },
  },
  "forwarded-host-port": {
    allowed: listed(SWITCH),
    take(changes, value) {
      const isOn = SWITCH[value];
      if (isOn !== undefined) changes.addForwardedHostPort = isOn;
      return isOn !== undefined;
    },
  },
  locality: {
    allowed: "region/zone/sub-zone, or the first of these",
    take(changes, value) {
      if (!isLocality(value)) return false;
      changes.locality = value;
      return true;
    },
  },
  "proxy-protocol": {
    allowed: listed(PROXY_PROTOCOL),
    take(changes, value) {
      const proxyProtocol = PROXY_PROTOCOL[value];
      if (proxyProtocol != null) changes.proxyProtocol = proxyProtocol;
      return proxyProtocol !== undefined;
    },
  },
};

/** Null when nothing is set. Of several resources the first, by name, that sets one counts. */
export function compileEdge(
  resources: readonly GatewayResource[],
  messages: MessageList,
): EdgeSettings | null {
  const changes: Changes = {};
  for (const [name, setting] of Object.entries(SETTINGS)) {
    for (const resource of resources) {
      const value = resource.metadata.annotations?.[PREFIX + name];
      if (value === undefined) continue;
      if (setting.take(changes, value)) break;
      messages.add(resource, {
        severity: "error",
        code: "GL0240",
        path: `metadata.annotations["${PREFIX}${name}"]`,
        message: `${PREFIX}${name} is not understood`,
        remedy: `Write one of: ${setting.allowed}.`,
      });
    }
  }
  if (Object.keys(changes).length === 0) return null;
  return {
    trustedProxies: 0,
    path: BASE,
    via: "",
    refuseAbsoluteForm: false,
    addForwardedHostPort: false,
    ...changes,
  };
}
