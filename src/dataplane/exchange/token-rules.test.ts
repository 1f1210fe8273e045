import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { SignJWT, exportJWK, generateKeyPair } from "jose";
import { systemClock } from "../../base/clock.ts";
import type { Condition, OperandSources, Snapshot } from "../../snapshot/snapshot.ts";
import { laneGroupOf, laneOf } from "../../snapshot/testing/lane-maker.ts";
import { RawClient, startFixture } from "../testing/fixture.ts";
import { atEnd, endAll, startRawUpstream } from "../testing/harness.ts";
import { mmdb } from "../testing/mmdb.ts";
import { cluster, endpoint, forwardRoute } from "../testing/snapshot-maker.ts";
import { gatewaySnapshot } from "../testing/snapshot-maker.ts";

const TIMEOUT = { timeout: 60_000 };
const A = cluster("a");
const { publicKey, privateKey } = await generateKeyPair("ES256");
const JWKS = JSON.stringify({
  keys: [{ ...(await exportJWK(publicKey)), kid: "k", alg: "ES256" }],
});
const TOKEN = await new SignJWT({ sub: "4711", realm: { roles: ["beta"] } })
  .setProtectedHeader({ alg: "ES256", kid: "k" })
  .setExpirationTime(Math.floor(systemClock.nowMs() / 1_000) + 600)
  .sign(privateKey);
const FORGED = `${TOKEN.slice(0, -6)}AAAAAA`;
const folder = await mkdtemp(join(tmpdir(), "graylane-geo-"));
const DATABASE = join(folder, "country.mmdb");
await writeFile(DATABASE, mmdb({ "10.1.0.0/16": { country: { iso_code: "CN" } } }));

after(async () => {
  await endAll();
  await rm(folder, { recursive: true });
});

const ROLE: Condition = {
  kind: "test",
  operand: { kind: "claim", name: "realm.roles[0]" },
  operator: "==",
  values: ["beta"],
};
const PLACE: Condition = {
  kind: "test",
  operand: { kind: "geo", name: "country" },
  operator: "==",
  values: ["CN"],
};

async function start(condition: Condition, operands: OperandSources) {
  const upstreams = await Promise.all(
    ["base", "gray"].map((name) =>
      startRawUpstream((socket) => {
        let text = "";
        socket.on("data", (bytes: Buffer) => {
          text += bytes.toString("latin1");
          if (!text.endsWith("0\r\n\r\n") && text.includes("chunked")) return;
          socket.end(`HTTP/1.1 200 OK\r\ncontent-length: ${name.length}\r\n\r\n${name}`);
        });
      }),
    ),
  );
  const [base, gray] = upstreams.map(({ port }) => port);
  const snapshot: Snapshot = gatewaySnapshot(80, [forwardRoute(A.name)], {
    clusters: { [A.name]: A },
    endpoints: {
      [A.name]: { endpoints: [endpoint(base ?? 0), endpoint(gray ?? 0, { lane: "gray" })] },
    },
    laneGroups: {
      "default/shop": laneGroupOf({
        services: ["default/a"],
        operands,
        lanes: [
          laneOf("gray", {
            rule: { programVersion: 2, condition },
          }),
        ],
      }),
    },
  });
  return startFixture(snapshot);
}

async function ask(port: number, ...headers: readonly string[]): Promise<string> {
  const client = await RawClient.open(port);
  client.send(["GET / HTTP/1.1", "host: a", "connection: close", ...headers, "", ""].join("\r\n"));
  return /(base|gray)$/.exec(await client.closed())?.[1] ?? client.received;
}

function byToken(keys: NonNullable<OperandSources["tokens"]>["keys"]): OperandSources {
  return { trustedHops: 0, tokens: { keys, from: { kind: "header", name: "authorization" } } };
}

const INLINE = byToken({ kind: "inline", jwks: JWKS });

test("a verified claim meets a rule, at the first request and after it", TIMEOUT, async () => {
  const { port, assertions } = await start(ROLE, INLINE);
  assert.equal(await ask(port, `authorization: Bearer ${TOKEN}`), "gray");
  assert.equal(await ask(port, `authorization: Bearer ${TOKEN}`), "gray");
  assert.equal(await ask(port), "base");
  assert.equal(await ask(port, `authorization: Bearer ${FORGED}`), "base");
  assert.equal(await ask(port, `authorization: Basic ${TOKEN}`), "base");
  assert.deepEqual(assertions, []);
});

test("a body that comes while the token is verified goes on whole", TIMEOUT, async () => {
  const body: Condition = {
    kind: "test",
    operand: { kind: "bodyForm", name: "a" },
    operator: "==",
    values: ["1"],
  };
  const { port } = await start({ kind: "all", of: [ROLE, body] }, INLINE);
  const client = await RawClient.open(port);
  client.send(
    [
      "POST / HTTP/1.1",
      "host: a",
      "connection: close",
      "transfer-encoding: chunked",
      "content-type: application/x-www-form-urlencoded",
      `authorization: Bearer ${TOKEN}`,
      "",
      "3\r\na=1\r\n0\r\n\r\n",
    ].join("\r\n"),
  );
  assert.match(await client.closed(), /gray$/);
});

test("keys come from an address, and while it is away nobody has claims", TIMEOUT, async () => {
  let isAway = true;
  const server = createServer((_request, response) => {
    response.statusCode = isAway ? 503 : 200;
    response.end(JWKS);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  atEnd(() => server.close());
  const { port: keysPort } = server.address() as AddressInfo;
  const uri = `http://127.0.0.1:${keysPort}/keys`;
  const away = await start(ROLE, byToken({ kind: "remote", uri }));
  assert.equal(await ask(away.port, `authorization: Bearer ${TOKEN}`), "base");
  isAway = false;
  const there = await start(ROLE, byToken({ kind: "remote", uri }));
  assert.equal(await ask(there.port, `authorization: Bearer ${TOKEN}`), "gray");
});

test("explain waits for the token, shows the claim, and never the token", TIMEOUT, async () => {
  const header: Condition = {
    kind: "test",
    operand: { kind: "header", name: "authorization" },
    operator: "exists",
    values: [],
  };
  const { role } = await start({ kind: "all", of: [ROLE, header] }, INLINE);
  const question = { method: "GET", authority: "a", target: "/", port: 80 };
  const explained = async (token: string): Promise<string> => {
    const headers = [["authorization", `Bearer ${token}`]] as const;
    const answer = await role.explain({ ...question, headers });
    return JSON.stringify(answer);
  };
  const good = await explained(TOKEN);
  assert.match(good, /claim realm\.roles\[0\] == \\"beta\\" \(\\"beta\\": met\)/);
  assert.match(good, /authorization exists \(a token of \d+ characters: met\)/);
  assert.match(await explained(FORGED), /absent, since the token is not signed by the issuer/);
  for (const text of [good, await explained(FORGED)]) {
    assert.ok(!text.includes(TOKEN.slice(0, 30)), "a token is shown");
  }
});

test("the place of an address meets a rule, through trusted hops only", TIMEOUT, async () => {
  const { port, role } = await start(PLACE, { trustedHops: 1, geoDatabase: DATABASE });
  assert.equal(await ask(port, "x-forwarded-for: 10.1.2.3"), "gray");
  assert.equal(await ask(port, "x-forwarded-for: 10.1.2.3, 10.2.0.1"), "base");
  assert.equal(await ask(port, "x-forwarded-for: none"), "base");
  assert.deepEqual(role.sourceFaults(), []);
});

test("a geo database that cannot be read is a fault, and places are missing", TIMEOUT, async () => {
  const { port, role } = await start(PLACE, { trustedHops: 1, geoDatabase: `${DATABASE}.none` });
  assert.equal(await ask(port, "x-forwarded-for: 10.1.2.3"), "base");
  const [fault] = role.sourceFaults();
  assert.equal(fault?.code, "GL0328");
  assert.match(fault.message, /cannot be read: ENOENT.*places are missing/);
});
