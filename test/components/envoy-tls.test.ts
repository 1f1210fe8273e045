//! TLS at the gateways: the embedded ones and real Envoys (by deltas, and by the state of the
//! world) get the same objects, and are asked the same.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { connect } from "node:tls";
import type { ConnectionOptions, TLSSocket } from "node:tls";
import { generate } from "selfsigned";
import { freePort } from "../../src/base/testing/free-port.ts";
import {
  A_TEST,
  A_TEST_RENEWED,
  B_TEST,
  CA,
  CLIENT,
} from "../../src/dataplane/testing/certificates.ts";
import { allBegun, endEach, stopAll } from "../support/ending.ts";
import { findEnvoy } from "../support/envoy.ts";
import type { Envoy } from "../support/envoy.ts";
import { Backend, askAt, startGatewayEnvoy } from "../support/envoy-fleet.ts";
import { Graylane, KINDS, temporaryDirectory } from "../support/graylane.ts";

const found = await findEnvoy();
const skip = found.kind === "missing" ? found.reason : false;
const binary = found.kind === "found" ? found.path : "";
const ANSWER_MS_MAX = 10_000;

type Pair = typeof A_TEST;

function secret(name: string, pair: Pair | null, authorities = ""): string {
  const stringData = {
    ...(pair === null ? {} : { "tls.crt": pair.certificate, "tls.key": pair.privateKey }),
    ...(authorities === "" ? {} : { "ca.crt": authorities }),
  };
  const metadata = { name, namespace: "default" };
  const type = pair === null ? "Opaque" : "kubernetes.io/tls";
  return JSON.stringify({ apiVersion: "v1", kind: "Secret", metadata, type, stringData });
}

function gateway(): string {
  const https = (number: number, host: string, tls: string): string =>
    `{ port: { number: ${number}, name: https-${number}, protocol: HTTPS }, ` +
    `hosts: ["${host}"], tls: ${tls} }`;
  return `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: entry, namespace: default }
spec:
  selector: { istio: ingressgateway }
  servers:
    - port: { number: 80, name: http, protocol: HTTP }
      hosts: ["a.test", "*.b.test"]
      tls: { httpsRedirect: true }
    - { port: { number: 80, name: open, protocol: HTTP }, hosts: ["open.test"] }
    - ${https(443, "a.test", "{ mode: SIMPLE, credentialName: a }")}
    - ${https(443, "*.b.test", "{ mode: MUTUAL, credentialName: b }")}
    - ${https(8443, "*", "{ mode: SIMPLE, credentialName: a, minProtocolVersion: TLSV1_3 }")}
`;
}

function service(name: string, tls = ""): string {
  return `
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: default }
spec: { selector: { app: ${name} }, ports: [{ name: http, port: 8000, targetPort: http }] }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: ${name}, namespace: default }
spec: { host: ${name}${tls === "" ? "" : `, trafficPolicy: { tls: ${tls} }`} }
`;
}

function upstreamRoute(path: string, host: string): string {
  return `{ match: [{ uri: { prefix: ${path} } }], route: [{ destination: { host: ${host} } }] }`;
}

/** Each by its path. */
const UPSTREAMS: Readonly<Record<string, string>> = {
  mutual: "{ mode: MUTUAL, credentialName: client, sni: a.test }",
  simple: "{ mode: SIMPLE, credentialName: authorities, sni: a.test }",
  wrongname:
    "{ mode: SIMPLE, credentialName: authorities, sni: a.test, subjectAltNames: [b.test] }",
  system: "{ mode: SIMPLE, sni: a.test }",
  unverified: "{ mode: SIMPLE, sni: a.test, insecureSkipVerify: true }",
};

function routes(): string {
  const upstreams = Object.keys(UPSTREAMS).map((name) => upstreamRoute(`/${name}`, name));
  return `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: shop, namespace: default }
spec:
  hosts: ["*"]
  gateways: [entry]
  http: [${[...upstreams, "{ route: [{ destination: { host: shop } }] }"].join(", ")}]
`;
}

/** What came of a handshake and one request; a text: there was no answer, and why. */
interface Outcome {
  readonly owner: string;
  readonly alpn: string;
  readonly status: number;
  readonly proto: string | null;
  readonly body: string;
}

interface Ask extends ConnectionOptions {
  readonly hostHeader: string;
  readonly path?: string;
}

async function shake(port: number, options: ConnectionOptions): Promise<TLSSocket | null> {
  const common = { host: "127.0.0.1", port, ca: CA.certificate, ALPNProtocols: ["http/1.1"] };
  const socket = connect({ ...common, checkServerIdentity: () => undefined, ...options });
  return new Promise((done) => {
    socket.on("secureConnect", () => {
      done(socket);
    });
    socket.on("error", () => {
      done(null);
    });
    socket.on("close", () => {
      done(null);
    });
  });
}

/** Null: the connection was closed in place of an answer. */
async function answerOn(socket: TLSSocket, host: string, path = "/"): Promise<string | null> {
  const ended = AbortSignal.timeout(ANSWER_MS_MAX);
  socket.write(`GET ${path} HTTP/1.1\r\nhost: ${host}\r\n\r\n`);
  let text = "";
  while (!isWhole(text)) {
    const data = once(socket, "data", { signal: ended });
    const closed = once(socket, "close", { signal: ended });
    const [chunk] = (await Promise.race([data, closed])) as unknown[];
    data.catch(() => undefined);
    closed.catch(() => undefined);
    if (!Buffer.isBuffer(chunk)) return null;
    text += chunk.toString("latin1");
  }
  return text;
}

function isWhole(text: string): boolean {
  const [head = "", body] = text.split("\r\n\r\n");
  if (body === undefined) return false;
  const length = /^content-length: (\d+)/im.exec(head)?.[1];
  return length === undefined ? body.endsWith("0") : body.length >= Number(length);
}

async function outcomeAt(port: number, { hostHeader, path, ...options }: Ask): Promise<unknown> {
  const socket = await shake(port, options);
  if (socket === null) return "no connection";
  const owner = socket.getPeerCertificate().subject.O;
  const { alpnProtocol } = socket;
  const answer = await answerOn(socket, hostHeader, path).catch(() => null);
  socket.destroy();
  if (answer === null) return "no connection";
  return outcomeOf(answer, String(owner), String(alpnProtocol));
}

function outcomeOf(answer: string, owner: string, alpn: string): Outcome {
  const [head = "", rest = ""] = answer.split("\r\n\r\n");
  const seen = /^x-seen: (.*)$/im.exec(head)?.[1];
  const fields = seen === undefined ? {} : (JSON.parse(seen) as Record<string, string>);
  const body = /^transfer-encoding: chunked/im.test(head) ? (rest.split("\r\n")[1] ?? "") : rest;
  return {
    ...{ owner, alpn, status: Number(head.split(" ")[1]) },
    ...{ proto: fields["x-forwarded-proto"] ?? null, body },
  };
}

const MISDIRECTED =
  "misdirected_request: the host is not one of those that the connection's server name " +
  "stands for\n";
const CLIENT_PAIR = { cert: CLIENT.certificate, key: CLIENT.privateKey };
/** It is its own authority. */
const stranger = await generate([{ name: "commonName", value: "stranger" }], {
  ...{ keyType: "ec", algorithm: "sha256" },
});
const STRANGER = { cert: stranger.cert, key: stranger.private };
const SHOP = { alpn: "http/1.1", status: 200, proto: "https", body: "shop" };

interface TlsCase {
  readonly name: string;
  readonly port?: 443 | 8443;
  readonly ask: Ask;
  readonly want: Outcome | "no connection";
}

const CASES: readonly TlsCase[] = [
  {
    name: "the name that a client asks for chooses the certificate",
    ask: { servername: "a.test", hostHeader: "a.test" },
    want: { owner: "a", ...SHOP },
  },
  {
    name: "a request for the host of another certificate is misdirected",
    ask: { servername: "a.test", hostHeader: "x.b.test" },
    want: { owner: "a", ...SHOP, status: 421, proto: null, body: MISDIRECTED },
  },
  {
    name: "a port in the host does not make a request misdirected",
    ask: { servername: "a.test", hostHeader: "a.test:8443" },
    want: { owner: "a", ...SHOP },
  },
  {
    name: "a server of MUTUAL refuses a client without a certificate",
    ask: { servername: "x.b.test", hostHeader: "x.b.test" },
    want: "no connection",
  },
  {
    name: "a server of MUTUAL takes a client with a certificate of its authority",
    ask: { servername: "x.b.test", hostHeader: "x.b.test", ...CLIENT_PAIR },
    want: { owner: "b", ...SHOP },
  },
  {
    name: "a name deep below a wildcard is of that certificate",
    ask: { servername: "y.x.b.test", hostHeader: "y.x.b.test", ...CLIENT_PAIR },
    want: { owner: "b", ...SHOP },
  },
  {
    name: "a server of MUTUAL refuses a certificate of another authority",
    ask: { servername: "x.b.test", hostHeader: "x.b.test", ...STRANGER },
    want: "no connection",
  },
  {
    name: "a name that no server has gets no connection",
    ask: { servername: "c.test", hostHeader: "c.test" },
    want: "no connection",
  },
  {
    name: "who names no server gets no connection where no certificate is for all",
    ask: { servername: "", hostHeader: "a.test" },
    want: "no connection",
  },
  {
    name: "a certificate for all hosts is for those that nobody names, too",
    port: 8443,
    ask: { servername: "", hostHeader: "c.test" },
    want: { owner: "a", ...SHOP },
  },
  {
    name: "a version below the least one gets no connection",
    port: 8443,
    ask: { servername: "a.test", hostHeader: "a.test", maxVersion: "TLSv1.2" },
    want: "no connection",
  },
  {
    name: "an endpoint is shown the gateway's certificate where the rule says MUTUAL",
    ask: { servername: "a.test", hostHeader: "a.test", path: "/mutual" },
    want: { owner: "a", ...SHOP, body: "mutual" },
  },
  {
    name: "an endpoint's certificate is verified by the rule's authorities",
    ask: { servername: "a.test", hostHeader: "a.test", path: "/simple" },
    want: { owner: "a", ...SHOP, body: "simple" },
  },
  {
    name: "an endpoint is spoken to unverified where the rule says so",
    ask: { servername: "a.test", hostHeader: "a.test", path: "/unverified" },
    want: { owner: "a", ...SHOP, body: "unverified" },
  },
];

/** Their words differ: the status counts. */
const UNTRUSTED = ["/wrongname", "/system"];

interface Redirect {
  readonly name: string;
  readonly host: string;
  readonly location: string | null;
}

const REDIRECTS: readonly Redirect[] = [
  { name: "a host of httpsRedirect", host: "a.test", location: "https://a.test/x?y=1" },
  { name: "its port is left out", host: "a.test:80", location: "https://a.test/x?y=1" },
  { name: "a host below a wildcard", host: "x.b.test", location: "https://x.b.test/x?y=1" },
  { name: "a host of the other server", host: "open.test", location: null },
];

suite("TLS at gateways", { skip, timeout: 240_000 }, () => {
  const backends: Backend[] = [];
  const envoys: Envoy[] = [];
  /** By engine, then by the Gateway's port. */
  const ports = new Map<string, ReadonlyMap<number, number>>();
  const stateDirectory = temporaryDirectory();
  let graylane: Graylane;
  let xdsPort = 0;
  const engines = ["embedded", "delta", "sotw"] as const;
  const portOf = (engine: string, port: number): number => ports.get(engine)?.get(port) ?? 0;

  before(async () => {
    xdsPort = await freePort();
    for (const engine of engines) {
      ports.set(
        engine,
        new Map([
          [80, await freePort()],
          [443, await freePort()],
          [8443, await freePort()],
        ]),
      );
    }
    const maps = [443, 8443].flatMap((port) => [
      "--map-port",
      `${port}=${portOf("embedded", port)}`,
    ]);
    graylane = await Graylane.start({
      ...{ files: [], stateDirectory, ownsState: true, waitsForPods: false },
      port: portOf("embedded", 80),
      words: ["--xds", `127.0.0.1:${xdsPort}`, ...maps],
    });
    const secrets = [
      secret("a", A_TEST),
      secret("b", B_TEST, CA.certificate),
      secret("client", CLIENT, CA.certificate),
      secret("authorities", null, CA.certificate),
    ];
    const services = Object.entries(UPSTREAMS).map(([name, tls]) => service(name, tls));
    const all = [...secrets, gateway(), service("shop"), ...services, routes()];
    await graylane.apply(all.join("\n---\n"));
    const own = { cert: A_TEST.certificate, key: A_TEST.privateKey, ca: CA.certificate };
    for (const name of ["shop", ...Object.keys(UPSTREAMS)]) {
      const tls = { ...own, requestCert: name === "mutual", rejectUnauthorized: name === "mutual" };
      const backend = await Backend.start(name, name === "shop" ? undefined : tls);
      backends.push(backend);
      await backend.announce(graylane, { app: name });
    }
    const started = (["delta", "sotw"] as const).map(async (xdsMode) => {
      const portMap = [443, 8443].map((port) => `${port}=${portOf(xdsMode, port)}`);
      const options = { xdsPort, port: portOf(xdsMode, 80), id: `edge-${xdsMode}`, xdsMode };
      envoys.push(await startGatewayEnvoy(binary, graylane, { ...options, portMap }));
    });
    await allBegun(started);
    await graylane.published();
  });
  after(() =>
    endEach(
      () => stopAll(envoys),
      () => stopAll(backends),
      () => graylane.stop(),
    ),
  );

  for (const { name, port = 443, ask, want } of CASES) {
    test(name, async () => {
      for (const engine of engines) {
        assert.deepEqual(await outcomeAt(portOf(engine, port), ask), want, engine);
      }
    });
  }

  for (const path of UNTRUSTED) {
    test(`an endpoint that cannot be trusted is sent nothing: ${path}`, async () => {
      for (const engine of engines) {
        const ask = { servername: "a.test", hostHeader: "a.test", path };
        const outcome = (await outcomeAt(portOf(engine, 443), ask)) as Outcome;
        assert.equal(outcome.status, 503, `${engine}: ${JSON.stringify(outcome)}`);
      }
    });
  }

  for (const { name, host, location } of REDIRECTS) {
    test(`a plain request is sent to https: ${name}`, async () => {
      for (const engine of engines) {
        const { status, headers } = await askAt({
          ...{ port: portOf(engine, 80), host, path: "/x?y=1", headers: [] },
        });
        assert.equal(status, location === null ? 200 : 301, engine);
        assert.equal(headers.location ?? null, location, engine);
      }
    });
  }

  test("a new certificate counts for new connections, and ends none that is open", async () => {
    const open = await Promise.all(
      engines.map((engine) => shake(portOf(engine, 443), { servername: "a.test" })),
    );
    const talk = async (): Promise<void> => {
      for (const [index, socket] of open.entries()) {
        assert.ok(socket !== null && !socket.destroyed, engines[index]);
        assert.match((await answerOn(socket, "a.test")) ?? "", /^HTTP\/1\.1 200 /, engines[index]);
      }
    };
    await talk();
    await graylane.apply(secret("a", A_TEST_RENEWED));
    await graylane.published();
    for (const engine of engines) {
      const ask = { servername: "a.test", hostHeader: "a.test" };
      await graylane.until(`${engine} shows the new certificate`, async () => {
        const outcome = (await outcomeAt(portOf(engine, 443), ask)) as Outcome;
        return outcome.owner === "a2";
      });
    }
    await talk();
    for (const socket of open) socket?.destroy();
    for (const envoy of envoys) assert.equal(await envoy.isDraining(), false);
  });

  test("private keys are in no dump, no status, no log and no file of Envoy's", async () => {
    const lines = [A_TEST, A_TEST_RENEWED, B_TEST, CLIENT].map(
      ({ privateKey }) => privateKey.split("\n")[1] ?? "",
    );
    const token = readFileSync(join(stateDirectory, "xds.token"), "utf8").trim();
    const texts = await Promise.all(
      envoys.map(async ({ adminPort, log }) => {
        const dump = await fetch(`http://127.0.0.1:${adminPort}/config_dump?include_eds`);
        return `${await dump.text()} ${log}`;
      }),
    );
    const { stdout: status } = await graylane.cli("proxy-status");
    assert.match(status, /^edge-delta +gateway +SYNCED +SYNCED +SYNCED +SYNCED +SYNCED$/m);
    const dumps = await Promise.all(
      ["edge-delta", "embedded"].map((id) => graylane.cli("proxy-config", "all", id, "-o", "json")),
    );
    const all = [...texts, status, ...dumps.map(({ stdout }) => stdout)];
    assert.ok(texts.every((text) => text.includes("BEGIN CERTIFICATE")));
    assert.ok(dumps.every(({ stdout }) => stdout.includes("certificate|")));
    for (const [index, text] of all.entries()) {
      for (const line of [...lines, token]) assert.ok(!text.includes(line), `text ${index}`);
    }
  });

  test("an Envoy without the token opens no TLS and is told no key, as the Gateway says", async () => {
    const port = await freePort();
    const options = { xdsPort, port, id: "edge-bare", token: "" };
    const envoy = await startGatewayEnvoy(binary, graylane, options);
    try {
      await graylane.published();
      assert.equal((await askAt({ port, host: "open.test", path: "/", headers: [] })).status, 200);
      const dump = await (await fetch(`http://127.0.0.1:${envoy.adminPort}/config_dump`)).text();
      assert.ok(!dump.includes("tls_certificate"), dump);
      let said = "";
      await graylane.until(
        () => said,
        async () => {
          const { status } = await graylane.client.get(KINDS.Gateway, "default", "entry");
          said = JSON.stringify(status ?? {});
          return /GL0701.*no private keys without the xDS token/.test(said);
        },
      );
    } finally {
      await envoy.stop();
    }
  });
});
