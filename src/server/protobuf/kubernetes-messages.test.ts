import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { WireWriter } from "../../controlplane/xds/wire.ts";
import { StatusError } from "../status.ts";
import { MESSAGES, Served } from "../testing/served.ts";

/** Kubernetes' own examples of each kind, with every field filled. */
const VECTORS = JSON.parse(
  readFileSync("src/server/protobuf/vectors.snapshot.json", "utf8"),
) as readonly { readonly name: string; readonly bytes: string; readonly object: object }[];

for (const { name, bytes, object } of VECTORS) {
  test(`protobuf is read as Kubernetes' own JSON of it: ${name}`, () => {
    assert.deepEqual(MESSAGES.decode(Buffer.from(bytes, "base64")), object);
  });
}

type Content = string | number | Buffer;

function message(...fields: readonly (readonly [id: number, content: Content])[]): Buffer {
  const writer = new WireWriter();
  for (const [id, content] of fields) {
    writer.tag(id, typeof content === "number" ? 0 : 2);
    if (typeof content === "number") writer.varint(BigInt(content));
    else writer.bytes(Buffer.from(content as string));
  }
  return Buffer.from(writer.finish());
}

function enveloped(apiVersion: string, kind: string, raw: Buffer): Buffer {
  const typeMeta = message([1, apiVersion], [2, kind]);
  return Buffer.concat([Buffer.from("k8s\0"), message([1, typeMeta], [2, raw], [3, ""], [4, ""])]);
}

/** As Go writes what has only a name: values that are not there are zero. */
const METADATA = message([1, "cm"], [2, ""], [3, ""], [4, ""], [5, ""], [6, ""], [7, 0], [8, ""]);

test("what is zero is left out, but for what Go's JSON tells", () => {
  const raw = message([1, METADATA], [4, 0], [2, message([1, "__proto__"], [2, ""])]);
  const { apiVersion, metadata, immutable, data, ...rest } = MESSAGES.decode(
    enveloped("v1", "ConfigMap", raw),
  );
  assert.deepEqual([apiVersion, metadata, immutable], ["v1", { name: "cm" }, false]);
  assert.deepEqual(Object.entries(data as object), [["__proto__", ""]]);
  assert.deepEqual(rest, { kind: "ConfigMap" });
  const options = enveloped("apps/v1", "DeleteOptions", message([1, 0], [4, "Background"]));
  assert.deepEqual(MESSAGES.decode(options), {
    ...{ apiVersion: "apps/v1", kind: "DeleteOptions" },
    ...{ gracePeriodSeconds: 0, propagationPolicy: "Background" },
  });
});

const GOOD = enveloped("v1", "ConfigMap", message([1, METADATA]));
const TIME = message([1, "cm"], [8, message([1, Number.MAX_SAFE_INTEGER])]);
const MANAGED = message([1, "cm"], [17, message([7, message([1, "{"])])]);

const BAD: readonly (readonly [string, Buffer, number, RegExp])[] = [
  ["nothing of it", Buffer.from("{}"), 400, /does not begin with "k8s\\0"/],
  ["its beginning alone", Buffer.from("k8s\0"), 415, /kind "" of ""/],
  ["a cut", GOOD.subarray(0, -20), 400, /ends within/],
  ["a field that ends behind the end", Buffer.from("k8s\0\x0a\x7f"), 400, /ends within/],
  ["a wire type that is none", Buffer.from("k8s\0\x0f"), 400, /wire type/],
  [
    "a number for a text",
    enveloped("v1", "ConfigMap", message([1, 7])),
    400,
    /field 1 has the wire type 0, not 2/,
  ],
  ["a time of no year", enveloped("v1", "ConfigMap", message([1, TIME])), 400, /time is out of/],
  ["JSON that is none", enveloped("v1", "ConfigMap", message([1, MANAGED])), 400, /not JSON/],
  ["a kind of others", enveloped("v1", "Node", GOOD), 415, /kind "Node" of "v1" is not read/],
  ["a kind of JavaScript", enveloped("__proto__", "toString", GOOD), 415, /send it as JSON/],
];

for (const [what, bytes, code, why] of BAD) {
  test(`protobuf is refused: ${what}`, () => {
    assert.throws(
      () => MESSAGES.decode(bytes),
      (error: unknown) => {
        assert.ok(error instanceof StatusError, String(error));
        assert.equal(error.status.code, code);
        assert.match(error.status.message, why);
        return true;
      },
    );
  });
}

test("bytes that are damaged anywhere are read or refused, and nothing else", () => {
  const [{ bytes } = { bytes: "" }] = VECTORS.filter(({ name }) => name.endsWith("Service"));
  const whole = Buffer.from(bytes, "base64");
  for (let at = 0; at < whole.length; at += 1) {
    for (const bits of [0x01, 0x80, 0xff]) {
      const damaged = Buffer.from(whole);
      damaged[at] = (damaged[at] ?? 0) ^ bits;
      try {
        MESSAGES.decode(damaged);
      } catch (error) {
        assert.ok(error instanceof StatusError, `${at}: ${String(error)}`);
      }
    }
  }
});

let served: Served;
before(async () => {
  served = await Served.start();
});
after(() => served.stop());

test("an object in protobuf is created, and answered in JSON", async () => {
  const { url } = served.server;
  const response = await fetch(`${url}/api/v1/namespaces/default/configmaps`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${"t".repeat(64)}`,
      "content-type": "application/vnd.kubernetes.protobuf",
      accept: "application/vnd.kubernetes.protobuf,application/json",
    },
    body: enveloped("v1", "ConfigMap", message([1, METADATA], [2, message([1, "a"], [2, "b"])])),
  });
  assert.equal(response.status, 201);
  assert.match(response.headers.get("content-type") ?? "", /^application\/json/);
  const { data } = (await response.json()) as { readonly data?: unknown };
  assert.deepEqual(data, { a: "b" });
});
