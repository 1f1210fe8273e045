//! A real Kubernetes API server with etcd, for tests: no controllers and no nodes, so a test writes
//! Pods' statuses and EndpointSlices itself.
//!
//! The API server is `$GRAYLANE_KUBE_APISERVER`, or built once from its published Go modules (three
//! to eight minutes); etcd is `$GRAYLANE_ETCD`, that of PATH, or Debian's package, unpacked into the
//! cache without being installed.

import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { delay, systemClock } from "../../src/base/clock.ts";
import { freePort } from "../../src/base/testing/free-port.ts";
import { cacheFolder, execute, findGoComponent } from "./go-component.ts";

const VERSION = ["1", "36", "3"] as const;
const READY_MS_MAX = 60_000;
const POLL_MS = 50;
const APT_MS_MAX = 180_000;
const OUTPUT_CHARS_MAX = 50_000;
export const ADMIN_TOKEN: string = "admin-token-of-a-test";
/** The service account of `graylane install --print`: it may do what its ClusterRole says. */
const CONTROLLER_TOKEN = "controller-token-of-a-test";
const CONTROLLER_USER = "system:serviceaccount:graylane-system:graylane";

/** Everything that one user has asked, as the API server saw it. */
const AUDIT_POLICY = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [ResponseStarted]
rules:
- level: Metadata
  users: ["${CONTROLLER_USER}"]
- level: None
`;

export interface AuditedRequest {
  readonly verb: string;
  readonly requestURI: string;
  readonly stage: "RequestReceived" | "ResponseComplete" | "Panic";
  readonly objectRef?: { readonly resource?: string; readonly subresource?: string };
}

/** Further users, by name, with their groups. */
export type Users = Readonly<Record<string, readonly string[]>>;

export interface Known {
  readonly users?: Users;
  /** Of further users' certificates, PEM; absent: none is taken. */
  readonly authorities?: string;
}

/** The token of a further user. */
export function tokenOf(name: string): string {
  return `token-of-${name.replaceAll(":", "-")}`;
}

export class KubernetesServer {
  /** Holds `kubeconfig`, of an administrator, and `controller.kubeconfig`. */
  readonly directory: string = mkdtempSync(join(tmpdir(), "graylane-kubernetes-"));
  readonly #apiserver: string;
  readonly #users: Users;
  readonly #ports: { readonly api: number; readonly etcd: number };
  #etcd: ChildProcess | null = null;
  #server: ChildProcess | null = null;
  #output = "";

  private constructor(
    apiserver: string,
    ports: { readonly api: number; readonly etcd: number },
    users: Users,
  ) {
    this.#apiserver = apiserver;
    this.#ports = ports;
    this.#users = users;
  }

  /** Resolves when it is ready. */
  static async start({ users = {}, authorities = "" }: Known = {}): Promise<KubernetesServer> {
    const [apiserver, etcd] = await Promise.all([findApiserver(), findEtcd()]);
    const ports = { api: await freePort(), etcd: await freePort() };
    const server = new KubernetesServer(apiserver, ports, users);
    try {
      server.#writeFiles();
      if (authorities !== "") writeFileSync(server.authoritiesFile, authorities);
      server.#etcd = server.#spawn(etcd, await etcdWords(server.directory, ports.etcd));
      await server.startApi();
      server.#writeKubeconfigs();
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  get kubeconfig(): string {
    return join(this.directory, "kubeconfig");
  }

  /** Of all its users. */
  get tokenFile(): string {
    return join(this.directory, "tokens.csv");
  }

  get authoritiesFile(): string {
    return join(this.directory, "client-ca.crt");
  }

  get url(): string {
    return `https://127.0.0.1:${this.#ports.api}`;
  }

  get controllerKubeconfig(): string {
    return join(this.directory, "controller.kubeconfig");
  }

  /** Starts the API server alone; after `stopApi` on the same port, with the same objects. */
  async startApi(): Promise<void> {
    this.#server = this.#spawn(this.#apiserver, this.#apiWords());
    const deadline = systemClock.monotonicMs() + READY_MS_MAX;
    while (!(await this.#isReady())) {
      if (this.#server.exitCode !== null || systemClock.monotonicMs() > deadline) {
        throw new Error(`the Kubernetes API server is not ready:\n${this.#output}`);
      }
      await delay(systemClock, POLL_MS);
    }
  }

  async stopApi(): Promise<void> {
    await end(this.#server);
    this.#server = null;
  }

  async stop(): Promise<void> {
    await this.stopApi();
    await end(this.#etcd);
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** What the controller's user has asked so far, oldest first. */
  audited(): readonly AuditedRequest[] {
    const path = join(this.directory, "audit.log");
    if (!existsSync(path)) return [];
    const lines = readFileSync(path, "utf8").split("\n");
    return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as AuditedRequest);
  }

  #writeFiles(): void {
    const { privateKey } = generateKeyPairSync("rsa", {
      modulusLength: 2048,
      publicKeyEncoding: { type: "spki", format: "pem" },
      privateKeyEncoding: { type: "pkcs8", format: "pem" },
    });
    writeFileSync(join(this.directory, "accounts.pem"), privateKey, { mode: 0o600 });
    writeFileSync(join(this.directory, "audit.yaml"), AUDIT_POLICY);
    const groups = "system:serviceaccounts,system:authenticated";
    const lines = [
      `${ADMIN_TOKEN},admin,admin,system:masters`,
      `${CONTROLLER_TOKEN},${CONTROLLER_USER},controller,"${groups}"`,
      ...Object.entries(this.#users).map(([name, own]) => {
        const groups = own.length === 0 ? "" : `,"${own.join(",")}"`;
        return `${tokenOf(name)},${name},uid-of-${name}${groups}`;
      }),
    ];
    writeFileSync(this.tokenFile, `${lines.join("\n")}\n`, { mode: 0o600 });
  }

  #writeKubeconfigs(): void {
    const ca = readFileSync(join(this.directory, "certs", "apiserver.crt")).toString("base64");
    const server = this.url;
    for (const [path, token] of [
      [this.kubeconfig, ADMIN_TOKEN],
      [this.controllerKubeconfig, CONTROLLER_TOKEN],
    ] as const) {
      const config = {
        ...{ apiVersion: "v1", kind: "Config", "current-context": "test" },
        clusters: [{ name: "test", cluster: { server, "certificate-authority-data": ca } }],
        users: [{ name: "test", user: { token } }],
        contexts: [{ name: "test", context: { cluster: "test", user: "test" } }],
      };
      writeFileSync(path, JSON.stringify(config), { mode: 0o600 });
    }
  }

  #apiWords(): string[] {
    const file = (name: string): string => join(this.directory, name);
    return [
      `--etcd-servers=http://127.0.0.1:${this.#ports.etcd}`,
      ...[`--secure-port=${this.#ports.api}`, "--bind-address=127.0.0.1"],
      `--cert-dir=${file("certs")}`,
      "--service-account-issuer=https://test.invalid",
      `--service-account-key-file=${file("accounts.pem")}`,
      `--service-account-signing-key-file=${file("accounts.pem")}`,
      `--token-auth-file=${this.tokenFile}`,
      ...(existsSync(this.authoritiesFile) ? [`--client-ca-file=${this.authoritiesFile}`] : []),
      // Of 1.36, in place of impersonation as it was: its refusals have other words.
      "--feature-gates=ConstrainedImpersonation=false",
      ...["--authorization-mode=RBAC", "--service-cluster-ip-range=10.96.0.0/16"],
      "--disable-admission-plugins=ServiceAccount",
      ...[`--audit-policy-file=${file("audit.yaml")}`, `--audit-log-path=${file("audit.log")}`],
    ];
  }

  #spawn(command: string, words: readonly string[]): ChildProcess {
    const child = spawn(command, words, { stdio: ["ignore", "pipe", "pipe"] });
    const append = (chunk: Buffer): void => {
      this.#output = (this.#output + chunk.toString()).slice(-OUTPUT_CHARS_MAX);
    };
    child.stdout.on("data", append);
    child.stderr.on("data", append);
    child.on("error", (error) => {
      append(Buffer.from(error.message));
    });
    return child;
  }

  #isReady(): Promise<boolean> {
    return new Promise((resolve) => {
      const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
      const where = { host: "127.0.0.1", port: this.#ports.api, path: "/readyz" };
      // Its certificate does not exist before it has started.
      const options = { ...where, headers, rejectUnauthorized: false, agent: false } as const;
      const asked = request(options, (response) => {
        response.resume();
        resolve(response.statusCode === 200);
      });
      asked.on("error", () => {
        resolve(false);
      });
      asked.end();
    });
  }
}

async function etcdWords(directory: string, port: number): Promise<string[]> {
  const [url, peer] = [`http://127.0.0.1:${port}`, `http://127.0.0.1:${await freePort()}`];
  return [
    ...["--data-dir", join(directory, "etcd"), "--log-level", "warn"],
    ...["--listen-client-urls", url, "--advertise-client-urls", url],
    ...["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer],
    ...["--initial-cluster", `default=${peer}`],
  ];
}

function findApiserver(): Promise<string> {
  const name = "kube-apiserver";
  const folder = `${name}-${VERSION.join(".")}`;
  const variable = "GRAYLANE_KUBE_APISERVER";
  return findGoComponent({ name, variable, version: VERSION, folder });
}

async function findEtcd(): Promise<string> {
  const named = process.env["GRAYLANE_ETCD"];
  if (named !== undefined && named !== "") return named;
  const folder = cacheFolder("etcd");
  const path = join(folder, "usr", "bin", "etcd");
  if (existsSync(path)) return path;
  if ((await execute("etcd", ["--version"], { timeout: POLL_MS * 100 })).exitCode === 0) {
    return "etcd";
  }
  mkdirSync(cacheFolder(""), { recursive: true });
  const made = mkdtempSync(cacheFolder("etcd-made-"));
  try {
    const options = { cwd: made, timeout: APT_MS_MAX };
    const download = ["apt-get", ["download", "-qq", "etcd-server"]] as const;
    let ran = await execute(...download, options);
    if (ran.exitCode !== 0) {
      await execute("apt-get", ["update", "-qq"], options);
      ran = await execute(...download, options);
    }
    const [archive = ""] = readdirSync(made).filter((name) => name.endsWith(".deb"));
    const unpacked = await execute("dpkg-deb", ["-x", archive, "root"], options);
    if (unpacked.exitCode !== 0) throw new Error(`${ran.stderr}${unpacked.stderr}`);
    rmSync(folder, { recursive: true, force: true });
    renameSync(join(made, "root"), folder);
    return path;
  } catch (cause) {
    throw new Error(`there is no etcd, and Debian's cannot be had: ${String(cause)}`, { cause });
  } finally {
    rmSync(made, { recursive: true, force: true });
  }
}

function end(child: ChildProcess | null): Promise<void> {
  if (child === null || child.exitCode !== null || child.signalCode !== null) {
    return Promise.resolve();
  }
  return new Promise((resolve) => {
    child.once("exit", () => {
      resolve();
    });
    child.kill("SIGKILL");
  });
}
