//! `graylane logs`: what a pod's app printed.

import type { ApiClient } from "../api/client.ts";
import type { Resource } from "../resources/object.ts";
import { CliError, usageError } from "./cli-error.ts";
import { connect, namespaceOf, printLine } from "./context.ts";
import type { Context } from "./context.ts";
import { apiKindOf, findKind, qualifiedName } from "./object-name.ts";

export interface LogsOptions {
  readonly follow?: boolean;
  readonly tail?: string;
}

export async function logs(context: Context, word: string, options: LogsOptions): Promise<number> {
  const tailLines = parseTail(options.tail);
  const client = await connect(context);
  const name = await findPod(context, client, word);
  const lines = client.podLog(
    { namespace: namespaceOf(context), name },
    { follow: options.follow === true, tailLines, signal: context.interrupted },
  );
  for await (const line of lines) printLine(context.stdout, line);
  return 0;
}

/** kubectl's -1 means all. */
export function parseTail(text: string | undefined): number | null {
  if (text === undefined || text === "-1") return null;
  if (!/^\d{1,9}$/.test(text)) throw usageError(`--tail ${text}: not a number of lines`);
  return Number(text);
}

async function findPod(context: Context, client: ApiClient, word: string): Promise<string> {
  const [kind, name] = word.includes("/") ? word.split("/", 2) : ["pod", word];
  const info = findKind(kind ?? "");
  if (info.kind === "Pod") return name ?? "";
  if (info.kind !== "Deployment") {
    throw usageError(
      `${word}: only pods and deployments have logs`,
      "Write POD or deployment/NAME.",
    );
  }
  const namespace = namespaceOf(context);
  const deployment = await client.get(apiKindOf(info), namespace, name ?? "");
  const pods = await client.list(apiKindOf(findKind("pods")), {
    namespace,
    labelSelector: selectorOf(deployment),
  });
  const [first] = pods.items;
  if (first === undefined) {
    throw new CliError(
      `${qualifiedName(info, name ?? "")} has no pod`,
      `Look at it: graylane describe ${word} -n ${namespace}`,
    );
  }
  if (pods.items.length > 1) {
    const chosen = `pod/${first.metadata.name}`;
    printLine(context.stderr, `Found ${pods.items.length} pods, using ${chosen}`);
  }
  return first.metadata.name;
}

function selectorOf(deployment: Resource): string {
  const spec = deployment.spec as
    { selector?: { matchLabels?: Readonly<Record<string, string>> } } | undefined;
  return Object.entries(spec?.selector?.matchLabels ?? {})
    .map(([key, value]) => `${key}=${value}`)
    .join(",");
}
