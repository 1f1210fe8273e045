//! Users of the API beside the administrator: by the files that `graylane up` is given.

import type { UpOptions } from "../cli/up-options.ts";
import { ensureAccountKeys } from "../server/access/account-tokens.ts";
import { ClientCertificates, readAuthorities } from "../server/access/client-certificates.ts";
import { readTokenFile, TokenFile } from "../server/access/token-file.ts";
import type { ServerDependencies } from "../server/dependencies.ts";
import type { Logger } from "../telemetry/logger.ts";

type UserFiles = Pick<UpOptions, "tokenAuthFile" | "clientCaFile">;
type Directory = Pick<UpOptions, "stateDirectory">;

export function hasUsers({ tokenAuthFile, clientCaFile }: UserFiles): boolean {
  return tokenAuthFile !== null || clientCaFile !== null;
}

/** What is wrong with a file at the start; null: nothing is. */
export function userFilesFault({ tokenAuthFile, clientCaFile }: UserFiles): string | null {
  const tokens = tokenAuthFile === null ? null : readTokenFile(tokenAuthFile);
  if (typeof tokens === "string") return `--token-auth-file: ${tokens}`;
  const authorities = clientCaFile === null ? null : readAuthorities(clientCaFile);
  return typeof authorities === "string" ? `--client-ca-file: ${authorities}` : null;
}

/** A fault that a change of a file brings is told; until it is mended nobody of it is let in. */
export function usersOf(
  { tokenAuthFile, clientCaFile, stateDirectory }: UserFiles & Directory,
  logger: Logger,
): Pick<ServerDependencies, "tokens" | "certificates" | "accounts"> {
  const accounts = ensureAccountKeys(stateDirectory);
  if (typeof accounts === "string") {
    logger.error(
      `${accounts}; service accounts have no tokens until it is mended and I start anew`,
    );
  }
  const telling = (option: string) => (fault: string) => {
    logger.error(`${option}: ${fault}; its users are refused`);
  };
  return {
    ...(typeof accounts !== "string" && { accounts }),
    ...(tokenAuthFile !== null && {
      tokens: new TokenFile(tokenAuthFile, telling("--token-auth-file")),
    }),
    ...(clientCaFile !== null && {
      certificates: new ClientCertificates(clientCaFile, telling("--client-ca-file")),
    }),
  };
}
