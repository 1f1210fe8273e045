//! What a VirtualService's route may ask for beside its destinations: redirect, rewrite, retries,
//! faults, CORS and mirrors.

import Type from "../typebox.ts";
import type { TObject, TUnsafe } from "typebox";
import { notHonoured, notHonouredFields, oneOf, port, text } from "./fields.ts";
import { described } from "./kind.ts";

export interface HttpRedirect {
  /** The new path; `%PREFIX()%` and more: put in the place of the matched prefix. */
  readonly uri?: string;
  readonly authority?: string;
  readonly scheme?: string;
  readonly port?: number;
  readonly derivePort?: "FROM_PROTOCOL_DEFAULT" | "FROM_REQUEST_PORT";
  readonly redirectCode?: number;
}

export interface HttpRewrite {
  readonly uri?: string;
  readonly authority?: string;
  readonly uriRegexRewrite?: { readonly match: string; readonly rewrite: string };
}

export interface HttpRetry {
  readonly attempts: number;
  readonly perTryTimeout?: string;
  /** Comma-separated conditions and status codes. */
  readonly retryOn?: string;
  readonly backoff?: string;
}

export interface Percentage {
  /** 0 to 100, with fractions. */
  readonly value?: number;
}

export interface HttpFault {
  readonly delay?: { readonly fixedDelay?: string; readonly percentage?: Percentage };
  readonly abort?: { readonly httpStatus?: number; readonly percentage?: Percentage };
}

/** For an origin: at most one of the three. */
interface OriginMatch {
  readonly exact?: string;
  readonly prefix?: string;
  readonly regex?: string;
}

export interface HttpCorsPolicy {
  readonly allowOrigins?: readonly OriginMatch[];
  readonly allowMethods?: readonly string[];
  readonly allowHeaders?: readonly string[];
  readonly exposeHeaders?: readonly string[];
  readonly maxAge?: string;
  readonly allowCredentials?: boolean;
  readonly unmatchedPreflights?: "UNSPECIFIED" | "FORWARD" | "IGNORE";
}

export interface MirrorDestination {
  readonly host: string;
  readonly subset?: string;
  readonly port?: { readonly number: number };
}

export interface HttpMirrorPolicy {
  readonly destination: MirrorDestination;
  readonly percentage?: Percentage;
}

/** The fields of an `http[]` entry that this file describes. */
export interface HttpPolicyFields {
  readonly redirect?: HttpRedirect;
  readonly rewrite?: HttpRewrite;
  readonly retries?: HttpRetry;
  readonly fault?: HttpFault;
  readonly corsPolicy?: HttpCorsPolicy;
  readonly mirror?: MirrorDestination;
  readonly mirrorPercentage?: Percentage;
  /** A whole percentage, of Istio before 1.8. */
  readonly mirrorPercent?: number;
  readonly mirrors?: readonly HttpMirrorPolicy[];
}

const re2 = Type.Unsafe<string>({ type: "string", minLength: 1, format: "re2" });
const headerNames = Type.Array(text("header-name"));
const percent = Type.Number({ minimum: 0, maximum: 100 });

const percentage = Type.Object({ value: Type.Optional(percent) });

const redirectSchema = Type.Object(
  {
    uri: Type.Optional(text("redirect-text")),
    authority: Type.Optional(text("authority")),
    scheme: Type.Optional(oneOf(["http", "https"])),
    port: Type.Optional(port()),
    derivePort: Type.Optional(oneOf(["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"])),
    redirectCode: Type.Optional(
      Type.Unsafe<number>({ type: "integer", enum: [301, 302, 303, 307, 308] }),
    ),
  },
  { atMostOneOf: ["port", "derivePort"] },
);

const rewriteSchema = Type.Object(
  {
    uri: Type.Optional(text("redirect-text")),
    authority: Type.Optional(text("authority")),
    uriRegexRewrite: Type.Optional(Type.Object({ match: re2, rewrite: Type.String() })),
  },
  { atMostOneOf: ["uri", "uriRegexRewrite"] },
);

const retriesSchema = Type.Object({
  attempts: Type.Integer({ minimum: 0, maximum: 2_147_483_647 }),
  perTryTimeout: Type.Optional(text("duration")),
  retryOn: Type.Optional(Type.String()),
  backoff: Type.Optional(text("duration")),
  ...notHonouredFields("retryIgnorePreviousHosts", "retryRemoteLocalities"),
});

const faultSchema = Type.Object({
  delay: Type.Optional(
    Type.Object({
      fixedDelay: Type.Optional(text("duration")),
      percentage: Type.Optional(percentage),
      ...notHonouredFields("exponentialDelay", "percent"),
    }),
  ),
  abort: Type.Optional(
    Type.Object({
      httpStatus: Type.Optional(Type.Integer({ minimum: 200, maximum: 599 })),
      percentage: Type.Optional(percentage),
      ...notHonouredFields("grpcStatus", "http2Error"),
    }),
  ),
});

const originFields = {
  exact: Type.Optional(Type.String()),
  prefix: Type.Optional(Type.String()),
  regex: Type.Optional(re2),
};

const corsSchema = Type.Object({
  allowOrigins: Type.Optional(
    Type.Array(Type.Object(originFields, { exactlyOneOf: ["exact", "prefix", "regex"] })),
  ),
  allowMethods: Type.Optional(headerNames),
  allowHeaders: Type.Optional(headerNames),
  exposeHeaders: Type.Optional(headerNames),
  maxAge: Type.Optional(text("duration")),
  allowCredentials: Type.Optional(Type.Boolean()),
  unmatchedPreflights: Type.Optional(oneOf(["UNSPECIFIED", "FORWARD", "IGNORE"])),
  allowOrigin: notHonoured(),
});

const mirrorTarget = Type.Object({
  host: text("host"),
  subset: Type.Optional(text()),
  port: Type.Optional(Type.Object({ number: port() })),
});

const mirrorPolicy = Type.Object({
  destination: mirrorTarget,
  percentage: Type.Optional(percentage),
});

/** A part of a schema that is described by an interface of this file. */
function optional<Written>(schema: TObject): TUnsafe<Written> & { "~optional": true } {
  return Type.Optional(schema as unknown as TUnsafe<Written>);
}

type Optional<Value> = TUnsafe<Value> & { "~optional": true };

/** Spread into the schema of an `http[]` entry. */
export const HTTP_POLICY_FIELDS: {
  [Name in keyof HttpPolicyFields]-?: Optional<NonNullable<HttpPolicyFields[Name]>>;
} = {
  redirect: optional<HttpRedirect>(redirectSchema),
  rewrite: optional<HttpRewrite>(rewriteSchema),
  retries: optional<HttpRetry>(retriesSchema),
  fault: optional<HttpFault>(faultSchema),
  corsPolicy: optional<HttpCorsPolicy>(corsSchema),
  mirror: optional<MirrorDestination>(mirrorTarget),
  mirrorPercentage: optional<Percentage>(percentage),
  mirrorPercent: Type.Optional(Type.Unsafe<number>({ type: "integer", minimum: 0, maximum: 100 })),
  mirrors: Type.Optional(
    Type.Array(
      described<HttpMirrorPolicy, typeof mirrorPolicy>(mirrorPolicy),
    ) as unknown as TUnsafe<readonly HttpMirrorPolicy[]>,
  ),
};
