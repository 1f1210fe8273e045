//! ASM's lane objects alone, without a VirtualService: they make the gateway's routes, by rules and
//! by weights, and explain, analyze and the status speak of the same.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, suite, test } from "node:test";
import { Graylane, KINDS } from "../support/graylane.ts";

const FOLDER = "examples/asm-hash-tagging";
/** Requests of different users, at once and in all. */
const AT_ONCE = 16;
const REQUESTS = 1_600;
/** 30 % of them, give or take six standard deviations: the draws are not seeded here. */
const DRAWN = { min: 370, max: 590 };

const GROUP = "istio.alibabacloud.com";
const DESTINATION = "destination: {host: mocka.default.svc.cluster.local}";

/** The lane of the example, with rules or a weight. */
function lane(name: string, tag: string, services: readonly string[], more: string): string {
  return `
apiVersion: ${GROUP}/v1
kind: ASMSwimLane
metadata: {name: ${name}, labels: {swimlane-group: canary}}
spec:
  labelSelector: {ASM_TRAFFIC_TAG: ${tag}}
  services: [${services.map((service) => `{name: ${service}, namespace: default}`).join(", ")}]
  ${more}
`;
}

function lanes(s1: string, s2: string): string {
  const all = ["mocka", "mockb", "mockc"];
  return `${lane("s1", "v1", all, s1)}---${lane("s2", "v2", ["mockc"], s2)}`;
}

const rule = (match: string): string =>
  `ingressRules: [{name: r, online: true, hosts: ["*"], match: ${match}, route: {${DESTINATION}}}]`;
const RULES = lanes(
  rule("{uri: {exact: /}, headers: {x-lane: {exact: base}}}"),
  rule("{uri: {exact: /}, headers: {x-user-id: {prefix: jas}}}"),
);
const WEIGHTED = `ingress:
    ingressRouting:
      ingressRoutingStrategy: weighted
      weightedRoutingRule: {hosts: ["*"], requestMatches: [{uri: {prefix: /}}]}`;

suite("ASM's lane objects without a VirtualService", () => {
  let graylane: Graylane;

  before(async () => {
    const files = ["sample.yaml", "gateway.yaml", "services.yaml", "lanes.yaml"];
    graylane = await Graylane.start({ files: files.map((file) => `${FOLDER}/${file}`) });
  });
  after(async () => {
    await graylane.stop();
  });

  /** The version of each hop, `v1 v1 v2`, or the status. */
  async function versions(headers: readonly (readonly [string, string])[]): Promise<string> {
    const { status, body } = await graylane.ask({ path: "/", headers });
    if (status !== 200) return String(status);
    return [...body.matchAll(/version: (v\d)/g)].map(([, version = ""]) => version).join(" ");
  }

  test("a rule leads to its service in its lane; what no rule takes gets a 404", async () => {
    await graylane.apply(RULES);
    await graylane.published();
    assert.equal(await versions([["x-user-id", "jason"]]), "v1 v1 v2");
    assert.equal(
      await versions([
        ["x-user-id", "bob"],
        ["x-lane", "base"],
      ]),
      "v1 v1 v1",
    );
    assert.equal(await versions([["x-user-id", "bob"]]), "404");
    const explained = await graylane.client.explain({
      method: "GET",
      url: `${graylane.origin}/`,
      headers: [["x-user-id", "jason"]],
    });
    assert.equal(explained.route?.source, 'ASMSwimLane /s2 ingressRules[0] "r"');
    assert.deepEqual([explained.decision?.lane, explained.decision?.reason], ["s2", "route"]);
    const analyzed = await graylane.cli("analyze", "-f", graylane.file(RULES));
    assert.doesNotMatch(analyzed.stdout, /GL0315/);
  });

  test("weights are shares of the one route, and stand in the status", async () => {
    const text = readFileSync(`${FOLDER}/lanes.yaml`, "utf8").split("---")[0] ?? "";
    const weights = lanes(
      `ingressWeight: {${DESTINATION}, weight: 70}`,
      `ingressWeight: {${DESTINATION}, weight: 30}`,
    );
    await graylane.apply(`${text.replace("ingress:", WEIGHTED)}---${weights}`);
    await graylane.published();
    let canary = 0;
    for (let done = 0; done < REQUESTS; done += AT_ONCE) {
      const answers = await Promise.all(
        Array.from({ length: AT_ONCE }, (_none, index) =>
          versions([["x-user-id", `user-${done + index}`]]),
        ),
      );
      for (const answer of answers) {
        assert.match(answer, /^v1 v1 v[12]$/);
        if (answer === "v1 v1 v2") canary += 1;
      }
    }
    assert.ok(canary >= DRAWN.min && canary <= DRAWN.max, `${canary} of ${REQUESTS}`);
    await graylane.until("the status has the shares", async () => {
      const { status } = await graylane.client.get(KINDS.ASMSwimLane, "", "s2");
      return JSON.stringify(status).includes('"30 %"');
    });
  });

  test("weights above 100 are told in the group's status, and the baseline has all", async () => {
    await graylane.patch(KINDS.ASMSwimLane, ["", "s2"], (resource) => {
      const { ingressWeight, ...spec } = resource["spec"] as { ingressWeight: object };
      return { ...resource, spec: { ...spec, ingressWeight: { ...ingressWeight, weight: 31 } } };
    });
    await graylane.published();
    const { stdout } = await graylane.cli("describe", "asmswimlanegroup", "canary");
    assert.match(stdout, /GL0340.*s1 70 %, s2 31 %/s);
    for (let user = 0; user < AT_ONCE; user += 1) {
      assert.equal(await versions([["x-user-id", `late-${user}`]]), "v1 v1 v1");
    }
  });
});
