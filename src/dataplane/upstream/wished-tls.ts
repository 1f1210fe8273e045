//! TLS to endpoints as a plug-in wishes it for one exchange (Envoy's filter state): under another
//! server name, and with a certificate for other names.

import { isIP } from "node:net";
import type { UpstreamTls } from "../../snapshot/tls.ts";
import { latin1 } from "../../wasm/field-text.ts";
import { ACCEPTED_NAMES_OBJECT, SERVER_NAME_OBJECT } from "../../wasm/envoy-objects.ts";
import { objectName } from "../filter/filter-state.ts";

const SERVER_NAME = objectName(SERVER_NAME_OBJECT);
const ACCEPTED_NAMES = objectName(ACCEPTED_NAMES_OBJECT);
const HOST_NAME = /^(?=.{1,253}$)[\w-]{1,63}(\.[\w-]{1,63})*\.?$/;
const ACCEPTED_MAX = 64;

/** Null: nothing is wished. `stored`: what plug-ins have stored under a name. */
export function wishedTls(
  tls: UpstreamTls,
  stored: (name: string) => Uint8Array | undefined,
): UpstreamTls | null {
  const serverName = textOf(stored(SERVER_NAME)) ?? "";
  // An empty text is a list of one name that nothing has, as in Envoy.
  const accepted = textOf(stored(ACCEPTED_NAMES))?.split(",") ?? null;
  if (serverName === "" && accepted === null) return null;
  const fault = faultOf(serverName, accepted ?? []);
  if (fault !== null) return { ...tls, fault };
  return {
    ...tls,
    serverName: serverName === "" ? tls.serverName : serverName,
    acceptedNames: accepted ?? tls.acceptedNames,
  };
}

function textOf(value: Uint8Array | undefined): string | null {
  return value === undefined ? null : latin1(value);
}

function faultOf(serverName: string, accepted: readonly string[]): string | null {
  if (serverName !== "" && (isIP(serverName) !== 0 || !HOST_NAME.test(serverName))) {
    return "a plug-in wants a server name that is no host name";
  }
  return accepted.length > ACCEPTED_MAX
    ? `a plug-in accepts certificates for more than ${ACCEPTED_MAX} names`
    : null;
}
