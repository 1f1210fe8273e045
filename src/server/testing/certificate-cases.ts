//! Client certificates, and the file of authorities that judges them: made anew in each run.

import { webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";
import { newYear } from "../../base/clock.ts";

x509.cryptoProvider.set(webcrypto);

/** PEM: the chain as it is sent, and the key of its first certificate. */
export interface Pair {
  readonly cert: string;
  readonly key: string;
}

export interface CertificateCase extends Pair {
  readonly name: string;
  /** Who it is, as UserInfo of Kubernetes names them. A pattern: why it is nobody. */
  readonly is: { readonly username: string; readonly groups: readonly string[] } | RegExp;
  /** Kubernetes decides otherwise: docs/kubernetes-api.md says so. */
  readonly isOurs: boolean;
  /** Of the client's TLS: without, it would not send what is signed weakly. */
  readonly ciphers: string;
}

export interface CertificateCases {
  /** What `--client-ca-file` names. */
  readonly authorities: string;
  readonly cases: readonly CertificateCase[];
  /** Certificates of this authority alone. */
  readonly alice: Pair;
  readonly authorityOfAlice: string;
  readonly authorityOfBob: string;
  /** For the server to show. */
  readonly server: Pair;
  /** Ends in 2030. */
  readonly ending: Pair;
}

const P256 = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const P384 = { name: "ECDSA", namedCurve: "P-384", hash: "SHA-384" };
const RSA = {
  ...{ name: "RSASSA-PKCS1-v1_5", hash: "SHA-256", modulusLength: 2_048 },
  publicExponent: new Uint8Array([1, 0, 1]),
};
const ED25519 = { name: "Ed25519" };
const CLIENT = "1.3.6.1.5.5.7.3.2";
const SERVER = "1.3.6.1.5.5.7.3.1";
const ANY = "2.5.29.37.0";

interface Wish {
  readonly subject: string;
  readonly algorithm?: typeof P256 | typeof RSA | typeof ED25519;
  /** Absent: it signs itself. */
  readonly by?: Made;
  readonly hash?: string;
  readonly years?: readonly [from: number, to: number];
  readonly isAuthority?: boolean;
  readonly pathLength?: number;
  readonly usages?: readonly string[];
  readonly more?: readonly x509.Extension[];
}

interface Made {
  readonly own: x509.X509Certificate;
  readonly keys: webcrypto.CryptoKeyPair;
  readonly algorithm: object;
  readonly pem: string;
}

const WEAK = { ciphers: "DEFAULT@SECLEVEL=0" };

let serial = 1;

async function make(wish: Wish): Promise<Made> {
  const { subject, algorithm = P256, by, years = [2_000, 2_100] } = wish;
  const keys = await keysOf(algorithm);
  const hash = wish.hash === undefined ? {} : { hash: wish.hash };
  serial += 1;
  const own = await x509.X509CertificateGenerator.create({
    serialNumber: serial.toString(16).padStart(4, "0"),
    subject,
    issuer: by?.own.subject ?? subject,
    notBefore: newYear(years[0]),
    notAfter: newYear(years[1]),
    publicKey: keys.publicKey,
    signingKey: (by?.keys ?? keys).privateKey,
    signingAlgorithm: { ...(by?.algorithm ?? algorithm), ...hash },
    extensions: extensionsOf(wish),
  });
  return { own, keys, algorithm, pem: `${own.toString("pem")}\n` };
}

/** Of RSA there is one pair: it takes long to make. */
let rsaKeys: Promise<webcrypto.CryptoKeyPair> | null = null;

function keysOf(algorithm: NonNullable<Wish["algorithm"]>): Promise<webcrypto.CryptoKeyPair> {
  const make = async (): Promise<webcrypto.CryptoKeyPair> => {
    const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
    return keys as webcrypto.CryptoKeyPair;
  };
  return algorithm === RSA ? (rsaKeys ??= make()) : make();
}

function extensionsOf({ isAuthority, pathLength, usages, more = [] }: Wish): x509.Extension[] {
  const made: x509.Extension[] = [...more];
  if (isAuthority !== undefined) {
    made.push(new x509.BasicConstraintsExtension(isAuthority, pathLength, true));
  }
  if (usages !== undefined) made.push(new x509.ExtendedKeyUsageExtension([...usages]));
  return made;
}

function authority(subject: string, wish: Partial<Wish> = {}): Promise<Made> {
  return make({ subject, isAuthority: true, ...wish });
}

async function pairOf(made: Made, ...between: readonly Made[]): Promise<Pair> {
  const pkcs8 = await webcrypto.subtle.exportKey("pkcs8", made.keys.privateKey);
  const key = x509.PemConverter.encode(pkcs8, "PRIVATE KEY");
  return { cert: [made, ...between].map(({ pem }) => pem).join(""), key };
}

function user(username: string, ...groups: readonly string[]): CertificateCase["is"] {
  return { username, groups: [...groups, "system:authenticated"] };
}

/** As DER: an INTEGER or so, whose meaning nobody knows. */
const STRANGE = new x509.Extension("1.2.3.4.5", true, new Uint8Array([2, 1, 7]));
const STRANGE_ASIDE = new x509.Extension("1.2.3.4.5", false, new Uint8Array([2, 1, 7]));
/** permittedSubtrees: dNSName `test.invalid` (RFC 5280 section 4.2.1.10). */
const ONLY_TEST = new x509.Extension(
  "2.5.29.30",
  true,
  Buffer.from("3012a010300e820c746573742e696e76616c6964", "hex"),
);
const NAMED_TEST = new x509.SubjectAlternativeNameExtension([
  { type: "dns", value: "test.invalid" },
]);
const SIGNS_NOTHING = new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true);

/** An authority, and a certificate of it for each user, by name and groups. */
export async function makeUserPairs(
  users: Readonly<Record<string, readonly string[]>>,
): Promise<{ readonly authority: string; readonly pairs: ReadonlyMap<string, Pair> }> {
  const by = await authority("CN=Users");
  const pairs = new Map<string, Pair>();
  for (const [name, groups] of Object.entries(users)) {
    const subject = [`CN=${name}`, ...groups.map((group) => `O=${group}`)].join(",");
    pairs.set(name, await pairOf(await make({ subject, by })));
  }
  return { authority: by.pem, pairs };
}

type Row = readonly [
  name: string,
  wish: Wish | Made,
  is: CertificateCase["is"],
  between?: readonly Made[],
];

const AMY = user("amy", "devs");
const subject = "CN=amy,O=devs";
const UNKNOWN = /signed by no authority/;
const NO_ISSUER = /is no authority/;
const WRONG_USE = /is not for client authentication/;

/** Those of the file, with what is made by the way. */
async function makeRoots(): Promise<Roots> {
  return {
    one: await authority("CN=One"),
    two: await authority("CN=Two", { algorithm: RSA }),
    past: await authority("CN=Past", { years: [2_000, 2_001] }),
    shallow: await authority("CN=Shallow", { pathLength: 0 }),
    forServers: await authority("CN=For servers", { usages: [SERVER] }),
    constrained: await authority("CN=Constrained", { more: [ONLY_TEST] }),
    mute: await authority("CN=Mute", { more: [SIGNS_NOTHING] }),
    selfMade: await make({ subject: "CN=self,O=made" }),
  };
}

type RootName =
  "one" | "two" | "past" | "shallow" | "forServers" | "constrained" | "mute" | "selfMade";
type Roots = Readonly<Record<RootName, Made>>;

function namesOf({ one: by }: Roots): readonly Row[] {
  const masters = "system:masters";
  return [
    ["a name and a group", { subject, by }, AMY],
    ["no group", { subject: "CN=amy", by }, user("amy")],
    ["groups", { subject: "O=b,CN=amy,O=a", by }, user("amy", "b", "a")],
    ["two names", { subject: "CN=first,CN=amy,O=devs", by }, AMY],
    ["a name with signs", { subject: 'CN="a=b\\, c/ü"', by }, user("a=b, c/ü")],
    ["no name", { subject: "O=devs", by }, /has no common name/],
    ["the masters' group", { subject: `CN=r,O=${masters}`, by }, user("r", masters)],
  ];
}

function usesOf({ one: by, two, past, selfMade }: Roots, forged: Made): readonly Row[] {
  const old = [2_000, 2_001] as const;
  return [
    ["the usage of a client", { subject, by, usages: [CLIENT] }, AMY],
    ["both usages", { subject, by, usages: [SERVER, CLIENT] }, AMY],
    ["any usage", { subject, by, usages: [ANY] }, AMY],
    ["the usage of a server", { subject, by, usages: [SERVER] }, WRONG_USE],
    ["an RSA authority", { subject, by: two }, AMY],
    ["an RSA key", { subject, by, algorithm: RSA }, AMY],
    ["a P-384 key", { subject, by, algorithm: P384 }, AMY],
    ["an Ed25519 key", { subject, by, algorithm: ED25519 }, AMY],
    ["a signature by SHA-1", { subject, by, hash: "SHA-1" }, /by way of SHA-1/],
    ["an end in the past", { subject, by, years: old }, /it expired at 2001/],
    [
      "a beginning in the future",
      { subject, by, years: [2_090, 2_100] },
      /it is not valid before 2090/,
    ],
    ["an authority of the past", { subject, by: past }, /an authority of it expired/],
    ["an authority of the same name", { subject, by: forged }, UNKNOWN],
    ["itself", { subject }, UNKNOWN],
    ["itself, and it is in the file", selfMade, user("self", "made")],
    ["a strange critical extension", { subject, by, more: [STRANGE] }, /1\.2\.3\.4\.5/],
    ["a strange extension", { subject, by, more: [STRANGE_ASIDE] }, AMY],
  ];
}

async function chainsOf(roots: Roots): Promise<readonly Row[]> {
  const { one, shallow, forServers, constrained, mute } = roots;
  const middle = await authority("CN=Middle", { by: one });
  const lower = await authority("CN=Lower", { by: middle });
  const old = await authority("CN=Old", { by: one, years: [2_000, 2_001] });
  const servers = await authority("CN=Servers", { by: one, usages: [SERVER] });
  const under = await authority("CN=Under", { by: shallow });
  const none = await make({ subject: "CN=none,O=devs", by: one, isAuthority: false });
  const unsaid = await make({ subject: "CN=unsaid,O=devs", by: one });
  const named = [NAMED_TEST];
  return [
    ["an authority in between", { subject, by: middle }, AMY, [middle]],
    ["the root sent, too", { subject, by: middle }, AMY, [middle, one]],
    ["two in between", { subject, by: lower }, AMY, [lower, middle]],
    ["two in between, in disorder", { subject, by: lower }, AMY, [middle, lower]],
    ["one in between that is not sent", { subject, by: lower }, UNKNOWN, [lower]],
    ["an old one in between", { subject, by: old }, /an authority of it expired/, [old]],
    ["one for servers in between", { subject, by: servers }, WRONG_USE, [servers]],
    ["a root for servers", { subject, by: forServers }, WRONG_USE],
    ["a user in between", { subject, by: none }, NO_ISSUER, [none]],
    ["one in between that says nothing", { subject, by: unsaid }, NO_ISSUER, [unsaid]],
    ["a shallow root", { subject, by: shallow }, AMY],
    ["one under a shallow root", { subject, by: under }, /more authorities/, [under]],
    ["an authority that signs nothing", { subject, by: mute }, UNKNOWN],
    ["a root that constrains names, and none", { subject, by: constrained }, AMY],
    [CONSTRAINED, { subject, by: constrained, more: named }, /constrains names/],
  ];
}

const CONSTRAINED = "a root that constrains names, and one";

export async function makeCertificateCases(): Promise<CertificateCases> {
  const roots = await makeRoots();
  const { one, two } = roots;
  const forged = await authority("CN=One");
  const rows = [...namesOf(roots), ...usesOf(roots, forged), ...(await chainsOf(roots))];
  const cases: CertificateCase[] = [];
  for (const [name, wish, is, between = []] of rows) {
    const made = "own" in wish ? wish : await make(wish);
    const isOurs = name === CONSTRAINED;
    cases.push({ name, is, isOurs, ...WEAK, ...(await pairOf(made, ...between)) });
  }
  return {
    ...{ cases, authorityOfAlice: one.pem, authorityOfBob: two.pem },
    authorities: Object.values(roots)
      .map(({ pem }) => pem)
      .join(""),
    server: await pairOf(await make({ subject: "CN=localhost" })),
    alice: await pairOf(await make({ subject: "CN=alice,O=viewers", by: one })),
    ending: await pairOf(await make({ subject: "CN=ending", by: one, years: [2_000, 2_030] })),
  };
}
