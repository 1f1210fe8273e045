//! `graylane get`: lists objects as a table, JSON, YAML or names, and watches them.

import { stringify } from "yaml";
import type { ApiClient } from "../api/client.ts";
import type { Clock } from "../base/clock.ts";
import type { Resource } from "../resources/object.ts";
import type { KindInfo } from "../resources/registry.ts";
import { formatAge } from "../base/age.ts";
import { CliError, usageError } from "./cli-error.ts";
import { connect, isNotFound, namespaceOf, printLine } from "./context.ts";
import type { Context } from "./context.ts";
import {
  apiKindOf,
  kindOfResource,
  namespaceFor,
  parseSelections,
  qualifiedKind,
  qualifiedName,
} from "./object-name.ts";
import type { Selection } from "./object-name.ts";
import { formatTable } from "./table.ts";

export interface GetOptions {
  readonly output?: string;
  readonly allNamespaces?: boolean;
  readonly selector?: string;
  readonly watch?: boolean;
}

interface Found {
  readonly selection: Selection;
  readonly items: readonly Resource[];
  readonly resourceVersion: string;
}

interface TableStyle {
  readonly withNamespace: boolean;
  readonly withKind: boolean;
  readonly isWide: boolean;
  readonly clock: Clock;
}

const FORMATS = ["json", "yaml", "wide", "name"] as const;

export async function get(
  context: Context,
  words: readonly string[],
  options: GetOptions,
): Promise<number> {
  const selections = parseSelections(words);
  checkOptions(selections, options);
  const client = await connect(context);
  const missing: string[] = [];
  const found: Found[] = [];
  for (const selection of selections) {
    found.push(await find(context, client, { selection, options, missing }));
  }
  printFound(context, found, options);
  for (const message of missing) printLine(context.stderr, message);
  if (options.watch === true) {
    for (const each of found) await watch(context, client, each, options);
  }
  return missing.length > 0 ? 1 : 0;
}

function checkOptions(selections: readonly Selection[], options: GetOptions): void {
  const { output } = options;
  if (output !== undefined && !(FORMATS as readonly string[]).includes(output)) {
    throw usageError(`-o ${output}: not a format`, `The formats are: ${FORMATS.join(", ")}.`);
  }
  const isNamed = selections.some(({ names }) => names.length > 0);
  if (isNamed && options.selector !== undefined) {
    throw usageError("names and a label selector exclude each other");
  }
  if (isNamed && options.allNamespaces === true) {
    throw usageError("an object cannot be named across all namespaces", "Give its namespace: -n.");
  }
  if (options.watch === true && selections.length > 1) {
    throw usageError("only one kind can be watched at a time");
  }
}

async function find(
  context: Context,
  client: ApiClient,
  asked: { selection: Selection; options: GetOptions; missing: string[] },
): Promise<Found> {
  const { selection, options, missing } = asked;
  const { info, names } = selection;
  const kind = apiKindOf(info);
  if (names.length === 0) {
    const list = await client.list(kind, {
      ...namespaceOption(context, info, options),
      ...(options.selector === undefined ? {} : { labelSelector: options.selector }),
    });
    return { selection, items: list.items, resourceVersion: list.metadata.resourceVersion };
  }
  const items: Resource[] = [];
  for (const name of names) {
    try {
      items.push(await client.get(kind, namespaceFor(info, namespaceOf(context)), name));
    } catch (error) {
      if (!isNotFound(error)) throw error;
      const { message } = error as Error;
      missing.push(`Error from server (NotFound): ${message}`);
    }
  }
  return { selection, items, resourceVersion: items[0]?.metadata.resourceVersion ?? "0" };
}

function namespaceOption(
  context: Context,
  info: KindInfo,
  options: GetOptions,
): { namespace?: string } {
  if (!info.namespaced || options.allNamespaces === true) return {};
  return { namespace: namespaceOf(context) };
}

function printFound(context: Context, found: readonly Found[], options: GetOptions): void {
  const items = found.flatMap((each) => each.items);
  const { output } = options;
  if (output === "json" || output === "yaml") {
    const single = found.length === 1 && found[0]?.selection.names.length === 1;
    if (single && items.length === 0) return;
    context.stdout.write(formatObject(single ? items[0] : asList(items), output));
    return;
  }
  if (items.length === 0) {
    if (found.every(({ selection }) => selection.names.length === 0)) {
      printLine(context.stderr, nothingFound(context, found, options));
    }
    return;
  }
  if (output === "name") {
    for (const item of items) printLine(context.stdout, nameOf(item));
    return;
  }
  const style = styleOf(context, found.length > 1, options);
  const tables = found
    .filter((each) => each.items.length > 0)
    .map(({ selection, items: rows }) => tableOf(selection.info, rows, style));
  context.stdout.write(tables.join("\n"));
}

function nothingFound(context: Context, found: readonly Found[], options: GetOptions): string {
  const isNamespaced = found.some(({ selection }) => selection.info.namespaced);
  if (!isNamespaced || options.allNamespaces === true) return "No resources found";
  return `No resources found in ${namespaceOf(context)} namespace.`;
}

/** One object or list as text, with its line end. */
export function formatObject(value: unknown, format: "json" | "yaml"): string {
  const shown = withoutManagers(value);
  return format === "json" ? `${JSON.stringify(shown, null, 4)}\n` : stringify(shown);
}

/** kubectl, too, hides `metadata.managedFields`: they are long, and of no use to a reader. */
function withoutManagers(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if ("items" in value && Array.isArray(value.items)) {
    return { ...value, items: value.items.map(withoutManagers) };
  }
  if (!("metadata" in value) || typeof value.metadata !== "object") return value;
  const metadata = Object.entries(value.metadata ?? {}).filter(
    ([name]) => name !== "managedFields",
  );
  return { ...value, metadata: Object.fromEntries(metadata) };
}

function asList(items: readonly Resource[]): unknown {
  return { apiVersion: "v1", kind: "List", metadata: { resourceVersion: "" }, items };
}

function nameOf(resource: Resource): string {
  return qualifiedName(kindOfResource(resource).info, resource.metadata.name);
}

function styleOf(context: Context, withKind: boolean, options: GetOptions): TableStyle {
  return {
    withNamespace: options.allNamespaces === true,
    withKind,
    isWide: options.output === "wide",
    clock: context.clock,
  };
}

function tableOf(info: KindInfo, items: readonly Resource[], style: TableStyle): string {
  return formatTable(
    headerOf(info, style),
    items.map((item) => rowOf(info, item, style)),
  );
}

function headerOf(info: KindInfo, style: TableStyle): string[] {
  const { plain, wide } = columnsOf(info, style);
  return [
    ...(style.withNamespace && info.namespaced ? ["NAMESPACE"] : []),
    "NAME",
    ...plain.map(({ name }) => name),
    "AGE",
    ...wide.map(({ name }) => name),
  ];
}

function rowOf(info: KindInfo, item: Resource, style: TableStyle): string[] {
  const { plain, wide } = columnsOf(info, style);
  const { name, namespace, creationTimestamp } = item.metadata;
  return [
    ...(style.withNamespace && info.namespaced ? [namespace ?? ""] : []),
    style.withKind ? `${qualifiedKind(info)}/${name}` : name,
    ...plain.map((column) => column.value(item)),
    formatAge(creationTimestamp, style.clock.nowMs()),
    ...wide.map((column) => column.value(item)),
  ];
}

/** Wide columns stand behind AGE, as kubectl prints them. */
function columnsOf(
  info: KindInfo,
  style: TableStyle,
): { plain: KindInfo["columns"]; wide: KindInfo["columns"] } {
  return {
    plain: info.columns.filter(({ wide }) => !wide),
    wide: style.isWide ? info.columns.filter(({ wide }) => wide) : [],
  };
}

async function watch(
  context: Context,
  client: ApiClient,
  found: Found,
  options: GetOptions,
): Promise<void> {
  const { info, names } = found.selection;
  const style = styleOf(context, false, options);
  const events = client.watch(apiKindOf(info), {
    ...namespaceOption(context, info, options),
    ...(options.selector === undefined ? {} : { labelSelector: options.selector }),
    resourceVersion: found.resourceVersion,
    signal: context.interrupted,
  });
  for await (const { type, object } of events) {
    if (type === "BOOKMARK") continue;
    if (names.length > 0 && !names.includes(object.metadata.name)) continue;
    printEvent(context, { info, object, style }, options.output);
  }
  if (!context.interrupted.aborted) {
    throw new CliError("the server ended the watch", "Is it being stopped? Try again.");
  }
}

function printEvent(
  context: Context,
  event: { info: KindInfo; object: Resource; style: TableStyle },
  output: string | undefined,
): void {
  const { info, object, style } = event;
  if (output === "json") context.stdout.write(formatObject(object, "json"));
  else if (output === "yaml") context.stdout.write(`---\n${formatObject(object, "yaml")}`);
  else if (output === "name") printLine(context.stdout, nameOf(object));
  else context.stdout.write(formatTable(null, [rowOf(info, object, style)]));
}
