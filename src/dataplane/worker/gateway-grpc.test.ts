//! gRPC through a gateway: real clients and servers, and lanes that are entered by metadata.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  credentials,
  makeGenericClientConstructor,
  Metadata,
  Server,
  ServerCredentials,
  status,
} from "@grpc/grpc-js";
import type { ClientUnaryCall, StatusObject } from "@grpc/grpc-js";
import type { Lane, LaneGroup } from "../../snapshot/snapshot.ts";
import { startFixture } from "../testing/fixture.ts";
import { atEnd, endAll } from "../testing/harness.ts";
import {
  cluster,
  endpoint,
  forwardRoute,
  gatewaySnapshot,
  SOURCE,
} from "../testing/snapshot-maker.ts";

after(endAll);

const A = { ...cluster("a"), protocol: "h2" as const };
const GATEWAY = "istio=ingressgateway";

/** Entered by metadata `x-user` with the lane's name. */
function lane(name: string): Lane {
  const operand = { kind: "header", name: "x-user" } as const;
  const condition = { kind: "test", operand, operator: "==", values: [name] } as const;
  return {
    ...{ name, tag: name, selector: { lane: name }, services: [], enabled: true },
    rule: { programVersion: 2, condition },
  };
}

const GROUP: LaneGroup = {
  ...{ name: "g", source: SOURCE, gateways: [GATEWAY], services: ["default/a"] },
  ...{ baseline: { kind: "untagged", labelKeys: ["lane"] }, fallback: "permissive" },
  ...{ serviceFallback: {}, stripFromClients: true, lanes: ["gray", "blue"].map(lane) },
  context: { mode: "header", routeHeader: "x-tag" },
};

const bytes = (value: Buffer): Buffer => value;
const SERVICE = {
  who: {
    ...{ path: "/test.Who/who", requestStream: false, responseStream: false },
    ...{ requestSerialize: bytes, requestDeserialize: bytes },
    ...{ responseSerialize: bytes, responseDeserialize: bytes },
  },
};
interface Who {
  who(
    message: Buffer,
    metadata: Metadata,
    done: (error: Error | null, reply?: Buffer) => void,
  ): ClientUnaryCall;
  close(): void;
}

/** Answers with its name and the lane that it is told; asked for "fail", with a status alone. */
async function serve(name: string): Promise<number> {
  const server = new Server();
  server.addService(SERVICE, {
    who: (
      call: { readonly request: Buffer; readonly metadata: Metadata },
      done: (error: object | null, reply: Buffer | null, trailers?: Metadata) => void,
    ) => {
      const trailers = new Metadata();
      trailers.set("served-by", name);
      if (String(call.request) === "fail") {
        done({ code: status.ABORTED, details: "as asked", metadata: trailers }, null);
        return;
      }
      done(null, Buffer.from(`${name} ${call.metadata.get("x-tag").join()}`.trim()), trailers);
    },
  });
  atEnd(() => {
    server.forceShutdown();
  });
  return new Promise((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
      if (error === null) resolve(port);
      else reject(error);
    });
  });
}

interface Called {
  readonly reply: string;
  readonly end: StatusObject;
}

describe("gRPC through a gateway", () => {
  let client: Who;

  before(async () => {
    const [base, gray] = await Promise.all([serve("base"), serve("gray")]);
    const endpoints = [endpoint(base), endpoint(gray, { lane: "gray" })];
    const { port } = await startFixture(
      gatewaySnapshot(80, [forwardRoute(A.name)], {
        clusters: { [A.name]: A },
        endpoints: { [A.name]: { endpoints } },
        laneGroups: { g: GROUP },
      }),
    );
    const WhoClient = makeGenericClientConstructor(SERVICE, "test.Who");
    client = new WhoClient(`127.0.0.1:${port}`, credentials.createInsecure()) as unknown as Who;
    atEnd(() => {
      client.close();
    });
  });

  function call(fields: Readonly<Record<string, string>>, message = "who?"): Promise<Called> {
    const metadata = new Metadata();
    for (const [name, value] of Object.entries(fields)) metadata.set(name, value);
    return new Promise((resolve) => {
      let reply = "";
      const made = client.who(Buffer.from(message), metadata, (_error, got) => {
        reply = String(got ?? "");
      });
      // Comes after the reply.
      made.on("status", (end) => {
        setImmediate(() => {
          resolve({ reply, end });
        });
      });
    });
  }

  const cases: readonly {
    name: string;
    fields: Record<string, string>;
    by: string;
    tag: string;
  }[] = [
    { name: "without metadata the baseline answers", fields: {}, by: "base", tag: "" },
    { name: "metadata enters a lane", fields: { "x-user": "gray" }, by: "gray", tag: "gray" },
    {
      name: "a lane without a copy falls back, and stays the request's",
      fields: { "x-user": "blue" },
      by: "base",
      tag: "blue",
    },
    { name: "a client cannot name a lane", fields: { "x-tag": "gray" }, by: "base", tag: "" },
  ];
  for (const { name, fields, by, tag } of cases) {
    test(`${name}, with its trailers`, async () => {
      const { reply, end } = await call(fields);
      assert.equal(reply, `${by} ${tag}`.trim());
      assert.equal(end.code, status.OK);
      assert.deepEqual(end.metadata.get("served-by"), [by]);
    });
  }

  test("a status without a message comes from the lane, too", async () => {
    const { end } = await call({ "x-user": "gray" }, "fail");
    assert.equal(end.code, status.ABORTED);
    assert.equal(end.details, "as asked");
    assert.deepEqual(end.metadata.get("served-by"), ["gray"]);
  });
});
