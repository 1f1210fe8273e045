//! Claims of tokens at a gateway: Envoy's own filter verifies the signature, between two places
//! of the plug-in `plugins/lane-filter`. The first one finds the token and hands it over, the
//! second one checks what else makes it good, and reads it.
//!
//! https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/jwt_authn_filter

import type { JsonObject } from "../base/json.ts";
import { TOKEN_CHARS_MAX } from "../snapshot/snapshot.ts";
import type { TokenSettings } from "../snapshot/snapshot.ts";
import type { ModuleFile } from "./envoy-config.ts";
import { filterExtension } from "./extension.ts";
import type { Extension, HttpFilter } from "./extension.ts";
import { Inexpressible } from "./inexpressible.ts";
import { ownExtension } from "./own-extension.ts";
import type { Place } from "./own-extension.ts";
import { envoyKeys } from "./token-keys.ts";
import type { EnvoyKeys } from "./token-keys.ts";

/** From the plug-in to Envoy's filter, and back. The routes remove both. */
const TOKEN_HEADER = "x-graylane-token";
const CLAIMS_HEADER = "x-graylane-claims";
const JWT_TYPE = "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication";
/** Also the name below which the plug-in finds the token's header in Envoy's metadata. */
const PROVIDER = "graylane";
/** Of each Envoy worker. */
const TOKENS_KNOWN_MAX = 1_024;
/** The least that Envoy has: it takes 0 for its default. The plug-in looks at times exactly. */
const CLOCK_SKEW_S = 1;

/** Tokens as a gateway's rules ask for them. */
export interface GatewayTokens {
  readonly settings: TokenSettings;
  readonly keys: EnvoyKeys;
}

/** Throws `Inexpressible`. */
export function gatewayTokens(settings: TokenSettings): GatewayTokens {
  const { keys } = settings;
  const jwks = keys.kind === "inline" ? keys.jwks : keys.fetched;
  if (jwks === undefined) {
    throw new Inexpressible("claims of tokens whose keys (jwksUri) could not be fetched yet");
  }
  return { settings, keys: envoyKeys(jwks) };
}

/** What the plug-in that reads claims is told; null: there are none to read. */
export function claimsConfiguration({ settings, keys }: GatewayTokens): JsonObject | null {
  if (keys.jwks === null) return null;
  const { issuer, audiences } = settings;
  return {
    header: CLAIMS_HEADER,
    ...(issuer === undefined ? {} : { issuer }),
    ...(audiences === undefined ? {} : { audiences }),
  };
}

/** Before whatever reads claims. */
export function tokenExtensions(
  { settings, keys }: GatewayTokens,
  module: ModuleFile,
  at: Place,
): Extension[] {
  if (keys.jwks === null) return [];
  const { kind, name } = settings.from;
  const token: JsonObject = {
    ...{ kind, name, header: TOKEN_HEADER, claimsHeader: CLAIMS_HEADER },
    ...{ charsMax: TOKEN_CHARS_MAX, keys: keys.choices },
  };
  const offer = { version: 1, header: TOKEN_HEADER, rules: [], token };
  return [
    ownExtension("graylane.lane-token", module, offer, at),
    filterExtension({
      name: `graylane.jwt-authn/${at.place}`,
      source: at.source,
      // Without it no token is verified, and no claim is there.
      failMode: "open",
      typed: verification(keys.jwks),
    }),
  ];
}

/** Nothing is refused: who has no good token has no claims. */
function verification(jwks: string): HttpFilter["typed"] {
  const provider = {
    local_jwks: { inline_string: jwks },
    from_headers: [{ name: TOKEN_HEADER }],
    forward_payload_header: CLAIMS_HEADER,
    header_in_metadata: PROVIDER,
    clock_skew_seconds: CLOCK_SKEW_S,
    jwt_cache_config: { jwt_cache_size: TOKENS_KNOWN_MAX, jwt_max_token_size: TOKEN_CHARS_MAX },
  };
  const requirements = [{ provider_name: PROVIDER }, { allow_missing_or_failed: {} }];
  return {
    "@type": JWT_TYPE,
    providers: { [PROVIDER]: provider },
    rules: [{ match: { prefix: "/" }, requires: { requires_any: { requirements } } }],
  };
}
