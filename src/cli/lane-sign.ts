//! `graylane lane sign`: a signed tag, with which a tester enters a lane of a group that signs.

import { durationMs } from "../resources/duration.ts";
import { expiryMs } from "../compile/lane-group.ts";
import { modelSignature } from "../compile/lane-signature.ts";
import { MessageList } from "../compile/messages.ts";
import { TagSigner } from "../lane/signed-tag.ts";
import type { LaneGroup } from "../resources/kinds/lane-group.ts";
import type { Lane } from "../resources/kinds/lane.ts";
import type { Secret } from "../resources/kinds/secret.ts";
import type { Resource } from "../resources/object.ts";
import { validateResource } from "../resources/validate.ts";
import type { ApiClient } from "../api/client.ts";
import type { LaneSignature } from "../snapshot/snapshot.ts";
import { CliError, usageError } from "./cli-error.ts";
import { connect, isNotFound, namespaceOf, printLine } from "./context.ts";
import type { Context } from "./context.ts";
import { apiKindOf, findKind } from "./object-name.ts";

const DURATION = /^(?:\d+(?:\.\d+)?(?:ms|h|m|s))+$/;
const DURATION_MIN_MS = 10_000;
const DURATION_MAX_MS = 86_400_000;

export interface LaneSignOptions {
  /** Absent: as long as the group's own tags. */
  readonly duration?: string;
}

/** Prints the tag alone: `curl -H "x-lane: $(graylane lane sign gray)"`. */
export async function signLane(
  context: Context,
  name: string,
  options: LaneSignOptions,
): Promise<number> {
  const lifetimeMs = options.duration === undefined ? null : parseDuration(options.duration);
  const client = await connect(context);
  const namespace = namespaceOf(context);
  const lane = (await read(client, "lane", { namespace, name })) as Lane;
  const group = (await read(client, "lanegroup", {
    namespace,
    name: lane.spec.group,
  })) as LaneGroup;
  const place = `lanegroup ${namespace}/${group.metadata.name}`;
  const signature = await signatureOf(client, group, place);
  checkOpen(lane, context.clock.nowMs());
  const signer = new TagSigner(`${namespace}/${group.metadata.name}`, {
    ...signature,
    ...(lifetimeMs === null ? {} : { lifetimeMs }),
  });
  const tag = signer.sign(lane.spec.tag ?? name, context.clock.nowMs());
  if (tag === null) throw new CliError(`lane ${namespace}/${name}: its tag cannot be signed`);
  printLine(context.stdout, tag);
  warnIfRemoved(context, group, place);
  return 0;
}

function parseDuration(text: string): number {
  const lifetimeMs = DURATION.test(text) ? durationMs(text) : 0;
  if (lifetimeMs >= DURATION_MIN_MS && lifetimeMs <= DURATION_MAX_MS) return lifetimeMs;
  throw usageError(`--duration ${text}: not a duration from 10s to 24h`, "Write e.g. 30m.");
}

/** With the defaults filled in. */
async function read(
  client: ApiClient,
  kind: string,
  { namespace, name }: { readonly namespace: string; readonly name: string },
): Promise<Resource> {
  const found = await client.get(apiKindOf(findKind(kind)), namespace, name);
  return validateResource(found).resource ?? found;
}

async function signatureOf(
  client: ApiClient,
  group: LaneGroup,
  place: string,
): Promise<LaneSignature> {
  const { signed, routeHeader } = group.spec.context;
  if (signed === undefined) {
    throw new CliError(
      `${place} does not sign its lanes: it has no context.signed`,
      `Where it accepts lanes of clients, send the lane's tag as it is in ${routeHeader}.`,
    );
  }
  const { namespace = "" } = group.metadata;
  const secrets: Secret[] = [];
  try {
    secrets.push((await read(client, "secret", { namespace, name: signed.secretName })) as Secret);
  } catch (error) {
    // The compiler says so better, below.
    if (!isNotFound(error)) throw error;
  }
  const messages = new MessageList();
  const signature = modelSignature(group, { secrets, messages });
  if (signature !== null && signature !== "unusable") return signature;
  const [fault] = messages.sorted();
  throw new CliError(`${place}: ${fault?.message ?? "nothing can be signed"}`, fault?.remedy);
}

function checkOpen(lane: Lane, nowMs: number): void {
  const { metadata, spec } = lane;
  const name = `lane ${metadata.namespace ?? ""}/${metadata.name}`;
  const remedy = "Nobody enters a closed lane; its requests are the baseline's.";
  if (!spec.enabled) throw new CliError(`${name} is closed (enabled: false)`, remedy);
  if (expiryMs(lane) > nowMs) return;
  throw new CliError(`${name} expired at ${spec.expiresAt ?? ""}`, remedy);
}

function warnIfRemoved({ stderr }: Context, { spec }: LaneGroup, place: string): void {
  if (spec.acceptFromClients) return;
  printLine(
    stderr,
    `warning: ${place} says acceptFromClients: false, so its gateways remove ` +
      `${spec.context.routeHeader} from clients, unless a VirtualService matches on it`,
  );
}
