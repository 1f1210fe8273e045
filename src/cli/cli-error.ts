//! How a command fails: what and where, what to do, and the exit code. Nothing else is thrown here.

/** kubectl's exit codes: 1 the command failed, 2 it was called wrongly. */
export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;

/** Ends a command. `remedy` is one sentence, `""` when the message says it all. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly remedy: string;
  readonly exitCode: number;

  constructor(message: string, remedy = "", exitCode: number = EXIT_FAILED) {
    super(message);
    this.remedy = remedy;
    this.exitCode = exitCode;
  }
}

export function usageError(message: string, remedy = ""): CliError {
  return new CliError(message, remedy, EXIT_USAGE);
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
