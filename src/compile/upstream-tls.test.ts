import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import type { ClientTlsSettings } from "../resources/kinds/client-tls.ts";
import type { DestinationRule } from "../resources/kinds/destination-rule.ts";
import { withoutKeys } from "../snapshot/tls.ts";
import { MessageList } from "./messages.ts";
import { UpstreamTlsResolver } from "./upstream-tls.ts";

/** From the fixtures of the data plane, as text: this folder may not import that one. */
function pem(name: string, field: string): string {
  const source = readFileSync("src/dataplane/testing/certificates.ts", "utf8");
  const start = source.indexOf(`export const ${name}:`);
  const from = source.indexOf("`", source.indexOf(`\n  ${field}:`, start)) + 1;
  return source.slice(from, source.indexOf("`", from));
}

const CERTIFICATE = pem("CLIENT", "certificate");
const KEY = pem("CLIENT", "privateKey");
const OTHER_KEY = pem("A_TEST", "privateKey");
const CA = pem("CA", "certificate");

function secret(parts: Readonly<Record<string, string>>, name = "s", namespace = "shop"): never {
  const metadata = { name, namespace };
  return { apiVersion: "v1", kind: "Secret", metadata, stringData: parts } as never;
}

const RULE = {
  apiVersion: "networking.istio.io/v1",
  kind: "DestinationRule",
  metadata: { name: "cart", namespace: "shop" },
  spec: { host: "cart" },
} as DestinationRule;
const HOST = "cart.shop.svc.cluster.local";

function resolve(settings: ClientTlsSettings, secrets: readonly never[] = []) {
  const messages = new MessageList();
  const resolver = new UpstreamTlsResolver(secrets, messages);
  const place = { rule: RULE, path: "spec.trafficPolicy.tls", host: HOST };
  const tls = resolver.resolve(settings, place);
  resolver.resolve(settings, { ...place, host: "at another port" });
  return { tls, messages: messages.sorted() };
}

const PAIR = { "tls.crt": CERTIFICATE, "tls.key": KEY };

describe("TLS to a host", () => {
  test("is asked for by a mode only", () => {
    assert.equal(resolve({}).tls, null);
    assert.equal(resolve({ mode: "DISABLE", sni: "a.test" }).tls, null);
  });

  test("is verified for the Service's name with the system's authorities by itself", () => {
    assert.deepEqual(resolve({ mode: "SIMPLE" }).tls, {
      serverName: HOST,
      acceptedNames: [HOST],
      isVerified: true,
      authorities: "",
      certificate: "",
      privateKey: "",
    });
  });

  test("takes certificate, key and authorities of a Secret, and prints no key", () => {
    for (const secrets of [
      [secret({ ...PAIR, "ca.crt": CA })],
      [secret({ cert: CERTIFICATE, key: KEY, cacert: CA })],
      [secret(PAIR, "s", "istio-system"), secret({ cacert: CA }, "s-cacert", "istio-system")],
    ]) {
      const { tls, messages } = resolve({ mode: "MUTUAL", credentialName: "s" }, secrets);
      assert.deepEqual(messages, []);
      assert.equal(tls?.certificate, CERTIFICATE);
      assert.equal(tls.privateKey, KEY);
      assert.equal(tls.authorities, CA);
      assert.doesNotMatch(JSON.stringify(tls, withoutKeys), /PRIVATE KEY/);
    }
  });

  test("shows no certificate in the mode SIMPLE, whatever the Secret has", () => {
    const { tls } = resolve({ mode: "SIMPLE", credentialName: "s" }, [
      secret({ ...PAIR, "ca.crt": CA }),
    ]);
    assert.deepEqual([tls?.certificate, tls?.privateKey, tls?.authorities], ["", "", CA]);
  });
});

interface Bad {
  readonly name: string;
  readonly settings: ClientTlsSettings;
  readonly secrets?: readonly never[];
  readonly code: string;
  readonly field: string;
  readonly says: RegExp;
}

const NAMED = { mode: "MUTUAL", credentialName: "s" } as const;
const BAD: readonly Bad[] = [
  {
    name: "a mode of Istio's own agent",
    settings: { mode: "ISTIO_MUTUAL" },
    code: "GL0243",
    field: "mode",
    says: /Istio's agent/,
  },
  {
    name: "a Secret that is not there",
    settings: NAMED,
    secrets: [secret(PAIR, "s", "elsewhere")],
    code: "GL0244",
    field: "credentialName",
    says: /no Secret s in the DestinationRule's namespace or in istio-system/,
  },
  {
    name: "a Secret with the key of another certificate",
    settings: NAMED,
    secrets: [secret({ ...PAIR, "tls.key": OTHER_KEY })],
    code: "GL0245",
    field: "credentialName",
    says: /tls\.key is not the key of tls\.crt/,
  },
  {
    name: "a Secret without authorities in the mode SIMPLE",
    settings: { mode: "SIMPLE", credentialName: "s" },
    secrets: [secret(PAIR)],
    code: "GL0245",
    field: "credentialName",
    says: /ca\.crt has no certificate/,
  },
  {
    name: "a Secret beside files",
    settings: { ...NAMED, caCertificates: "/ca.pem" },
    code: "GL0246",
    field: "credentialName",
    says: /both/,
  },
  {
    name: "MUTUAL without a key",
    settings: { mode: "MUTUAL", clientCertificate: "/client.pem" },
    code: "GL0246",
    field: "mode",
    says: /with its key/,
  },
  {
    name: "SIMPLE with a certificate of ours",
    settings: { mode: "SIMPLE", clientCertificate: "/client.pem", privateKey: "/key.pem" },
    code: "GL0246",
    field: "mode",
    says: /shows no certificate/,
  },
  {
    name: "names to verify where nothing is verified",
    settings: { mode: "SIMPLE", insecureSkipVerify: true, subjectAltNames: ["a.test"] },
    code: "GL0246",
    field: "insecureSkipVerify",
    says: /what would be verified/,
  },
];

describe("TLS to a host stops its requests, and is reported once, for", () => {
  for (const { name, settings, secrets, code, field, says } of BAD) {
    test(name, () => {
      const { tls, messages } = resolve(settings, secrets);
      assert.match(tls?.fault ?? "", says);
      assert.equal(tls?.privateKey, "");
      assert.deepEqual(
        messages.map((message) => [message.severity, message.code, message.path]),
        [["error", code, `spec.trafficPolicy.tls.${field}`]],
      );
      assert.match(messages[0]?.message ?? "", says);
      assert.doesNotMatch(JSON.stringify(messages), /BEGIN/);
    });
  }
});
