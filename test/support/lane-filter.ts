//! The plug-in lane-filter with a program, beside the TypeScript engine: what both say of requests.

import assert from "node:assert/strict";
import { FilterProgram, RULES_HEADER } from "../../src/compile-envoy/filter-program.ts";
import type { BodyScope } from "../../src/compile-envoy/body-scope.ts";
import { RequestBody } from "../../src/dataplane/filter/request-body.ts";
import { readOperand } from "../../src/dataplane/filter/request-operands.ts";
import { Headers } from "../../src/http/headers.ts";
import type { PreparedCondition } from "../../src/lane/program.ts";
import { BODY_BYTES_DEFAULT } from "../../src/snapshot/snapshot.ts";
import type { Condition, OperandSources } from "../../src/snapshot/snapshot.ts";
import { BodyBuffer } from "../../src/wasm/body-buffer.ts";
import { BodyAction } from "../../src/wasm/enums.ts";
import { FakeStreamHost } from "../../src/wasm/fake-stream-host.ts";
import { Plugin } from "../../src/wasm/plugin.ts";
import type { StreamContext } from "../../src/wasm/stream-context.ts";
import { startPlugin, testServices } from "./plugin.ts";
import type { FilterRequest } from "./filter-draw.ts";

/** Of header actions. */
const STOP = 1;
const NO_SOURCES: OperandSources = { trustedHops: 0 };

/** As the embedded gateway decides. */
export function isMetHere(
  isMet: PreparedCondition,
  request: FilterRequest,
  operands: OperandSources = NO_SOURCES,
): boolean {
  const { method = "GET", target = "/", authority = "shop.test", headers = [] } = request;
  const fields = new Headers();
  for (const [name, value] of headers) fields.add(name, value);
  const { address: remoteAddress = "10.0.0.9" } = request;
  const asked = {
    ...{ request: { headers: fields, method, target, authority }, remoteAddress },
    collected: null,
  };
  const group = { name: "g", operands };
  const bytesMax = operands.bodyBytesMax ?? BODY_BYTES_DEFAULT;
  const body = new RequestBody(Buffer.from(request.body ?? "", "latin1"), fields);
  return isMet((kind, name) => {
    if (kind === "bodyJson") return body.json(name, bytesMax);
    return kind === "bodyForm" ? body.form(name, bytesMax) : readOperand(asked, group, kind, name);
  });
}

export class Filter {
  readonly #plugin: Plugin;
  readonly #ids: readonly string[];

  private constructor(plugin: Plugin, ids: readonly string[]) {
    this.#plugin = plugin;
    this.#ids = ids;
  }

  static async start(
    conditions: readonly Condition[],
    operands: OperandSources = NO_SOURCES,
    scope: BodyScope = {},
  ): Promise<Filter> {
    const program = new FilterProgram();
    const ids = conditions.map((condition) => {
      const added = program.add(condition, operands);
      assert.ok(added.kind === "rule", added.kind === "refused" ? added.what : "");
      return (added.matcher["string_match"] as { readonly contains: string }).contains;
    });
    const services = testServices();
    const configuration = JSON.stringify(program.configuration(scope));
    const plugin = await startPlugin("lane-filter", configuration, services);
    assert.ok(plugin instanceof Plugin, services.lines.join("\n"));
    return new Filter(plugin, ids);
  }

  /** By the index of the condition. */
  met(request: FilterRequest): boolean[] {
    const { host, stream } = this.open(request);
    const isHeld = stream.onRequestHeaders(request.body === undefined) === STOP;
    if (isHeld) assert.equal(this.give(stream, request), BodyAction.continue);
    stream.finish();
    return this.metBy(host);
  }

  open(request: FilterRequest): { readonly host: FakeStreamHost; readonly stream: StreamContext } {
    const { method = "GET", target = "/", authority = "shop.test", headers = [] } = request;
    const { address = "10.0.0.9", route } = request;
    const pseudo = [
      [":authority", authority] as const,
      [":path", target] as const,
      [":method", method] as const,
    ];
    const host = new FakeStreamHost([...pseudo, ...headers, [RULES_HEADER, this.#ids.join("")]]);
    const written = address.includes(":") ? `[${address}]:4711` : `${address}:4711`;
    host.properties.set("source.address", new TextEncoder().encode(written));
    if (route !== undefined) {
      host.properties.set("xds.route_name", new TextEncoder().encode(route));
    }
    const stream = this.#plugin.createStream(host);
    assert.ok(stream !== null);
    return { host, stream };
  }

  /** As Envoy shows a body: each call sees what is new. Gives what is answered last. */
  give(stream: StreamContext, { body = "", parts = 1 }: FilterRequest): BodyAction {
    const bytes = Buffer.from(body, "latin1");
    const size = Math.ceil(bytes.length / parts);
    for (let part = 0; part < parts; part++) {
      const isLast = part === parts - 1;
      const chunk = new BodyBuffer(bytes.subarray(part * size, (part + 1) * size));
      const action = stream.onRequestBody(chunk, isLast);
      if (action === BodyAction.continue || isLast) return action;
      assert.equal(action, BodyAction.watermark);
    }
    return BodyAction.watermark;
  }

  /** A part that is not the last. */
  giveSome(stream: StreamContext, { body = "" }: FilterRequest): BodyAction {
    return stream.onRequestBody(new BodyBuffer(Buffer.from(body, "latin1")), false);
  }

  metBy({ request }: FakeStreamHost): boolean[] {
    const text = request.get(RULES_HEADER) ?? "";
    return this.#ids.map((id) => text.includes(id));
  }
}
