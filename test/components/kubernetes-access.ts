//! The same users, roles and requests for our API server and for a real one, and what both answer.

import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { Agent, request as httpsRequest } from "node:https";
import { ensureAccountKeys, type AccountTokens } from "../../src/server/access/account-tokens.ts";
import { BUILT_IN } from "../../src/server/access/built-in-roles.ts";
import { RBAC_GROUP, type PolicyRule } from "../../src/resources/kinds/role.ts";
import type { Resource } from "../../src/resources/object.ts";
import { TokenFile } from "../../src/server/access/token-file.ts";
import { ASSIGNMENTS, USERS } from "../../src/server/testing/policy.ts";
import { Served, type Answered, type Sent } from "../../src/server/testing/served.ts";
import { ADMIN_TOKEN, tokenOf, type KubernetesServer } from "../support/kubernetes.ts";

/** What a user of the policy table has, and beside it what has its own edges. */
export const ACCESS_USERS: Readonly<Record<string, readonly string[]>> = {
  ...USERS,
  "sub-resources": [],
  "deletes-one": [],
  dangling: [],
  granter: [],
  escalator: [],
  "escalates-one": [],
  binder: [],
  mimic: [],
};

const ALL_ROLES = { apiGroups: [RBAC_GROUP], resources: ["*"] };
const CONFIG_MAPS = { apiGroups: [""], resources: ["configmaps"] };

const RULES: Readonly<Record<string, readonly PolicyRule[]>> = {
  "sub-resources": [
    { verbs: ["get", "create"], apiGroups: [""], resources: ["pods/exec", "namespaces/finalize"] },
    { verbs: ["watch"], apiGroups: [""], resources: ["pods/*", "*/log"] },
    { verbs: ["get"], nonResourceURLs: ["/metrics", "/logs/*", "/graylane/**"] },
  ],
  "deletes-one": [
    { verbs: ["deletecollection", "list", "watch"], ...CONFIG_MAPS, resourceNames: ["one"] },
  ],
  granter: [{ verbs: ["*"], ...ALL_ROLES }].map((rule) => {
    return { ...rule, verbs: ["get", "list", "create", "update", "patch", "delete"] };
  }),
  escalator: [{ verbs: ["create", "update", "escalate"], ...ALL_ROLES }],
  "escalates-one": [
    { verbs: ["create", "update"], ...ALL_ROLES },
    { verbs: ["escalate"], ...ALL_ROLES, resourceNames: ["one", "kept"] },
  ],
  binder: [
    { verbs: ["create", "update"], ...ALL_ROLES },
    { verbs: ["bind"], ...ALL_ROLES, resourceNames: ["edit", "one"] },
  ],
  mimic: [
    { verbs: ["impersonate"], apiGroups: [""], resources: ["users"], resourceNames: ["nobody"] },
    {
      verbs: ["impersonate"],
      apiGroups: [""],
      resources: ["users"],
      resourceNames: ["editor-of-a"],
    },
    {
      verbs: ["impersonate"],
      apiGroups: [""],
      resources: ["users"],
      resourceNames: ["system:anonymous"],
    },
    { verbs: ["impersonate"], apiGroups: [""], resources: ["groups"], resourceNames: ["viewers"] },
    {
      verbs: ["impersonate"],
      apiGroups: [""],
      resources: ["serviceaccounts"],
      resourceNames: ["robot"],
    },
  ],
};
const apiVersion = `${RBAC_GROUP}/v1`;

function roleOf(name: string): Resource {
  return { apiVersion, kind: "ClusterRole", metadata: { name }, rules: RULES[name] };
}

function bindingOf(name: string, role = name, namespace?: string): Resource {
  return {
    apiVersion,
    kind: namespace === undefined ? "ClusterRoleBinding" : "RoleBinding",
    metadata: { name: `of-${name}`, ...(namespace !== undefined && { namespace }) },
    roleRef: { apiGroup: RBAC_GROUP, kind: "ClusterRole", name: role },
    subjects: [{ kind: "User", apiGroup: RBAC_GROUP, name }],
  };
}

function configMap(name: string, namespace: string): Resource {
  return { apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace } };
}

/** The aggregated roles are empty without a controller: both get ours. */
const OURS = BUILT_IN.filter(({ kind, metadata }) => {
  return kind === "ClusterRole" && ["admin", "edit", "view"].includes(metadata.name);
}).map(({ rules, metadata: { name } }): Resource => {
  return { apiVersion, kind: "ClusterRole", metadata: { name }, rules };
});

const OBJECTS: readonly Resource[] = [
  { apiVersion: "v1", kind: "Namespace", metadata: { name: "a" } },
  { apiVersion: "v1", kind: "Namespace", metadata: { name: "b" } },
  configMap("one", "a"),
  configMap("one", "b"),
  ...ASSIGNMENTS,
  ...Object.keys(RULES).flatMap((name) => [roleOf(name), bindingOf(name)]),
  bindingOf("dangling", "there-is-none"),
  {
    apiVersion,
    kind: "Role",
    metadata: { name: "kept", namespace: "a" },
    rules: [{ verbs: ["get"], ...CONFIG_MAPS }],
  },
  bindingOf("nobody", "kept-back", "b"),
];

function accountsIn(directory: string): AccountTokens {
  const accounts = ensureAccountKeys(directory);
  if (typeof accounts === "string") throw new Error(accounts);
  return accounts;
}

/** Both servers with all of it. */
export class BothServers {
  readonly #ours: Served;
  readonly #theirs: KubernetesServer;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 16, rejectUnauthorized: false });

  private constructor(ours: Served, theirs: KubernetesServer) {
    this.#ours = ours;
    this.#theirs = theirs;
  }

  static async start(theirs: KubernetesServer): Promise<BothServers> {
    const tokens = new TokenFile(theirs.tokenFile, (fault) => {
      throw new Error(fault);
    });
    const both = new BothServers(
      await Served.start({ tokens, accounts: accountsIn(theirs.directory) }),
      theirs,
    );
    for (const object of OURS) await both.#load(object, true);
    for (const object of OBJECTS) await both.#load(object, false);
    return both;
  }

  async stop(): Promise<void> {
    this.#agent.destroy();
    await this.#ours.stop();
  }

  async #load(object: Resource, isThere: boolean): Promise<void> {
    const { name } = object.metadata;
    const path = isThere ? `${pathOf(object)}/${name}` : pathOf(object);
    const sent = { method: isThere ? "PUT" : "POST", path, body: object };
    const answers = [
      await this.#ours.send(sent),
      await this.#real({ ...sent, token: ADMIN_TOKEN }),
    ];
    for (const { code, text } of answers) {
      if (code >= 300) throw new Error(`${object.kind} ${name}: ${code} ${text}`);
    }
  }

  /** What each answers to a user. */
  async ask(user: string, sent: Omit<Sent, "token">): Promise<readonly [Answered, Answered]> {
    const token = tokenOf(user);
    return Promise.all([this.#ours.send({ ...sent, token }), this.#real({ ...sent, token })]);
  }

  /** The one and the other path. */
  async askEach(
    user: string,
    [ours = "", theirs = ""]: readonly string[],
    headers: NonNullable<Sent["headers"]>,
  ): Promise<readonly [Answered, Answered]> {
    const sent = { token: tokenOf(user), headers };
    return Promise.all([
      this.#ours.send({ ...sent, path: ours }),
      this.#real({ ...sent, path: theirs }),
    ]);
  }

  async #real({ method = "GET", path, token = "", headers, body }: Sent): Promise<Answered> {
    const bytes = body === undefined ? "" : JSON.stringify(body);
    // Node would send the body of a DELETE without saying where it ends.
    const length = { "content-length": String(Buffer.byteLength(bytes)) };
    const own = { authorization: `Bearer ${token}`, "content-type": "application/json", ...length };
    const options = { method, agent: this.#agent, headers: { ...own, ...headers } };
    const request = httpsRequest(`${this.#theirs.url}${path}`, options);
    request.end(bytes);
    const [response] = (await once(request, "response")) as [IncomingMessage];
    const code = response.statusCode ?? 0;
    if (code === 200 && /\bwatch\b/.test(path)) {
      request.on("error", () => undefined).destroy();
      return { code, text: "" };
    }
    return { code, text: (await response.setEncoding("utf8").toArray()).join("") };
  }
}

/** Of the collection. */
export function pathOf({ apiVersion: version, kind, metadata: { namespace } }: Resource): string {
  const root = version.includes("/") ? `/apis/${version}` : `/api/${version}`;
  const where = namespace === undefined ? "" : `/namespaces/${namespace}`;
  return `${root}${where}/${kind.toLowerCase()}s`;
}

/** Null: they agree. Words are compared where both refuse, and what is told where both answer. */
export function differenceOf(
  { method = "GET", path }: Omit<Sent, "token">,
  [ours, theirs]: readonly [Answered, Answered],
): string | null {
  const [own, other] = [ours, theirs].map((answer) => saidBy(path, method, answer));
  if (own === other) return null;
  return `ours:   ${own ?? ""}\ntheirs: ${other ?? ""}`;
}

interface Body {
  readonly message?: string;
  readonly reason?: string;
  readonly details?: object;
  readonly status?: ReviewStatus;
}

interface ReviewStatus {
  readonly allowed?: boolean;
  readonly reason?: string;
  readonly resourceRules?: readonly object[];
  readonly evaluationError?: string;
  readonly incomplete?: boolean;
  readonly userInfo?: { readonly username: string; readonly groups: readonly string[] };
}

function saidBy(path: string, method: string, { code, text }: Answered): string {
  if (code === 403) {
    const { message, reason, details } = JSON.parse(text) as Body;
    return JSON.stringify({ code, message, reason, details });
  }
  if (/reviews$/.test(path) && code === 201) {
    const { status = {} } = JSON.parse(text) as Body;
    const { userInfo, resourceRules, allowed, reason, evaluationError, incomplete } = status;
    const told = { allowed, reason, evaluationError, incomplete };
    const rules = resourceRules?.map((rule) => JSON.stringify(rule)).sort();
    const groups = [...(userInfo?.groups ?? [])].sort();
    return JSON.stringify({ code, ...told, rules, username: userInfo?.username, groups });
  }
  // What is written here is whole: whether it is taken tells of rights, too.
  const isGrant = method !== "GET" && path.includes(RBAC_GROUP) && path.includes("/kept");
  return isGrant ? String(code) : "let through";
}
