//! `node dist/bench/analyze.js`: how long `graylane analyze` takes for 10,001 objects in one file.
//!
//! Prints medians: reading and validating, and what is found between the objects, with its place.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../src/base/clock.ts";
import { compileManifests, readManifests } from "../src/cli/manifests.ts";
import { cliDependencies } from "../src/main/cli-dependencies.ts";

const SERVICES = 2_000;
const ROUNDS = 7;
/** One service in so many has a route to a subset that is not there. */
const MISTAKEN = 10;

const GATEWAY = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  selector: {istio: edge}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]
`;

function deployment(service: string, version: string): string {
  const labels = `{app: ${service}, version: ${version}}`;
  return `
apiVersion: apps/v1
kind: Deployment
metadata: {name: ${service}-${version}}
spec:
  selector: {matchLabels: ${labels}}
  template:
    metadata: {labels: ${labels}}
    spec: {containers: [{name: a, image: example/a}]}
`;
}

function objectsOf(index: number): string[] {
  const name = `s${index}`;
  const subset = index % MISTAKEN === 0 ? "v3" : "v2";
  return [
    `
apiVersion: v1
kind: Service
metadata: {name: ${name}}
spec: {selector: {app: ${name}}, ports: [{name: http, port: 8000}]}
`,
    deployment(name, "v1"),
    deployment(name, "v2"),
    `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ${name}}
spec:
  host: ${name}
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
`,
    `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${name}}
spec:
  hosts: [${name}.example.com]
  gateways: [edge]
  http:
  - match: [{uri: {prefix: /a}}]
    route: [{destination: {host: ${name}, subset: v1}}]
  - route: [{destination: {host: ${name}, subset: ${subset}}}]
`,
  ];
}

function median(values: readonly number[]): string {
  const sorted = [...values].sort((a, b) => a - b);
  return ((sorted[Math.floor(sorted.length / 2)] ?? 0) / 1_000).toFixed(2);
}

const folder = mkdtempSync(join(tmpdir(), "graylane-analyze-"));
const path = join(folder, "objects.yaml");
const objects = Array.from({ length: SERVICES }, (_, index) => objectsOf(index)).flat();
writeFileSync(path, [GATEWAY, ...objects].join("---"));
const context = {
  ...cliDependencies(process, new AbortController().signal),
  common: {},
};
const read: number[] = [];
const found: number[] = [];
let count = 0;
for (let round = 0; round < ROUNDS; round++) {
  const startMs = systemClock.monotonicMs();
  const manifests = await readManifests(context, [path]);
  const readMs = systemClock.monotonicMs();
  const findings = await compileManifests(context, manifests, null);
  found.push(systemClock.monotonicMs() - readMs);
  read.push(readMs - startMs);
  count = findings.length;
}
rmSync(folder, { recursive: true });
process.stdout.write(
  `${objects.length + 1} objects, ${count} findings: read and validated in ${median(read)} s, ` +
    `analysed in ${median(found)} s (medians of ${ROUNDS})\n`,
);
