//! How objects come, live and go in our API server and in a real one.

import { accountDifferences } from "./kubernetes-accounts.ts";
import type { BothServers } from "./kubernetes-access.ts";
import { deletionDifferences } from "./kubernetes-deletion.ts";
import { namespaceDifferences } from "./kubernetes-namespaces.ts";

/** What was answered otherwise. */
export async function lifeDifferences(both: BothServers): Promise<readonly string[]> {
  const all: string[] = [];
  for (const differences of [namespaceDifferences, deletionDifferences, accountDifferences]) {
    all.push(...(await differences(both)));
  }
  return all;
}
