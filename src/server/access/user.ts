//! Who asks: a user with groups, as Kubernetes knows them.

export interface User {
  readonly name: string;
  readonly uid: string;
  readonly groups: readonly string[];
  /** What else the credentials tell, as Kubernetes names it; absent: nothing. */
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

/** May do everything, whatever the roles say. */
export const MASTERS = "system:masters";
/** Everybody whose credentials are right is in it. */
export const AUTHENTICATED = "system:authenticated";
const UNAUTHENTICATED = "system:unauthenticated";
const SERVICE_ACCOUNT = "system:serviceaccount:";
const SERVICE_ACCOUNTS = "system:serviceaccounts";

/** Whoever has the token of the state directory. */
export const ADMIN: User = {
  name: "graylane:admin",
  uid: "",
  groups: [MASTERS, AUTHENTICATED],
};
export const ANONYMOUS: User = {
  name: "system:anonymous",
  uid: "",
  groups: [UNAUTHENTICATED],
};

export interface AccountName {
  readonly namespace: string;
  readonly name: string;
}

export function accountUserName({ namespace, name }: AccountName): string {
  return `${SERVICE_ACCOUNT}${namespace}:${name}`;
}

/** Null: the name is not a service account's. */
export function accountOf(userName: string): AccountName | null {
  if (!userName.startsWith(SERVICE_ACCOUNT)) return null;
  const [namespace, name, ...rest] = userName.slice(SERVICE_ACCOUNT.length).split(":");
  if (namespace === undefined || name === undefined || rest.length > 0) return null;
  return namespace === "" || name === "" ? null : { namespace, name };
}

/** The user with the groups that are not written down: as authenticated, as a service account. */
export function authenticated(user: User): User {
  const own = groupsOfAccount(user.name);
  return { ...user, groups: [...new Set([...user.groups, ...own, AUTHENTICATED])] };
}

function groupsOfAccount(userName: string): readonly string[] {
  const account = accountOf(userName);
  return account === null ? [] : [SERVICE_ACCOUNTS, `${SERVICE_ACCOUNTS}:${account.namespace}`];
}

/** In whose name a request is made; groups that it does not name are Kubernetes' own. */
export function impersonatedUser(name: string, groups: readonly string[]): User {
  const own = groups.length === 0 ? groupsOfAccount(name) : groups;
  const isSaid = own.includes(AUTHENTICATED) || own.includes(UNAUTHENTICATED);
  const isAnonymous = name === ANONYMOUS.name;
  const more = isAnonymous ? [UNAUTHENTICATED] : isSaid ? [] : [AUTHENTICATED];
  return { name, uid: "", groups: [...new Set([...own, ...more])] };
}

export function isMaster({ groups }: User): boolean {
  return groups.includes(MASTERS);
}

/** Kubernetes' UserInfo. */
export function userInfo({ name, uid, groups, extra }: User): Readonly<Record<string, unknown>> {
  return { username: name, ...(uid !== "" && { uid }), groups, ...(extra && { extra }) };
}
