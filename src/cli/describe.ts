//! `graylane describe`: one object for reading, with what analyze says about it.

import { stringify } from "yaml";
import type { ApiClient } from "../api/client.ts";
import type { Fault } from "../resources/fault.ts";
import { refOf } from "../resources/object.ts";
import type { ObjectRef, Resource } from "../resources/object.ts";
import type { KindInfo } from "../resources/registry.ts";
import { formatAge } from "../base/age.ts";
import { connect, namespaceOf, printLine } from "./context.ts";
import type { Context } from "./context.ts";
import { formatMessage } from "./messages.ts";
import { apiKindOf, namespaceFor, parseSelections } from "./object-name.ts";

const LABEL_WIDTH = 14;

export async function describe(context: Context, words: readonly string[]): Promise<number> {
  const selections = parseSelections(words);
  const client = await connect(context);
  const messages = await client.analyze({});
  const texts: string[] = [];
  for (const { info, names } of selections) {
    for (const resource of await find(context, client, { info, names })) {
      texts.push(format(context, resource, messages));
    }
  }
  if (texts.length === 0) printLine(context.stderr, "No resources found");
  context.stdout.write(texts.join("\n\n"));
  return 0;
}

async function find(
  context: Context,
  client: ApiClient,
  { info, names }: { info: KindInfo; names: readonly string[] },
): Promise<readonly Resource[]> {
  const namespace = namespaceFor(info, namespaceOf(context));
  const kind = apiKindOf(info);
  if (names.length === 0) return (await client.list(kind, { namespace })).items;
  const found: Resource[] = [];
  for (const name of names) found.push(await client.get(kind, namespace, name));
  return found;
}

function format(context: Context, resource: Resource, messages: readonly Fault[]): string {
  const { metadata } = resource;
  const created = metadata.creationTimestamp;
  const age = formatAge(created, context.clock.nowMs());
  const lines = [
    field("Name", metadata.name),
    ...(metadata.namespace === undefined ? [] : [field("Namespace", metadata.namespace)]),
    ...mapFields("Labels", metadata.labels, "="),
    ...mapFields("Annotations", metadata.annotations, ": "),
    field("API Version", resource.apiVersion),
    field("Kind", resource.kind),
    field("Created", created === undefined ? "<unknown>" : `${created} (${age} ago)`),
    ...bodySections(resource),
    ...messageSection(refOf(resource), messages),
  ];
  return `${lines.join("\n")}\n`;
}

/** `spec`, `status`, `data`, … as YAML under a heading each. */
function bodySections(resource: Resource): string[] {
  return Object.entries(resource)
    .filter(([name]) => name !== "apiVersion" && name !== "kind" && name !== "metadata")
    .flatMap(([name, value]) => {
      const heading = `${name.slice(0, 1).toUpperCase()}${name.slice(1)}`;
      if (typeof value !== "object" || value === null) return [field(heading, String(value))];
      // Secrets are shown by their keys only, as kubectl does.
      const shown = resource.kind === "Secret" ? hideValues(value) : value;
      return [`${heading}:`, ...indent(stringify(shown).trimEnd())];
    });
}

function hideValues(value: object): Record<string, string> {
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [key, `${String(each).length} characters`]),
  );
}

function messageSection(ref: ObjectRef, messages: readonly Fault[]): string[] {
  const own = messages.filter(({ object }) => object !== null && isSame(object, ref));
  if (own.length === 0) return [field("Messages", "<none>")];
  return ["Messages:", ...own.flatMap((message) => indent(formatMessage(message)))];
}

function isSame(one: ObjectRef, other: ObjectRef): boolean {
  return one.kind === other.kind && one.namespace === other.namespace && one.name === other.name;
}

function mapFields(
  name: string,
  map: Readonly<Record<string, string>> | undefined,
  between: string,
): string[] {
  const entries = Object.entries(map ?? {});
  if (entries.length === 0) return [field(name, "<none>")];
  return entries.map(([key, value], index) =>
    index === 0
      ? field(name, `${key}${between}${value}`)
      : `${" ".repeat(LABEL_WIDTH)}${key}${between}${value}`,
  );
}

function field(name: string, value: string): string {
  return `${`${name}:`.padEnd(LABEL_WIDTH)}${value}`;
}

function indent(text: string): string[] {
  return text.split("\n").map((line) => `  ${line}`);
}
