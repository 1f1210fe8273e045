//! TokenReview: whose token it is, for who is asked by others.

import type { Call } from "../call.ts";
import { badRequest } from "../status.ts";
import { ISSUER } from "./account-tokens.ts";
import { recognize } from "./authenticate.ts";
import { readReview } from "./review-body.ts";
import { answer } from "./reviews.ts";
import { audiencesOf } from "./token-request.ts";
import { userInfo } from "./user.ts";

export async function reviewToken(call: Call): Promise<void> {
  const spec = await readReview(call, "TokenReview");
  const { token } = spec;
  if (typeof token !== "string" || token === "") {
    throw badRequest("token is required for TokenReview in authentication");
  }
  const given = audiencesOf(spec);
  const found = recognize(token, given.length === 0 ? [ISSUER] : given, call.dependencies);
  const isKnown = found !== null && typeof found !== "string";
  const status = isKnown
    ? { authenticated: true, user: userInfo(found.user), audiences: found.audiences }
    : { user: {}, error: found ?? "invalid bearer token" };
  answer(call, "TokenReview", { spec, status });
}
