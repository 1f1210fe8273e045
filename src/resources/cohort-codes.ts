//! Messages about shares of lanes.

import type { CodeInfo } from "./codes.ts";

export const COHORT_CODES: Readonly<Record<string, CodeInfo>> = {
  GL0340: {
    title: "The shares of a base route are more than 100 %",
    severity: "error",
    help:
      "The shares of all lanes of all lane groups that are entered at one base route come to " +
      "more than 100 %; closed lanes count, since their users are kept for them. The message " +
      "names them all. Until they fit, none of them grows, and those that were lowered shrink.",
  },
  GL0341: {
    title: "The salt, hash or key of shares changes while a lane has one",
    severity: "error",
    help:
      "Another salt, hash or key would deal every user anew. The old one stays in force until no " +
      "lane of the group has a share: set every `ratio` to `0%`, change it, and raise them again.",
  },
  GL0342: {
    title: "A share names a route that is not there",
    severity: "warning",
    help:
      "`ratio.routes[]` names a VirtualService, or a route in it, that no gateway of the group " +
      "has. The lane's other shares have effect.",
  },
  GL0343: {
    title: "A kept allocation cannot be read",
    severity: "error",
    help:
      "`status.allocation` says which users are in which lane. It was edited or restored by hand " +
      "and is not what Graylane writes. Until it is right, nobody is in a share of the group.",
  },
  GL0344: {
    title: "A share cannot grow",
    severity: "error",
    help:
      "After very many changes the users of a base route are in more than 1,024 pieces. The " +
      "share stays as it is; it can be lowered. Set a lane that is not needed to `0%`.",
  },
};
