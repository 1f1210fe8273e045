import assert from "node:assert/strict";
import { test } from "node:test";
import { parseManifests } from "../parse.ts";
import { validateResource } from "../validate.ts";

/** `code path` of each fault, and what it says. */
function faultsOf(tls: string): string[] {
  const text = `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: a}
spec: {host: a, trafficPolicy: {tls: {${tls}}}}`;
  const { documents, faults } = parseManifests(text, "t.yaml");
  const found = documents.flatMap(({ value, positionOf }) => {
    return [...validateResource(value, positionOf).faults];
  });
  return [...faults, ...found].map(({ code, path, message }) => `${code} ${path}: ${message}`);
}

const PATH = "spec.trafficPolicy.tls";

const CASES: readonly { name: string; tls: string; want: RegExp | null }[] = [
  { name: "every mode of Istio is known", tls: "mode: ISTIO_MUTUAL", want: null },
  {
    name: "every field of Istio is known",
    tls: "mode: MUTUAL, sni: a.test, subjectAltNames: [a], clientCertificate: /c, privateKey: /k",
    want: null,
  },
  {
    name: "a mode that does not exist is refused",
    tls: "mode: SIMPEL",
    want: /^GL0105 spec\.trafficPolicy\.tls\.mode: .*SIMPLE/,
  },
  {
    name: "a server name is no address",
    tls: "mode: SIMPLE, sni: 10.0.0.1",
    want: /^GL0113 spec\.trafficPolicy\.tls\.sni: .*the name of a server/,
  },
  {
    name: "a file is named from the root",
    tls: "mode: SIMPLE, caCertificates: ca.pem",
    want: /^GL0113 spec\.trafficPolicy\.tls\.caCertificates: .*from the root, or system/,
  },
  {
    name: "a revocation list is not honoured, and said so",
    tls: "mode: SIMPLE, caCrl: /crl.pem",
    want: new RegExp(`^GL0107 ${PATH}\\.caCrl: `),
  },
];

for (const { name, tls, want } of CASES) {
  test(name, () => {
    const faults = faultsOf(tls);
    if (want === null) assert.deepEqual(faults, []);
    else {
      assert.equal(faults.length, 1);
      assert.match(faults[0] ?? "", want);
    }
  });
}
