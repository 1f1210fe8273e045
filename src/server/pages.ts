//! A page of a list. All pages of one list show the state of the revision that the first was of:
//! what has changed since is undone in memory with the events that watches go on from, so that a
//! list that is being read keeps nothing. When those have gone, the list is too old to go on.

import type { Listing, ResourceStore } from "../controlplane/store/store.ts";
import type { Resource } from "../resources/object.ts";
import { continueToken, placeOf } from "./continue-token.ts";
import type { ListOptions } from "./list-options.ts";
import type { Selection } from "./selection.ts";
import { failure, refuse, StatusError } from "./status.ts";
import type { Listed } from "./table.ts";

const TOO_OLD = "The resourceVersion for the provided list is too old.";
/** In Kubernetes' words: clients show them. */
const CANNOT_GO_ON =
  "The provided continue parameter is too old to display a consistent list result. " +
  "You can start a new list without the continue parameter, or use the continue token in this " +
  "response to retrieve the remainder of the results. Continuing with the provided token results " +
  "in an inconsistent list - objects that were created, modified, or deleted between the time " +
  "the first chunk was returned and now may show up in the list.";

/** Throws 410 for a state that is forgotten, and 504 for one that is yet to come. */
export function pageOf(
  store: Pick<ResourceStore, "list" | "listAt">,
  selection: Selection,
  options: ListOptions,
): Listed {
  const { items, revision } = listingOf(store, selection, options);
  const { limit, from } = options;
  const start = from === null ? 0 : indexAfter(items, from.after);
  const resourceVersion = String(revision);
  const page: Resource[] = [];
  let next = start;
  // As in Kubernetes the last page may be empty: what is selected of the rest is not looked for.
  for (; next < items.length && (limit === 0 || page.length < limit); next += 1) {
    const item = items[next];
    if (item !== undefined && selection.matches(item)) page.push(item);
  }
  const last = page.at(-1);
  if (next === items.length || last === undefined) return { items: page, resourceVersion };
  const { labels, fields } = selection.selectors;
  const isWhole = labels === "" && fields === "";
  return {
    ...{ items: page, resourceVersion },
    continue: continueToken({ revision, after: placeOf(last) }, selection),
    // How many of the rest are selected is not known before they are read.
    ...(isWhole && { remainingItemCount: items.length - next }),
  };
}

function listingOf(
  store: Pick<ResourceStore, "list" | "listAt">,
  selection: Selection,
  { exactly, atLeast, from }: ListOptions,
): Listing {
  if (exactly === null) {
    const listing = store.list(selection.filter);
    if (listing.revision < atLeast) throw tooLarge(atLeast, listing.revision);
    return listing;
  }
  const listing = store.listAt(selection.filter, exactly);
  if (listing !== "expired") return listing;
  if (from !== null) throw cannotGoOn(continueToken({ ...from, revision: null }, selection));
  const { revision } = store.list(selection.filter);
  throw exactly > revision ? tooLarge(exactly, revision) : refuse(410, "Expired", TOO_OLD);
}

/** The first that comes behind. */
function indexAfter(items: readonly Resource[], after: string): number {
  let [low, high] = [0, items.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const item = items[middle];
    if (item !== undefined && placeOf(item) <= after) low = middle + 1;
    else high = middle;
  }
  return low;
}

function cannotGoOn(token: string): StatusError {
  const status = failure(410, "Expired", CANNOT_GO_ON);
  return new StatusError({ ...status, metadata: { continue: token } });
}

/** 504, as Kubernetes says it after it has waited. */
export function tooLarge(wanted: number, current: number): StatusError {
  const message = `Timeout: Too large resource version: ${wanted}, current: ${current}`;
  const [reason, says] = ["ResourceVersionTooLarge", "Too large resource version"];
  const causes = [{ reason, message: says }];
  const details = { causes, retryAfterSeconds: 1 };
  return new StatusError(failure(504, "Timeout", message, details));
}
