//! The chain A -> B -> C of examples/mse-order without a single sidecar: the apps' agents pick the
//! lane's endpoints, as the configuration and the pods change under them.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { parseAllDocuments } from "yaml";
import { Graylane, KINDS } from "../support/graylane.ts";

const EXAMPLE = "examples/mse-order";
const SCALED = ["default", "spring-cloud-c-gray"] as const;

/** A route header that the apps themselves know nothing of. */
const group = (more = "fallback: permissive", context = ""): string => `
apiVersion: graylane.io/v1alpha1
kind: LaneGroup
metadata: {name: mse-order, namespace: default}
spec:
  entry: {gateways: [{name: ingressgateway, namespace: istio-system}]}
  services: [{name: sc-a}, {name: sc-b}, {name: sc-c}]
  baseline: {}
  ${more}
  context: {mode: header, routeHeader: x-lane${context}}
`;
const SECRET = `
apiVersion: v1
kind: Secret
metadata: {name: keys, namespace: default}
stringData: {"2026-11": "0123456789abcdef0123456789abcdef"}
`;

function withoutSidecars(file: string): string {
  const documents = parseAllDocuments(readFileSync(join(EXAMPLE, file), "utf8"));
  for (const document of documents) {
    const annotations = { "graylane.io/sidecar": "false" };
    document.setIn(["spec", "template", "metadata", "annotations"], annotations);
  }
  return documents.map(String).join("\n---\n");
}

suite("a chain of apps whose agents pick the endpoints", () => {
  const folder = mkdtempSync(join(tmpdir(), "graylane-without-sidecars-"));
  let graylane: Graylane;
  before(async () => {
    const apps = join(folder, "apps.yaml");
    writeFileSync(
      apps,
      [withoutSidecars("base.yaml"), withoutSidecars("gray.yaml")].join("\n---\n"),
    );
    const files = ["services.yaml", "gateway.yaml", "lanes.yaml"].map((file) =>
      join(EXAMPLE, file),
    );
    graylane = await Graylane.start({ files: [...files, apps] });
    await use(group());
  });
  after(async () => {
    await graylane.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const use = async (yaml: string): Promise<void> => {
    await graylane.apply(yaml);
    await graylane.published();
  };
  const ask = async (canary: string): Promise<string> => {
    const answer = await graylane.ask({ path: "/a", headers: [["canary", canary]] });
    return answer.body;
  };
  /** `Agray B Cgray`: who has answered. */
  const way = async (canary: string): Promise<string> =>
    [...(await ask(canary)).matchAll(/[ABC](?:gray)?(?=\[)/g)].join(" ");

  test("no pod has a sidecar, and gray is reached through the baseline's B", async () => {
    const { items } = await graylane.client.list(KINDS.Pod);
    for (const { metadata } of items) {
      assert.equal(metadata.annotations?.["local.graylane.io/outbound"], undefined);
    }
    for (let count = 0; count < 5; count++) {
      assert.equal(await way("gray"), "Agray B Cgray");
      assert.equal(await way("no"), "A B C");
    }
  });

  test("a change counts when it is published, and a strict hop fails", async () => {
    await use(group("fallback: strict"));
    assert.match(await ask("gray"), /^Agray.*sc-b.*failed: GRAYLANE_NO_ENDPOINT$/);
    assert.equal(await way("no"), "A B C");
    await use(
      group("fallback: permissive\n  serviceFallback: [{service: {name: sc-b}, policy: strict}]"),
    );
    assert.match(await ask("gray"), /^Agray.*sc-b.*failed: GRAYLANE_NO_ENDPOINT$/);
    await use(group());
    assert.equal(await way("gray"), "Agray B Cgray");
  });

  test("signed lanes travel through the apps", async () => {
    await use([SECRET, group("fallback: permissive", ", signed: {secretName: keys}")].join("---"));
    assert.equal(await way("gray"), "Agray B Cgray");
    assert.equal(await way("no"), "A B C");
    await use(group());
  });

  test("pods of a lane come and go, and no request is lost", async () => {
    const under = { way: true };
    const asked = [1, 2, 3].map(async () => {
      while (under.way) assert.match(await way("gray"), /^Agray B C(?:gray)?$/);
    });
    for (const replicas of [0, 2]) {
      await graylane.patch(KINDS.Deployment, SCALED, (deployment) => ({
        ...deployment,
        spec: { ...(deployment["spec"] as object), replicas },
      }));
      await graylane.settle();
      assert.equal(await way("gray"), replicas === 0 ? "Agray B C" : "Agray B Cgray");
    }
    under.way = false;
    await Promise.all(asked);
  });
});
