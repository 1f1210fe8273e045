//! Lanes that are entered by rules on the claims of a token: what counts as verified, and what not.

import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Resource } from "../../../src/resources/object.ts";
import type { ParityCase, ParityGroup, Want } from "../case.ts";
import type { Question } from "../question.ts";
import { OTHER_RSA, RSA, SHORT_RSA, SIGNERS, jwk, keySet, token } from "../tokens.ts";
import { TO_A, lane, laneGroup } from "../topology.ts";

const NONE: Want = { hops: "a-base", lanes: "-" };
const inside = (name: string): Want => ({ hops: "a-gray", lanes: name });
const IN = inside("known");
const YEAR_S = 31_536_000;
const NOW_S = Math.floor(Date.now() / 1_000);
const CHARS_MAX = 8_192;
const LEVELS_MAX = 100;

type Row = readonly [name: string, ask: Question, want: Want];

const bearer = (text: string): Question => ({ headers: [["authorization", `Bearer ${text}`]] });
const claiming = (claims: Parameters<typeof token>[0]): Question => bearer(token(claims));
/** Beside a claim by which the request would be known. */
const withSub = (text: string): Question => claiming(`{"sub":"ann",${text}}`);

function caseOf([name, ask, want]: Row): ParityCase {
  return { name: `${name}: ${want.lanes ?? ""}`, ask, want };
}

function laneOf(name: string, rule: object, priority = 5): Resource {
  return lane(name, { selector: { matchLabels: { lane: "gray" } }, rule, priority });
}

const KNOWN = laneOf("known", { claim: "sub", operator: "==", value: "ann" });

function groupOf(jwt: object): Resource {
  return laneGroup({ operands: { jwt } });
}

const RULES: Readonly<Record<string, object>> = {
  role: { claim: "realm.roles[1]", operator: "in", values: ["beta", "größer"] },
  list: { claim: "groups", operator: "==", value: "a,7,true" },
  level: { claim: "level", operator: "<", value: "10" },
  id: { claim: "id", operator: "==", value: "12345678901234567000" },
  paid: { claim: '["https://shop.test/paid"]', operator: "==", value: "true" },
  app: { claim: "app", operator: "semver", value: "^2.1" },
  stranger: {
    all: [
      { header: "x-unmarked", operator: "exists" },
      { not: { claim: "sub", operator: "exists" } },
    ],
  },
};

const READ: readonly Row[] = [
  ["a text in a list", claiming({ realm: { roles: ["a", "beta"] } }), inside("role")],
  ["a text beyond ASCII", claiming({ realm: { roles: ["a", "größer"] } }), inside("role")],
  ["another text", claiming({ realm: { roles: ["beta"] } }), NONE],
  ["a list", claiming({ groups: ["a", 7, true] }), inside("list")],
  ["a number", claiming({ level: 9.5 }), inside("level")],
  ["a number as text", claiming({ level: "9.5" }), inside("level")],
  ["a larger number", claiming({ level: 10 }), NONE],
  ["a number as a double is printed", claiming('{"id":12345678901234567890}'), inside("id")],
  [
    "a truth value under a quoted name",
    claiming({ "https://shop.test/paid": true }),
    inside("paid"),
  ],
  ["a version", claiming({ app: "2.3.0" }), inside("app")],
  ["an object is no text", claiming({ groups: {}, app: { a: 1 } }), NONE],
  ["a denial without a token", { headers: [["x-unmarked", "1"]] }, inside("stranger")],
  [
    "a denial with a token that is not good",
    {
      headers: [
        ["x-unmarked", "1"],
        ["authorization", `Bearer ${token({ sub: "x" })}x`],
      ],
    },
    inside("stranger"),
  ],
];

const FORGED: readonly Row[] = [
  ["expired", claiming({ sub: "ann", exp: NOW_S - 1 }), NONE],
  ["expired long ago", claiming({ sub: "ann", exp: 0 }), NONE],
  ["not expired yet", claiming({ sub: "ann", exp: NOW_S + YEAR_S }), IN],
  ["not good yet", claiming({ sub: "ann", nbf: NOW_S + YEAR_S }), NONE],
  ["good since", claiming({ sub: "ann", nbf: NOW_S - 1.5 }), IN],
  ["issued in the future", claiming({ sub: "ann", iat: NOW_S + YEAR_S }), IN],
  ["the wrong key", bearer(token({ sub: "ann" }, { key: OTHER_RSA })), NONE],
  [
    "a key in the token",
    bearer(
      token(
        { sub: "ann" },
        {
          ...{ key: OTHER_RSA, header: { jwk: jwk(OTHER_RSA) } },
        },
      ),
    ),
    NONE,
  ],
  [
    "a short key",
    bearer(token({ sub: "ann" }, { key: SHORT_RSA, header: { kid: "short" } })),
    NONE,
  ],
  ["a key for something else", bearer(token({ sub: "ann" }, { header: { kid: "enc" } })), NONE],
  ["the public key as a secret", bearer(token({ sub: "ann" }, { alg: "HS256" })), NONE],
  ["alg none", bearer(`${unsigned("none")}.`), NONE],
  ["alg none with a signature", bearer(`${unsigned("none")}.AAAA`), NONE],
  ["alg NONE", bearer(`${unsigned("NONE")}.AAAA`), NONE],
  ["no signature", bearer(`${unsigned("RS256")}.`), NONE],
  ["other claims under the signature", bearer(grafted()), NONE],
  ["an unknown kid", bearer(token({ sub: "ann" }, { header: { kid: "x" } })), NONE],
  ["an empty kid", bearer(token({ sub: "ann" }, { header: { kid: "" } })), NONE],
  ["a kid that is no text", bearer(token({ sub: "ann" }, { header: { kid: 1 } })), NONE],
  ["no kid, and several keys", bearer(token({ sub: "ann" }, { header: {} })), NONE],
  [
    "no kid, and one key of the kind",
    bearer(
      token(
        { sub: "ann" },
        {
          ...{ alg: "ES256", header: {} },
        },
      ),
    ),
    IN,
  ],
  [
    "what must be understood and is not",
    bearer(
      token(
        { sub: "ann" },
        {
          header: { kid: "rsa", crit: ["b64"], b64: true },
        },
      ),
    ),
    NONE,
  ],
  ["padding", bearer(`${token({ sub: "ann" })}==`), NONE],
  ["four parts", bearer(`${token({ sub: "ann" })}.x`), NONE],
  ["no token", {}, NONE],
  ["claims of a client's own", { headers: [["x-graylane-claims", CLAIMS()]] }, NONE],
  ["a token in our own field", { headers: [["x-graylane-token", token({ sub: "ann" })]] }, NONE],
  [
    "claims of a client's own beside a good token",
    { headers: [["x-graylane-claims", CLAIMS()], ...(claiming({ sub: "bob" }).headers ?? [])] },
    NONE,
  ],
  [
    "claims of a client's own beside a bad token",
    {
      headers: [
        ["x-graylane-claims", CLAIMS()],
        ["authorization", "Bearer a.b.c"],
      ],
    },
    NONE,
  ],
];

/** `{"sub": "ann"}`, signed by nobody. */
function CLAIMS(): string {
  return Buffer.from('{"sub":"ann"}').toString("base64url");
}

function unsigned(alg: string): string {
  return `${Buffer.from(JSON.stringify({ alg, kid: "rsa" })).toString("base64url")}.${CLAIMS()}`;
}

function grafted(): string {
  const [header = "", , signature = ""] = token({ sub: "bob" }).split(".");
  return `${header}.${CLAIMS()}.${signature}`;
}

/** Lists within each other, in an object. */
function levels(count: number): string {
  return `"x":${"[".repeat(count - 1)}${"]".repeat(count - 1)}`;
}

/** In base64url not every length is there: of a text without padding none is 4n + 1. */
function ofLength(count: number): string {
  const shortest = token({ sub: "ann", pad: "" }).length;
  const pad = "x".repeat(Math.floor(((count - shortest) * 3) / 4));
  const all = ["", "x", "xx", "xxx"].map((more) => token({ sub: "ann", pad: pad + more }));
  const found = all.find(({ length }) => length === count);
  if (found === undefined) throw new Error(`no token has ${count} characters`);
  return found;
}

/** What one verifier might take, and another not. */
const ODD: readonly Row[] = [
  ["a name that stands twice", withSub('"x":1,"x":2'), NONE],
  ["a name that stands twice below", withSub('"x":{"y":1,"\\u0079":2}'), NONE],
  ["colons and quotes in texts", withSub('"a:b":"c\\":\\"d:"'), IN],
  ["half of a surrogate pair", withSub('"x":"\\ud800"'), NONE],
  ["both halves", withSub('"x":"\\ud83d\\ude00"'), IN],
  ["bytes that are no UTF-8", claiming(latin1('{"sub":"ann","x":"\xff"}')), NONE],
  ["a byte order mark", claiming('\ufeff{"sub":"ann"}'), NONE],
  ["a number beyond doubles", withSub('"x":1e999'), NONE],
  ["as many levels as there may be", withSub(levels(LEVELS_MAX)), IN],
  ["more levels", withSub(levels(LEVELS_MAX + 1)), NONE],
  ["a comma too many", withSub('"x":1,'), NONE],
  ["single quotes", claiming("{'sub':'ann'}"), NONE],
  ["names without quotes", claiming('{sub:"ann"}'), NONE],
  ["a tab in a text", withSub('"x":"\t"'), NONE],
  ["a long escape", withSub('"x":"\\U00000041"'), NONE],
  ["blanks around", claiming(' {"sub" : "ann"}\n'), IN],
  ["broken JSON", claiming('{"sub":"ann"'), NONE],
  ["null", claiming("null"), NONE],
  ["a list", claiming('["sub"]'), NONE],
  ["nothing", claiming(""), NONE],
  ["an expiry that is a text", withSub(`"exp":"${NOW_S + YEAR_S}"`), NONE],
  ["an expiry beyond 64 bits", withSub('"exp":1e30'), NONE],
  ["an expiry below 64 bits", withSub('"exp":1e19'), IN],
  ["a beginning before all time", withSub('"nbf":-1'), NONE],
  ["an iat that is a text", withSub('"iat":"1"'), NONE],
  ["an issuer that is no text", withSub('"iss":1'), NONE],
  ["an audience that is no text", withSub('"aud":["a",1]'), NONE],
  ["an id that is null", withSub('"jti":null'), NONE],
  [
    "a header with a name twice",
    bearer(
      token(
        { sub: "ann" },
        {
          header: '{"alg":"HS256","alg":"RS256","kid":"rsa"}',
        },
      ),
    ),
    NONE,
  ],
  [
    "a header in single quotes",
    bearer(
      token(
        { sub: "ann" },
        {
          header: "{'alg':'RS256','kid':'rsa'}",
        },
      ),
    ),
    NONE,
  ],
  ["as long as it may be", bearer(ofLength(CHARS_MAX)), IN],
  ["longer", bearer(ofLength(CHARS_MAX + 2)), NONE],
  ["far longer", bearer(ofLength(1.5 * CHARS_MAX)), NONE],
];

function latin1(text: string): Buffer {
  return Buffer.from(text, "latin1");
}

const GOOD = token({ sub: "ann" });

const PLACES_OF_TOKENS: readonly Row[] = [
  ["bearer in small letters", { headers: [["authorization", `bearer  ${GOOD}`]] }, IN],
  ["without the scheme", { headers: [["authorization", GOOD]] }, NONE],
  ["another scheme", { headers: [["authorization", `Basic ${GOOD}`]] }, NONE],
  ["something behind it", bearer(`${GOOD} x`), NONE],
  ["two tokens in a field", bearer(`${GOOD},Bearer ${GOOD}`), NONE],
  ["over HTTP/2", { ...bearer(GOOD), isHttp2: true }, IN],
  ["with a body", { ...bearer(GOOD), method: "POST", body: "a" }, IN],
];

const SET = keySet(jwk(SHORT_RSA, { kid: "short" }), jwk(RSA, { kid: "enc", use: "enc" }));

const VERIFIED: ParityGroup = {
  name: "lanes by rules on claims",
  objects: [
    ...[TO_A, groupOf({ jwks: SET }), KNOWN],
    ...Object.entries(RULES).map(([name, rule]) => laneOf(name, rule)),
  ],
  cases: [
    ...Object.keys(SIGNERS).map((alg): Row => [alg, bearer(token({ sub: "ann" }, { alg })), IN]),
    ...[...READ, ...FORGED, ...ODD, ...PLACES_OF_TOKENS],
  ].map(caseOf),
};

const ISSUER = "https://id.test/";
const cookie = (text: string): Question => ({ headers: [["cookie", `a=b; id=${text}`]] });
const issued = (more: object): Question => cookie(token({ sub: "ann", iss: ISSUER, ...more }));

const NARROW: ParityGroup = {
  name: "lanes by rules on claims of one issuer, for us, in a cookie",
  objects: [
    TO_A,
    groupOf({
      jwks: SET,
      issuer: ISSUER,
      audiences: ["https://shop.test/", "größe"],
      cookie: "id",
    }),
    KNOWN,
  ],
  cases: [
    ["for us", issued({ aud: "https://shop.test/" }), IN] as const,
    ["for us and others", issued({ aud: ["b", "größe"] }), IN] as const,
    ["for others", issued({ aud: ["b", "a,größe"] }), NONE] as const,
    ["without the scheme of the address", issued({ aud: "shop.test" }), NONE] as const,
    ["without the slash", issued({ aud: "https://shop.test" }), NONE] as const,
    ["for nobody", issued({ aud: [] }), NONE] as const,
    ["for everybody", issued({}), NONE] as const,
    [
      "of another issuer",
      cookie(token({ sub: "ann", aud: "größe", iss: "https://id.test" })),
      NONE,
    ] as const,
    ["of no issuer", cookie(token({ sub: "ann", aud: "größe" })), NONE] as const,
    [
      "the first cookie counts",
      cookie(`x; id=${token({ sub: "ann", aud: "größe", iss: ISSUER })}`),
      NONE,
    ] as const,
    ["another place", bearer(token({ sub: "ann", aud: "größe", iss: ISSUER })), NONE] as const,
  ].map(caseOf),
};

const QUERY: ParityGroup = {
  name: "lanes by rules on claims in the query, of keys without names",
  objects: [
    TO_A,
    groupOf({ jwks: JSON.stringify({ keys: [jwk(RSA, { alg: "RS256" })] }), query: "t" }),
    KNOWN,
  ],
  cases: [
    ["no kid", { path: `/?a=1&t=${token({ sub: "ann" }, { header: {} })}` }, IN] as const,
    ["escapes", { path: `/?%74=${encoded(token({ sub: "ann" }, { header: {} }))}` }, IN] as const,
    ["a kid", { path: `/?t=${GOOD}` }, NONE] as const,
    [
      "another algorithm than the key is for",
      { path: `/?t=${token({ sub: "ann" }, { alg: "RS512", header: {} })}` },
      NONE,
    ] as const,
  ].map(caseOf),
};

function encoded(text: string): string {
  return text.replaceAll(".", "%2e");
}

const HEADER: ParityGroup = {
  name: "lanes by rules on claims in a header of one's own",
  objects: [TO_A, groupOf({ jwks: SET, header: "X-Id" }), KNOWN],
  cases: [
    ["by itself", { headers: [["x-id", GOOD]] }, IN] as const,
    ["with a scheme", { headers: [["x-id", `Bearer ${GOOD}`]] }, IN] as const,
    [
      "of two fields none",
      {
        headers: [
          ["x-id", GOOD],
          ["x-id", "x"],
        ],
      },
      NONE,
    ] as const,
    [
      "nor of two others",
      {
        headers: [
          ["x-id", "x"],
          ["x-id", GOOD],
        ],
      },
      NONE,
    ] as const,
  ].map(([name, ask, want]) => caseOf([name, ask as Question, want])),
};

const AWAY: ParityGroup = {
  name: "lanes by rules on claims that cannot be verified",
  objects: [
    TO_A,
    groupOf({ jwks: JSON.stringify({ keys: [jwk(SHORT_RSA, { kid: "rsa" })] }) }),
    KNOWN,
  ],
  cases: [["no key that can be used", bearer(GOOD), NONE] as const].map(caseOf),
};

/** Serves the keys for as long as this process runs. */
const issuer = createServer((_request, response) => {
  response.end(SET);
});
await once(issuer.listen(0, "127.0.0.1"), "listening");
issuer.unref();

const FETCHED: ParityGroup = {
  name: "lanes by rules on claims whose keys have an address",
  objects: [
    TO_A,
    groupOf({ jwksUri: `http://127.0.0.1:${(issuer.address() as AddressInfo).port}/keys` }),
    KNOWN,
  ],
  cases: [
    ["a key of RSA", bearer(GOOD), IN] as const,
    ["a key of ECDSA", bearer(token({ sub: "ann" }, { alg: "ES256" })), IN] as const,
    ["another key", bearer(token({ sub: "ann" }, { key: OTHER_RSA })), NONE] as const,
    [
      "a key that is not known",
      bearer(token({ sub: "ann" }, { header: { kid: "x" } })),
      NONE,
    ] as const,
  ].map(caseOf),
};

/** Nobody listens there: to the embedded engine claims are missing. */
const REMOTE: ParityGroup = {
  name: "lanes by rules on claims whose keys cannot be fetched, which Envoys refuse",
  isFresh: true,
  objects: [
    TO_A,
    laneGroup({
      operands: { jwt: { jwksUri: "http://127.0.0.1:9/keys" } },
      ratio: { key: { claim: "sub" } },
    }),
    laneOf("known", { claim: "sub", operator: "==", value: "ann" }, 1),
    lane("shared", { selector: { matchLabels: { lane: "gray" } }, ratio: { percent: "100%" } }),
  ],
  cases: [["no key is known", bearer(GOOD), NONE] as const].map(caseOf),
  refused: [
    {
      kind: "Lane",
      name: "known",
      says: /by claims of tokens whose keys \(jwksUri\) could not be fetched/,
    },
    { kind: "LaneGroup", name: "shops", says: /told apart by claims of tokens whose keys/ },
    { kind: "LaneGroup", name: "shops", says: /the keys for Envoys could not be fetched from/ },
  ],
};

export const CLAIM_RULE_GROUPS: readonly ParityGroup[] = [
  VERIFIED,
  NARROW,
  QUERY,
  HEADER,
  AWAY,
  FETCHED,
  REMOTE,
];
