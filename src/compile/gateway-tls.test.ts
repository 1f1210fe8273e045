import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import type { Resource } from "../resources/object.ts";
import type { Listener } from "../snapshot/snapshot.ts";
import { withoutKeys } from "../snapshot/tls.ts";
import { collectGateways, compileGateway } from "./gateway.ts";
import { MessageList } from "./messages.ts";

/** From the fixtures of the data plane, as text: this folder may not import that one. */
function pem(name: string, field: string): string {
  const source = readFileSync("src/dataplane/testing/certificates.ts", "utf8");
  const start = source.indexOf(`export const ${name}:`);
  const from = source.indexOf("`", source.indexOf(`\n  ${field}:`, start)) + 1;
  return source.slice(from, source.indexOf("`", from));
}

const CERTIFICATE = pem("A_TEST", "certificate");
const KEY = pem("A_TEST", "privateKey");
const CA = pem("CA", "certificate");

function secret(
  name: string,
  parts: Readonly<Record<string, string>>,
  namespace = "default",
): never {
  const data = Object.fromEntries(
    Object.entries(parts).map(([key, text]) => [key, Buffer.from(text).toString("base64")]),
  );
  const metadata = { name, namespace };
  return { apiVersion: "v1", kind: "Secret", metadata, type: "kubernetes.io/tls", data } as never;
}

function compiled(
  tls: object,
  secrets: readonly never[],
): { listener: Listener | undefined; codes: string[]; text: string } {
  const gateway: Resource = {
    apiVersion: "networking.istio.io/v1",
    kind: "Gateway",
    metadata: { name: "g", namespace: "default" },
    spec: {
      selector: { istio: "ingressgateway" },
      servers: [
        { port: { number: 443, name: "https", protocol: "HTTPS" }, hosts: ["A.test"], tls },
      ],
    },
  };
  const messages = new MessageList();
  const [logical] = collectGateways([gateway as never]).logical;
  assert.ok(logical !== undefined);
  const [listener] = compileGateway(logical, secrets, messages).listeners;
  const sorted = messages.sorted();
  const text = JSON.stringify(sorted);
  return { listener, codes: sorted.map(({ code }) => code), text };
}

const PAIR = { "tls.crt": CERTIFICATE, "tls.key": KEY };
const SIMPLE = { mode: "SIMPLE", credentialName: "s" };
const MUTUAL = { mode: "MUTUAL", credentialName: "s" };

describe("a TLS server of a Gateway", () => {
  const good = [
    { name: "finds its Secret", tls: SIMPLE, secrets: [secret("s", PAIR)], ca: "" },
    {
      name: "finds it where Istio's gateways run, under Istio's generic names",
      tls: SIMPLE,
      secrets: [secret("s", { cert: CERTIFICATE, key: KEY }, "istio-system")],
      ca: "",
    },
    {
      name: "takes the authorities of clients from the same Secret",
      tls: MUTUAL,
      secrets: [secret("s", { ...PAIR, "ca.crt": CA })],
      ca: CA,
    },
    {
      name: "or from one beside it",
      tls: MUTUAL,
      secrets: [secret("s", PAIR), secret("s-cacert", { cacert: CA })],
      ca: CA,
    },
  ];
  for (const { name, tls, secrets, ca } of good) {
    test(name, () => {
      const { listener, codes } = compiled(tls, secrets);
      assert.deepEqual(codes, []);
      const versions = { minVersion: "TLSv1.2", maxVersion: "TLSv1.3" };
      const want = { certificate: CERTIFICATE, privateKey: KEY, clientCa: ca, ...versions };
      assert.deepEqual(listener?.tls, [{ hosts: ["a.test"], ...want }]);
    });
  }

  const bad = [
    { name: "no Secret", tls: SIMPLE, secrets: [], code: "GL0241" },
    { name: "no name of one", tls: { mode: "SIMPLE" }, secrets: [], code: "GL0241" },
    {
      name: "a Secret of another namespace",
      tls: SIMPLE,
      secrets: [secret("s", PAIR, "other")],
      code: "GL0241",
    },
    {
      name: "no certificate",
      tls: SIMPLE,
      secrets: [secret("s", { "tls.crt": "x", "tls.key": KEY })],
      code: "GL0242",
    },
    {
      name: "a certificate that cannot be read",
      tls: SIMPLE,
      secrets: [secret("s", { ...PAIR, "tls.crt": CERTIFICATE.replace(/\n..../, "\nAAAA") })],
      code: "GL0242",
    },
    {
      name: "no key",
      tls: SIMPLE,
      secrets: [secret("s", { ...PAIR, "tls.key": "x" })],
      code: "GL0242",
    },
    {
      name: "another certificate's key",
      tls: SIMPLE,
      secrets: [secret("s", { ...PAIR, "tls.key": pem("B_TEST", "privateKey") })],
      code: "GL0242",
    },
    {
      name: "MUTUAL without authorities",
      tls: MUTUAL,
      secrets: [secret("s", PAIR)],
      code: "GL0242",
    },
  ];
  for (const { name, tls, secrets, code } of bad) {
    test(`with ${name} it shows no certificate, and a message says why`, () => {
      const { listener, codes, text } = compiled(tls, secrets);
      assert.deepEqual(codes, [code]);
      assert.deepEqual(listener?.tls, []);
      assert.doesNotMatch(text, /PRIVATE|BEGIN/);
    });
  }

  test("PASSTHROUGH is not opened", () => {
    const { listener, codes } = compiled({ mode: "PASSTHROUGH" }, []);
    assert.deepEqual(codes, ["GL0209"]);
    assert.equal(listener, undefined);
  });

  test("a printed snapshot has no key", () => {
    const { listener } = compiled(SIMPLE, [secret("s", PAIR)]);
    assert.doesNotMatch(JSON.stringify(listener, withoutKeys), /PRIVATE KEY/);
    assert.match(JSON.stringify(listener, withoutKeys), /BEGIN CERTIFICATE/);
  });
});
