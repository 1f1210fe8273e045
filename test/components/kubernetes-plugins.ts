//! What needs Wasm modules at the Envoys of a cluster: a WasmPlugin, a rule beyond routes, shares.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Controller } from "../support/controller.ts";
import type { Kubectl } from "../support/kubectl.ts";
import { laneOf, SHOP } from "./kubernetes-shop.ts";

/** Half of the users are in the lane, by the same header. */
export const SHARES = `apiVersion: graylane.io/v1alpha1
kind: LaneGroup
metadata: { name: shop, namespace: default }
spec:
  entry: { gateways: [{ name: shop }] }
  services: [{ name: cart }]
  context: { routeHeader: x-shop-lane }
  ratio: { key: { header: x-user } }
---
apiVersion: graylane.io/v1alpha1
kind: Lane
metadata: { name: gray, namespace: default }
spec:
  group: shop
  selector: { matchLabels: { version: gray } }
  ratio: { percent: "50%" }
`;

/** Makes that user of everybody. */
export function pluginOf(url: string, user: string): string {
  return `apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: { name: tagging, namespace: istio-system }
spec:
  selector: { matchLabels: { istio: ingressgateway } }
  url: ${url}
  pluginConfig:
    rules:
    - header: x-user
      modulo: 100
      tagHeader: x-user
      policies: [{ range: 100, tagValue: ${user} }]
`;
}

export interface ClusterParts {
  readonly demandApplied: (text: string) => Promise<void>;
  readonly kubectl: Kubectl;
  readonly ask: (user: string) => Promise<string>;
  readonly untilAnswers: (user: string, wanted: string) => Promise<void>;
  readonly controller: Controller;
}

/** Begins and ends with the lane `gray` for `ann`. */
export async function pluginsAndShares(parts: ClusterParts): Promise<void> {
  const { demandApplied, kubectl, ask, untilAnswers, controller } = parts;
  const bytes = readFileSync("plugins/hash-tagging/hash-tagging.wasm");
  let asked = 0;
  const web = createServer((_request, response) => {
    asked += 1;
    response.end(bytes);
  });
  await new Promise<void>((resolve) => web.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(web.address() as AddressInfo).port}/tagging.wasm`;
  const plugin = ["wasmplugins.extensions.istio.io", "tagging", "-n", "istio-system"];
  await demandApplied(pluginOf(url, "ann"));
  await kubectl.demand("wait", "--for=condition=Accepted", ...plugin, "--timeout=60s");
  await untilAnswers("bob", "200 gray");
  await demandApplied(pluginOf(url, "eve"));
  await untilAnswers("bob", "200 base");
  assert.equal(asked, 1, "the controller fetches it once");
  await kubectl.demand("delete", ...plugin);
  web.close();
  await untilAnswers("ann", "200 gray");
  await demandApplied(laneOf('operator: semver, value: ">=2.1.0"'));
  await untilAnswers("2.2.0", "200 gray");
  assert.equal(await ask("2.0.0"), "200 base");
  await demandApplied(SHARES);
  await controller.until("a lane with a share", async () => (await usersInLane(ask)).length > 0);
  const users = await usersInLane(ask);
  assert.ok(users.length < USERS, String(users));
  assert.deepEqual(await usersInLane(ask), users, "each stays where he was");
  await demandApplied([SHOP, laneOf('operator: "==", value: ann')].join("---\n"));
  // Ann may have had a share, too.
  await untilAnswers(`user-${users[0]}`, "200 base");
  assert.equal(await ask("ann"), "200 gray");
}

const USERS = 40;

async function usersInLane(ask: ClusterParts["ask"]): Promise<readonly number[]> {
  const users = Array.from({ length: USERS }, (_, index) => ask(`user-${index}`));
  const answers = await Promise.all(users);
  return answers.flatMap((answer, index) => (answer === "200 gray" ? [index] : []));
}
