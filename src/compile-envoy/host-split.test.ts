import assert from "node:assert/strict";
import { test } from "node:test";
import { splitHosts } from "./host-split.ts";

/** Virtual hosts by name; the parts as `domains > name`, with `!` before the others. */
const CASES: readonly {
  readonly name: string;
  readonly hosts: Readonly<Record<string, readonly string[]>>;
  readonly patterns: readonly string[];
  readonly want: readonly string[];
}[] = [
  {
    name: "without patterns every virtual host stays as it is",
    hosts: { a: ["a.test", "b.test"], all: ["*"] },
    patterns: [],
    want: ["!a.test,b.test > a", "!* > all"],
  },
  {
    name: "a domain that stands twice is the first one's",
    hosts: { a: ["a.test"], b: ["a.test", "b.test"] },
    patterns: [],
    want: ["!a.test > a", "!b.test > b"],
  },
  {
    name: "a host below a wildcard becomes a domain of its own, with the wildcard's routes",
    hosts: { wild: ["*.test"], all: ["*"] },
    patterns: ["a.test"],
    want: ["a.test > wild", "!*.test > wild", "!* > all"],
  },
  {
    name: "a wildcard takes the domains below it, and has those of everything else",
    hosts: { a: ["a.b.test"], c: ["c.test"], all: ["*"] },
    patterns: ["*.b.test"],
    want: ["a.b.test > a", "!c.test > c", "*.b.test > all", "!* > all"],
  },
  {
    name: "a wildcard does not take the name that it is below",
    hosts: { b: ["b.test"] },
    patterns: ["*.b.test"],
    want: ["!b.test > b", "*.b.test > nobody"],
  },
  {
    name: "the longest wildcard counts",
    hosts: { far: ["*.test"], near: ["*.b.test"] },
    patterns: ["x.y.b.test"],
    want: ["!*.test > far", "x.y.b.test > near", "!*.b.test > near"],
  },
  {
    name: "everything is among *",
    hosts: { a: ["a.test"] },
    patterns: ["*"],
    want: ["a.test > a", "* > nobody"],
  },
];

for (const { name, hosts, patterns, want } of CASES) {
  test(name, () => {
    const all = Object.entries(hosts).map(([host, domains]) => ({
      ...{ name: host, domains, routes: [] },
    }));
    const parts = splitHosts(all, patterns).map(({ domains, isAmong, virtualHost }) => {
      const owner = virtualHost?.name ?? "nobody";
      return `${isAmong ? "" : "!"}${domains.join(",")} > ${owner}`;
    });
    assert.deepEqual(parts, want);
  });
}
