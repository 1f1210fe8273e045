//! What rules read of one request beyond its head: waited for before the lane is decided.
//!
//! Exists only at listeners with such rules, and waits only for requests that these rules are asked
//! about: at an entry route of their lane group, and without a lane context.

import { exhausted } from "../../base/assert.ts";
import type { RequestHead } from "../../http/request-parser.ts";
import { contextTag } from "../../lane/context.ts";
import { isEntryRoute } from "../../lane/decide.ts";
import type { PreparedLaneGroup } from "../../lane/decide.ts";
import type { Operand, Route } from "../../snapshot/snapshot.ts";
import type { GroupSources, OperandSources } from "../runtime/operand-sources.ts";
import type { ListenerRuntime } from "../runtime/runtime.ts";
import type { BodyChain, BodyStage } from "./body-chain.ts";
import { Caller } from "./caller.ts";
import type { Peer } from "./caller.ts";
import { TokenClaims, tokenOf } from "./token-claims.ts";
import { BodyAction } from "../../wasm/enums.ts";
import { FORM_PARTS_MAX, FORM_PART_HEAD_BYTES_MAX } from "./multipart-form.ts";
import { clientAddress } from "./request-operands.ts";
import { contextLookup } from "./lane-context.ts";
import { hasReadableBody, RequestBody } from "./request-body.ts";
import type { BodyFault } from "./request-body.ts";
import { WholeBodyStage } from "./whole-body-stage.ts";

/** Operands that are not in the head. */
export type CollectedKind = "bodyJson" | "bodyForm" | "claim" | "geo" | "workload";

/** What collecting needs of the pass it belongs to. */
export interface CollectingPass {
  readonly request: RequestHead;
  /** Null: no filter reads this body so far. */
  readonly requestChain: BodyChain | null;
  /** Null: the request has no body. */
  makeRequestChain(): BodyChain | null;
  route(): Route | null;
  readonly remoteAddress: string;
  readonly peer: Peer;
  readonly isRequestOver: boolean;
  resume(): void;
}

const PASSING_STAGE: BodyStage = {
  onBody: () => BodyAction.continue,
  onTrailers: () => BodyAction.continue,
};

const BODY_FAULTS: Readonly<Record<BodyFault, string>> = {
  "": "",
  none: "the request has no body",
  "too-long": "the body is longer than the limit of the lane group (operands.body.maxBytes)",
  encoded: "the body has a content-encoding",
  "no-json": "the body is no JSON, or its content-type does not say so",
  "no-form": "the content-type is that of no form",
  "no-boundary": "the content-type multipart/form-data has no usable boundary",
  "broken-parts": "the body is no well-formed multipart/form-data",
  "too-many-parts": `the form has more than ${FORM_PARTS_MAX} parts`,
  "long-part-head": `a part has more than ${FORM_PART_HEAD_BYTES_MAX} bytes of headers`,
  "a-file": "the part of that name is a file",
};

/**
 * Whether the request's body goes through a chain from its first byte on: a plug-in reads it, or
 * may pause the request, so that its body would have gone by when a rule asks for it.
 */
export function readsBodyEarly(listener: ListenerRuntime): boolean {
  const { readsRequestBody, operandSources, plugins } = listener;
  if (readsRequestBody) return true;
  return plugins.length > 0 && operandSources !== null && operandSources.bodyBytesMax > 0;
}

export class CollectedOperands {
  readonly #pass: CollectingPass;
  readonly #sources: OperandSources;
  #hasAskedBody = false;
  #stage: WholeBodyStage | null = null;
  #isTooLong = false;
  #isUnread = false;
  #body: RequestBody | null = null;
  #hasAskedTokens = false;
  #caller: Caller | null = null;
  readonly #tokens = new Map<string, TokenClaims>();
  /** Set while tokens are verified: fulfilled when the pass has gone on. */
  verified: Promise<void> | null = null;

  constructor(pass: CollectingPass, sources: OperandSources) {
    this.#pass = pass;
    this.#sources = sources;
  }

  /** True: not all is there yet; the pass is resumed when it is. */
  waits(): boolean {
    return this.#waitsForBody() || this.#waitsForTokens();
  }

  #waitsForBody(): boolean {
    if (this.#hasAskedBody) return false;
    this.#hasAskedBody = true;
    const bytesMax = this.#bodyBytesWanted();
    if (bytesMax === 0) return false;
    const { request, requestChain } = this.#pass;
    // A call of gRPC, say, whose client waits for an answer before it ends: nothing waits for that.
    if (!hasReadableBody(request.headers)) {
      this.#isUnread = request.body !== "none";
      return false;
    }
    if (requestChain === null && request.contentLength > bytesMax) {
      this.#isTooLong = true;
      return false;
    }
    const chain = requestChain ?? this.#pass.makeRequestChain();
    if (chain === null) return false;
    this.#stage = new WholeBodyStage(bytesMax);
    chain.add(this.#stage, "stop");
    return true;
  }

  read(group: string, kind: CollectedKind, name: string): string | undefined {
    const sources = this.#sources.byGroup.get(group);
    if (sources === undefined) return undefined;
    switch (kind) {
      case "bodyJson":
        return this.#readBody().json(name, sources.bodyBytesMax);
      case "bodyForm":
        return this.#readBody().form(name, sources.bodyBytesMax);
      case "claim":
        return this.#tokens.get(group)?.claim(name);
      case "geo":
        return sources.geo?.read(this.#clientAddress(sources.group), name);
      case "workload":
        return this.#readCaller()?.read(name);
      default:
        return exhausted(kind);
    }
  }

  /** Why an operand is missing, in words (its name as it is asked); `""`: nothing to say. */
  whyMissing(group: string, { kind, name }: Operand): string {
    const sources = this.#sources.byGroup.get(group);
    if (sources === undefined) return "";
    if (kind === "claim") return this.#tokens.get(group)?.fault ?? "no token is verified";
    if (kind === "geo" && sources.geo === null) return "there is no geo database";
    if (kind === "workload") return this.#readCaller()?.fault ?? "";
    if (kind !== "bodyJson" && kind !== "bodyForm") return "";
    return BODY_FAULTS[this.#readBody().faultOf(kind, name, sources.bodyBytesMax)];
  }

  #waitsForTokens(): boolean {
    if (this.#hasAskedTokens) return false;
    this.#hasAskedTokens = true;
    const pending: Promise<void>[] = [];
    for (const [name, sources] of this.#sources.byGroup) {
      if (sources.tokens === null || !this.#isAsked(sources)) continue;
      const token = tokenOf(this.#pass.request, sources.tokens.source);
      const claims = new TokenClaims();
      this.#tokens.set(name, claims);
      if (token === null) continue;
      const known = sources.tokens.known(token);
      if (known !== null) claims.take(known);
      else
        pending.push(
          sources.tokens.verify(token).then((outcome) => {
            claims.take(outcome);
          }),
        );
    }
    if (pending.length === 0) return false;
    const release = this.#holdBody();
    this.verified = Promise.all(pending).then(release);
    return true;
  }

  /** Nothing of the body passes meanwhile. Gives what lets it go, and the pass. */
  #holdBody(): () => void {
    const { requestChain } = this.#pass;
    if (requestChain === null) {
      return () => {
        if (!this.#pass.isRequestOver) this.#pass.resume();
      };
    }
    const index = requestChain.add(PASSING_STAGE, "stopAll");
    return () => {
      requestChain.continue(index);
    };
  }

  #clientAddress({ group }: PreparedLaneGroup): string {
    const { request, remoteAddress } = this.#pass;
    return clientAddress(request, remoteAddress, group.operands?.trustedHops ?? 0);
  }

  #readCaller(): Caller | null {
    const { pods } = this.#sources;
    if (this.#caller === null && pods !== null) this.#caller = new Caller(this.#pass.peer, pods);
    return this.#caller;
  }

  #readBody(): RequestBody {
    if (this.#body !== null) return this.#body;
    const none = this.#isTooLong ? null : Buffer.alloc(0);
    const bytes = this.#stage === null ? none : this.#stage.bytes;
    return (this.#body = new RequestBody(bytes, this.#pass.request.headers, this.#isUnread));
  }

  #bodyBytesWanted(): number {
    let bytesMax = 0;
    if (this.#sources.bodyBytesMax === 0) return 0;
    for (const sources of this.#sources.byGroup.values()) {
      if (sources.bodyBytesMax > bytesMax && this.#isAsked(sources)) {
        bytesMax = sources.bodyBytesMax;
      }
    }
    return bytesMax;
  }

  /** Whether the group's rules decide about this request. */
  #isAsked({ group }: GroupSources): boolean {
    const header = contextLookup(this.#pass.request.headers);
    if (contextTag(group, header) !== undefined) return false;
    return isEntryRoute(group, this.#pass.route());
  }
}
