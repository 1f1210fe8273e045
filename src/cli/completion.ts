//! `graylane completion`: scripts that complete commands, options and kinds in a shell.

import type { Command } from "commander";
import { usageError } from "./cli-error.ts";
import { kindNames } from "./object-name.ts";

interface Words {
  /** Command to its long and short options. */
  readonly options: ReadonlyMap<string, readonly string[]>;
  readonly kinds: readonly string[];
}

/** Commands whose first word is a kind. */
const TAKES_KIND: readonly string[] = ["get", "describe", "delete"];

export function completionScript(program: Command, shell: string): string {
  const words = collect(program);
  switch (shell) {
    case "bash":
      return bash(words);
    case "zsh":
      return `#compdef graylane\nautoload -U +X bashcompinit && bashcompinit\n${bash(words)}`;
    case "fish":
      return fish(words);
    default:
      throw usageError(`${shell}: no completion for this shell`, "Use bash, zsh or fish.");
  }
}

function collect(program: Command): Words {
  const flags = (command: Command): string[] =>
    command.options.flatMap(({ long, short }) =>
      [long, short].filter((flag) => flag !== undefined),
    );
  const common = flags(program);
  const options = new Map(
    program.commands.map((command) => [command.name(), [...flags(command), ...common]] as const),
  );
  return { options, kinds: kindNames() };
}

function bash({ options, kinds }: Words): string {
  const cases = [...options].map(
    ([command, flags]) => `    ${command}) flags="${flags.join(" ")}" ;;`,
  );
  return `# bash completion for graylane: source <(graylane completion bash)
_graylane() {
  local current="\${COMP_WORDS[COMP_CWORD]}" command="\${COMP_WORDS[1]}" flags=""
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${[...options.keys()].join(" ")}" -- "$current"))
    return
  fi
  case "$command" in
${cases.join("\n")}
  esac
  case "\${COMP_WORDS[COMP_CWORD-1]}" in
    -f|--filename|--image-map|--state) COMPREPLY=($(compgen -f -- "$current")); return ;;
  esac
  case "$current" in
    -*) COMPREPLY=($(compgen -W "$flags" -- "$current")); return ;;
  esac
  if [ "$COMP_CWORD" -eq 2 ]; then
    case "$command" in
      ${TAKES_KIND.join("|")}) COMPREPLY=($(compgen -W "${kinds.join(" ")}" -- "$current")) ;;
      completion) COMPREPLY=($(compgen -W "bash zsh fish" -- "$current")) ;;
    esac
  fi
}
complete -F _graylane graylane
`;
}

function fish({ options, kinds }: Words): string {
  const commands = [...options.keys()];
  const lines = [
    "# fish completion for graylane: graylane completion fish | source",
    "complete -c graylane -f",
    `complete -c graylane -n __fish_use_subcommand -a "${commands.join(" ")}"`,
  ];
  for (const [command, flags] of options) {
    const condition = `-n "__fish_seen_subcommand_from ${command}"`;
    for (const flag of flags) {
      const kind = flag.startsWith("--") ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`;
      const file = flag === "--filename" || flag === "-f" ? " -r -F" : "";
      lines.push(`complete -c graylane ${condition} ${kind}${file}`);
    }
  }
  const takesKind = `-n "__fish_seen_subcommand_from ${TAKES_KIND.join(" ")}"`;
  lines.push(`complete -c graylane ${takesKind} -a "${kinds.join(" ")}"`);
  lines.push(`complete -c graylane -n "__fish_seen_subcommand_from completion" -a "bash zsh fish"`);
  return `${lines.join("\n")}\n`;
}
