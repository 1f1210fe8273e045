import assert from "node:assert/strict";
import { after, beforeEach, describe, test } from "node:test";
import { FakeClock } from "../../base/fake-clock.ts";
import type { RegistryAnswer } from "../../compile/registry.ts";
import { REQUEST_TIMEOUT_MS } from "./connection.ts";
import { FakeNacos } from "./fake-nacos.ts";
import { KEEP_MS, LIST_MS, NacosRegistry, POLLED_MAX, RETRY_MS_MIN } from "./nacos-registry.ts";
import type { RegistrySettings } from "./nacos-registry.ts";
import { INSTANCES_MAX } from "./service-info.ts";

const A = "/DEFAULT_GROUP/sc-A";
const HOST = "sc-a.default-group.public.nacos";
const BASE = { ip: "127.0.0.1", port: 20001 };
const GRAY = { ip: "127.0.0.2", port: 20001, metadata: { "alicloud.service.tag": "gray" } };

const SERVICES_MAX = 40;

let server = new FakeNacos();
let closing: (() => void)[] = [];

class World {
  readonly clock = new FakeClock();
  readonly registry: NacosRegistry;
  #changed: () => void = () => undefined;

  readonly settings: RegistrySettings;

  constructor(settings: RegistrySettings) {
    this.settings = settings;
    this.registry = new NacosRegistry({
      ...{ settings, clock: this.clock, servicesMax: SERVICES_MAX },
      onChange: () => {
        this.#changed();
      },
    });
    closing.push(() => {
      this.registry.stop();
    });
  }

  /** The answer as soon as it is as wanted; time goes on by little steps meanwhile. */
  async until(isWanted: (answer: RegistryAnswer) => boolean, stepMs = 0): Promise<RegistryAnswer> {
    while (!isWanted(this.registry.answer)) {
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
        setImmediate(resolve);
      });
      this.clock.advance(stepMs);
    }
    return this.registry.answer;
  }

  /** `address:port=tag` of the instances. */
  places(host = HOST): string[] {
    const service = this.registry.answer.services.find((one) => one.host === host);
    return (service?.instances ?? []).map(
      ({ address, port, metadata }) =>
        `${address}:${port}=${metadata["alicloud.service.tag"] ?? ""}`,
    );
  }
}

const isConnected = ({ fault }: RegistryAnswer): boolean => fault === "";

async function start(settings: Partial<RegistrySettings> = {}, port = 0): Promise<World> {
  const ports = await server.start(port);
  closing.push(() => {
    server.stop();
  });
  return new World({
    ...{ host: "127.0.0.1", port: ports.httpPort, grpcPort: ports.grpcPort, namespace: "" },
    ...{ groups: ["DEFAULT_GROUP"], user: null, ...settings },
  });
}

function closeAll(): void {
  for (const close of closing.reverse()) close();
  closing = [];
}

beforeEach(() => {
  closeAll();
  server = new FakeNacos();
});
after(closeAll);

describe("a registry of Nacos", () => {
  test("says its services by the names that Higress gives them, with the metadata", async () => {
    server.put(A, [GRAY, BASE]);
    server.put("/DEFAULT_GROUP/b", [{ ...BASE, metadata: { protocol: "grpc" } }]);
    server.put("/OTHER_GROUP/c", [BASE]);
    server.put("elsewhere/DEFAULT_GROUP/d", [BASE]);
    const world = await start({ groups: ["DEFAULT_GROUP", "OTHER_GROUP"] });
    const { services } = await world.until(isConnected, 1);
    const told = services.map(({ host, port, isHttp2 }) => [host, port, isHttp2]);
    assert.deepEqual(told, [
      ["b.default-group.public.nacos", 20001, true],
      ["c.other-group.public.nacos", 20001, false],
      [HOST, 20001, false],
    ]);
    assert.deepEqual(world.places(), ["127.0.0.1:20001=", "127.0.0.2:20001=gray"]);
  });

  test("leaves out who takes no requests, and who cannot be called", async () => {
    server.put(A, [
      ...[BASE, { ...BASE, port: 1, healthy: false }, { ...BASE, port: 2, enabled: false }],
      ...[
        { ...BASE, port: 3, weight: 0 },
        { ip: "a.name", port: 4 },
        { ...BASE, port: 70_000 },
      ],
    ]);
    server.put("/DEFAULT_GROUP/providers:com.example.Api:1.0:", [BASE]);
    const world = await start();
    const { leftOut } = await world.until(isConnected, 1);
    assert.deepEqual(world.places(), ["127.0.0.1:20001="]);
    const names = ["providers:com.example.Api:1.0:", "sc-A (2 of its instances)"];
    assert.deepEqual(leftOut, names);
  });

  test("follows what is pushed without asking, and keeps the port of the service", async () => {
    server.put(A, [BASE]);
    const world = await start();
    await world.until(isConnected, 1);
    const asked = server.counts.get("SubscribeServiceRequest");
    server.push(A, [{ ...GRAY, port: 9 }]);
    await world.until(() => world.places().join() === "127.0.0.2:9=gray");
    assert.equal(server.counts.get("SubscribeServiceRequest"), asked);
    assert.equal(world.registry.answer.services[0]?.port, 20001);
  });

  test("asks for services that routes name with each list, in turns if many", async () => {
    const keys = Array.from({ length: POLLED_MAX + 5 }, (_, index) => `/DEFAULT_GROUP/s${index}`);
    for (const key of keys) server.put(key, [BASE]);
    const world = await start();
    await world.until(isConnected, 1);
    const hosts = world.registry.answer.services.map(({ host }) => host);
    assert.equal(server.counts.get("ServiceQueryRequest"), undefined);
    world.registry.name(new Set(hosts));
    // Nothing is pushed.
    for (const key of keys) server.put(key, [GRAY]);
    const isGray = (host: string): boolean => world.places(host).join().endsWith("gray");
    world.clock.advance(LIST_MS);
    await world.until(() => hosts.filter(isGray).length === POLLED_MAX);
    assert.equal(server.counts.get("ServiceQueryRequest"), POLLED_MAX);
    await world.until(() => hosts.every(isGray), LIST_MS);
  });

  test("finds a service that is new with the next list, and loses one that is gone", async () => {
    const world = await start();
    await world.until(isConnected, 1);
    assert.deepEqual(world.registry.answer.services, []);
    server.put(A, [BASE]);
    world.clock.advance(LIST_MS);
    await world.until(({ services }) => services.length === 1);
    world.clock.advance(KEEP_MS);
    server.services.delete(A);
    await world.until(({ services }) => services.length === 0, LIST_MS);
  });

  test("keeps what was said last while the server is away, and follows it again", async () => {
    server.put(A, [BASE]);
    const world = await start();
    await world.until(isConnected, 1);
    const { grpcPort } = world.settings;
    server.stop();
    const away = await world.until(({ fault }) => fault !== "", 1);
    assert.notEqual(away.heardAt, "");
    assert.deepEqual(world.places(), ["127.0.0.1:20001="]);
    // It knows nobody yet: its services come back one by one.
    server.services.clear();
    await server.start(grpcPort);
    await world.until(isConnected, RETRY_MS_MIN);
    assert.deepEqual(world.places(), ["127.0.0.1:20001="]);
    server.put(A, [GRAY]);
    await world.until(() => world.places().join() === "127.0.0.2:20001=gray", LIST_MS);
  });

  test("believes a server that came back empty when time has passed", async () => {
    server.put(A, [BASE]);
    const world = await start();
    await world.until(isConnected, 1);
    const { grpcPort } = world.settings;
    server.stop();
    await world.until(({ fault }) => fault !== "", 1);
    server.services.clear();
    await server.start(grpcPort);
    await world.until(isConnected, RETRY_MS_MIN);
    await world.until(({ services }) => services.length === 0, LIST_MS);
  });

  test("says so when the server does not answer, and takes up again when it does", async () => {
    server.put(A, [BASE]);
    const world = await start();
    await world.until(isConnected, 1);
    server.isFrozen = true;
    const { fault } = await world.until((answer) => answer.fault !== "", REQUEST_TIMEOUT_MS / 10);
    assert.match(fault, /no answer within 3 s/);
    assert.deepEqual(world.places(), ["127.0.0.1:20001="]);
    server.isFrozen = false;
    await world.until(isConnected, RETRY_MS_MIN);
  });

  const user = { name: "nacos", password: "secret" };
  test("logs in, and sends the token with each request", async () => {
    server.token = "t1";
    server.put(A, [BASE]);
    const world = await start({ user });
    await world.until(isConnected, 1);
    assert.deepEqual(world.places(), ["127.0.0.1:20001="]);
  });

  const refused: readonly [string, Partial<RegistrySettings>, string | null, RegExp][] = [
    ["a user that is refused", { user }, null, /^the user nacos is refused \(403\)$/],
    ["no user where one is wanted", {}, "t1", /^unknown user!$/],
    ["a port where nobody listens", { grpcPort: 1 }, null, /^ECONNREFUSED$/],
    ["a host that is none", { host: "no.such.invalid" }, null, /resol|ENOTFOUND/],
  ];
  for (const [title, settings, token, wanted] of refused) {
    test(`says what is wrong: ${title}`, async () => {
      server.token = token;
      const world = await start(settings);
      await world.registry.first;
      assert.match(world.registry.answer.fault, wanted);
      assert.equal(world.registry.answer.heardAt, "");
    });
  }

  test("follows no more services and instances than it may, and names the rest", async () => {
    const many = Array.from({ length: INSTANCES_MAX + 3 }, (_, index) => ({
      ...BASE,
      port: index + 1,
    }));
    server.put("/DEFAULT_GROUP/a-0", many);
    for (let index = 1; index <= SERVICES_MAX + 1; index++) {
      server.put(`/DEFAULT_GROUP/b-${String(index).padStart(5, "0")}`, [BASE]);
    }
    const world = await start();
    const { services, leftOut } = await world.until(isConnected);
    assert.equal(services.length, SERVICES_MAX);
    assert.equal(services[0]?.instances.length, INSTANCES_MAX);
    assert.deepEqual(leftOut, [
      `b-000${SERVICES_MAX} (more than ${SERVICES_MAX} services)`,
      `b-000${SERVICES_MAX + 1} (more than ${SERVICES_MAX} services)`,
      "a-0 (3 of its instances)",
    ]);
  });
});
