//! Who asks: a user with groups, as Kubernetes knows them.

export interface User {
  readonly name: string;
  readonly uid: string;
  readonly groups: readonly string[];
}

/** May do everything, whatever the roles say. */
export const MASTERS = "system:masters";
/** Every user whose token is known is in it. */
export const AUTHENTICATED = "system:authenticated";
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
  groups: ["system:unauthenticated"],
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
  const account = accountOf(user.name);
  const own =
    account === null ? [] : [SERVICE_ACCOUNTS, `${SERVICE_ACCOUNTS}:${account.namespace}`];
  return { ...user, groups: [...new Set([...user.groups, ...own, AUTHENTICATED])] };
}

export function isMaster({ groups }: User): boolean {
  return groups.includes(MASTERS);
}
