//! Codes of lanes' rules, parents, expiry and signed contexts.

import type { CodeInfo } from "./codes.ts";

export const LANE_CODES: Readonly<Record<string, CodeInfo>> = {
  GL0320: {
    title: "A rule reads what this version cannot give it",
    severity: "error",
    help:
      "A rule reads `claim` or `geo`, and the LaneGroup's `operands` do not say how tokens are " +
      "verified or where the database is. Or it reads what only the caller's certificate tells " +
      "(`workload: serviceAccount`), and no gateway of the group has `tls: {mode: MUTUAL}`. The " +
      "operand is missing in every request.",
  },
  GL0328: {
    title: "A geo database cannot be read",
    severity: "error",
    help:
      "The file that the LaneGroup's `operands.geo.database` names is not there, may not be " +
      "read by a gateway, or is no MaxMind database. Until then the one that was read last is " +
      "used, or places are missing in every request.",
  },
  GL0329: {
    title: "The keys of tokens could not be fetched for Envoys",
    severity: "warning",
    help:
      "The control plane fetches the key set at the LaneGroup's `operands.jwt.jwksUri` for the " +
      "Envoys that it serves, every minute, without following redirects. The address does not " +
      "answer within 2 s, or not with a key set of at most 256 KiB and 100 keys, or there are " +
      "more than 100 such addresses. What was fetched last stays in use; without any, lanes are " +
      "not entered by claims at Envoys. The embedded engine fetches keys by itself.",
  },
  GL0321: {
    title: "A lane's parent does not exist",
    severity: "error",
    help:
      "With the fallback policy `chain` the parent serves what the lane has no copy of. Name a " +
      "lane of the same group. Until then the baseline stands in.",
  },
  GL0322: {
    title: "The parents of lanes form a cycle",
    severity: "error",
    help:
      "A chain of parents ends at the baseline. Let one of the lanes that the message names have " +
      "no parent. Until then each of them is tried once.",
  },
  GL0323: {
    title: "A lane's parent has no effect",
    severity: "warning",
    help: "Parents are used only with `fallback: chain`, of the group or of a service.",
  },
  GL0324: {
    title: "Two lanes have the same rule",
    severity: "warning",
    help:
      "The lane that decides first (priority, then name) takes every request that meets the " +
      "rule, so the other takes none. Give them different rules, or remove one.",
  },
  GL0325: {
    title: "A lane has expired",
    severity: "warning",
    help:
      "From `expiresAt` on the lane is closed: its requests are served by the baseline. Delete " +
      "the lane with what runs in it, or set a later time.",
  },
  GL0327: {
    title: "An entry route does not exist",
    severity: "warning",
    help:
      "The LaneGroup's `entry.routes` names a VirtualService, or a route in it, that is not " +
      "there. Lanes are entered at the other routes only.",
  },
  GL0337: {
    title: "No request can meet a lane's rule",
    severity: "error",
    help:
      "Two conditions of the rule exclude each other (the message names them), in every " +
      "alternative of it, so that it takes nobody. Conditions in `all` must hold together: write " +
      "`any` where one of them is enough. Only what can be proven is reported.",
  },
  GL0338: {
    title: "An earlier lane takes all whom a rule is meant for",
    severity: "warning",
    help:
      "Every request that meets the rule also meets the rule of a lane that decides before " +
      "(priority, then name). Give the narrower rule the smaller priority. Only what can be " +
      "proven is reported; `graylane lane diff` finds the rest in real traffic.",
  },
  GL0350: {
    title: "A lane group has no key to sign with",
    severity: "error",
    help:
      "`context.signed` names a Secret of the group's namespace. Each entry of its data is a key " +
      "of at least 32 random bytes; `signWith` names the one that signs. Until there is such a " +
      "key, every lane of the group is closed, so that the baseline serves everybody at every " +
      "hop, and no lane header is believed.",
  },
  GL0351: {
    title: "A key for lane contexts is not used",
    severity: "error",
    help:
      "An entry of the Secret has less than 32 bytes, or there are more than 16: what was signed " +
      "with that key is not believed. Make keys with `head -c 32 /dev/urandom | base64`, and " +
      "remove from the Secret what is not a key.",
  },
  GL0352: {
    title: "A lane group's debug token is not used",
    severity: "error",
    help:
      "`trace.tokenFrom` names an entry of a Secret of the group's namespace: 16 to 1,024 " +
      "visible characters of ASCII, e.g. of `openssl rand -hex 32`. Until there is one nobody " +
      "is told of lanes by a token; `trace.allowFrom` stays as it is.",
  },
};
