//! `graylane proxy-status`: which Envoys are connected, and whether they run what they should.

import type { EnvoyStatus } from "../api/types.ts";
import { connect, printLine } from "./context.ts";
import type { Context } from "./context.ts";
import { formatTable } from "./table.ts";

const HEADER = ["NAME", "ROLE", "CDS", "EDS", "LDS", "RDS", "SDS"];
/** Only where an Envoy has plug-ins. */
const PLUGINS = "ECDS";

export async function proxyStatus(context: Context): Promise<number> {
  const client = await connect(context);
  const { envoys } = await client.runtimeStatus();
  if (envoys.length === 0) {
    printLine(context.stderr, "No Envoy is connected. Start them as docs/envoy.md says.");
    return 0;
  }
  const hasPlugins = envoys.some(({ types }) => types.extensions !== undefined);
  const rows = envoys.map((one) => (hasPlugins ? [...rowOf(one), pluginsOf(one)] : rowOf(one)));
  context.stdout.write(formatTable(hasPlugins ? [...HEADER, PLUGINS] : HEADER, rows));
  for (const { id, error } of envoys) {
    if (error !== "") printLine(context.stdout, `${nameOf(id)} refused: ${error}`);
  }
  return 0;
}

function rowOf({ id, role, types }: EnvoyStatus): string[] {
  const { clusters, endpoints, listeners, routes, secrets } = types;
  return [nameOf(id), role, clusters, endpoints, listeners, routes, secrets];
}

function pluginsOf({ types }: EnvoyStatus): string {
  return types.extensions ?? "-";
}

function nameOf(id: string): string {
  return id.replace(/^envoy\//, "");
}
