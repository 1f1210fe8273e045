//! The command line: every command with its options. `runCli` is the whole of it, in one call.

import { Command, CommanderError, Option } from "commander";
import { ApiError } from "../api/client.ts";
import { analyze } from "./analyze.ts";
import type { AnalyzeOptions } from "./analyze.ts";
import { apply } from "./apply.ts";
import type { ApplyOptions } from "./apply.ts";
import { CliError, EXIT_USAGE } from "./cli-error.ts";
import { completionScript } from "./completion.ts";
import { addControllerCommand } from "./controller-options.ts";
import { explainApiError, printLine, stateDirectoryOf } from "./context.ts";
import type { CliDependencies, CommonOptions, Context } from "./context.ts";
import { deleteObjects } from "./delete.ts";
import type { DeleteOptions } from "./delete.ts";
import { describe } from "./describe.ts";
import { down } from "./down.ts";
import { BIND_ADDRESS_DEFAULT, XDS_ADDRESS_DEFAULT, XDS_MODE_DEFAULT } from "./envoy-bootstrap.ts";
import { envoyBootstrap } from "./envoy-bootstrap.ts";
import type { BootstrapOptions } from "./envoy-bootstrap.ts";
import { addEnvoyCommand } from "./envoy-options.ts";
import { explain } from "./explain.ts";
import type { ExplainOptions } from "./explain.ts";
import { explainRecent } from "./explain-recent.ts";
import { get } from "./get.ts";
import type { GetOptions } from "./get.ts";
import { diffLanes } from "./lane-diff.ts";
import type { LaneDiffOptions } from "./lane-diff.ts";
import { planLanes } from "./lane-plan.ts";
import type { LanePlanOptions } from "./lane-plan.ts";
import { signLane } from "./lane-sign.ts";
import type { LaneSignOptions } from "./lane-sign.ts";
import { restoreLanes } from "./lane-restore.ts";
import type { LaneRestoreOptions } from "./lane-restore.ts";
import { addInjectCommand } from "./inject.ts";
import { addInstallCommand } from "./install.ts";
import { logs } from "./logs.ts";
import type { LogsOptions } from "./logs.ts";
import { OVERLOAD_DEFAULT } from "./overload-option.ts";
import { addPluginCommands } from "./plugin.ts";
import { proxyConfig } from "./proxy-config.ts";
import type { ProxyConfigOptions } from "./proxy-config.ts";
import { proxyStatus } from "./proxy-status.ts";
import {
  ADMIN_ADDRESS_DEFAULT,
  API_ADDRESS_DEFAULT,
  DRAIN_SECONDS_DEFAULT,
  PARENT_SHUTDOWN_SECONDS_DEFAULT,
  parseUpOptions,
  RECENT_COUNT_DEFAULT,
} from "./up-options.ts";
import type { RawUpOptions } from "./up-options.ts";
import { version } from "./version.ts";

export type { CliDependencies } from "./context.ts";
export type { ListenAddress, UpOptions } from "./up-options.ts";

/** Runs one command line (without `node` and the script) and resolves to the exit code. */
export async function runCli(
  words: readonly string[],
  dependencies: CliDependencies,
): Promise<number> {
  let exitCode = 0;
  const program = buildProgram(dependencies, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(words, { from: "user" });
    return exitCode;
  } catch (error) {
    return report(error, dependencies);
  }
}

/** Prints what went wrong: what and where, then what to do. */
function report(error: unknown, dependencies: CliDependencies): number {
  if (error instanceof CommanderError) {
    // Help and usage errors have been printed by commander itself.
    return error.exitCode === 0 ? 0 : EXIT_USAGE;
  }
  const known = error instanceof ApiError ? explainApiError(error) : error;
  if (!(known instanceof CliError)) throw error;
  printLine(dependencies.stderr, `error: ${known.message}`);
  if (known.remedy !== "") printLine(dependencies.stderr, known.remedy);
  return known.exitCode;
}

export function buildProgram(
  dependencies: CliDependencies,
  setExitCode: (code: number) => void,
): Command {
  const program = new Command("graylane");
  program
    .description("End-to-end canary releases for HTTP microservices.")
    .option("-n, --namespace <name>", "namespace of the objects (default: default)")
    .option("--server <address>", "the server's address, HOST:PORT or a URL")
    .option("--token <token>", "the server's token")
    .option("--state <directory>", "the server's state directory (default: .graylane)")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => {
        dependencies.stdout.write(text);
      },
      writeErr: (text) => {
        dependencies.stderr.write(text);
      },
    })
    .showHelpAfterError("(graylane COMMAND --help lists the options)");

  const run: Run = async (command, body) => {
    const common = command.optsWithGlobals<CommonOptions>();
    setExitCode(await body({ ...dependencies, common }));
  };
  addServerCommands(program, run);
  addObjectCommands(program, run);
  addReadingCommands(program, run);
  addPluginCommands(program, run);
  addEnvoyCommands(program, run);
  addEnvoyCommand(program, run);
  addControllerCommand(program, run);
  addInstallCommand(program, run);
  addInjectCommand(program, run);
  addOtherCommands(program, run);
  return program;
}

export type Run = (command: Command, body: (context: Context) => Promise<number>) => Promise<void>;

function addServerCommands(program: Command, run: Run): void {
  program
    .command("up")
    .description("run the gateway, the local cluster and the API in the foreground")
    .addOption(filenameOption("apply these files and directories at the start"))
    .option("--map-port <from=to>", "open another port, as in 80=18080 (repeatable)", collect, [])
    .option("--api <host:port>", "where the API listens", API_ADDRESS_DEFAULT)
    .option("--admin <host:port>", "where the admin endpoints listen", ADMIN_ADDRESS_DEFAULT)
    .option("--xds <host:port>", "serve the configuration of Envoys here (docs/envoy.md)")
    .option("--sidecars <kind>", "of pods that do not say which: embedded or envoy", "embedded")
    .option("--workers <count>", "gateway workers (default: 2)")
    .option("--image-map <file>", "image mappings of your own")
    .option("--audit-log <file>", "log each request to the API here; - for standard output")
    .option("--token-auth-file <file>", 'further users of the API: token,user,uid,"group1,group2"')
    .option("--client-ca-file <file>", "users by certificates of these authorities (PEM)")
    .option("--access-log <file>", "log each request at each hop here; - for standard output")
    .option("--access-log-format <format>", "Envoy's format string, or envoy for its default")
    .option("--access-log-header <name>", "a request field in it (repeatable)", collect, [])
    .option(
      "--recent <count>",
      "decisions that each gateway worker keeps for explain --recent; 0: none",
      String(RECENT_COUNT_DEFAULT),
    )
    .option(
      "--drain-time <seconds>",
      "what runs at the end has this long to finish",
      String(DRAIN_SECONDS_DEFAULT),
    )
    .option(
      "--parent-shutdown-time-s <seconds>",
      "after a restart the old process ends so late, whatever still runs there",
      String(PARENT_SHUTDOWN_SECONDS_DEFAULT),
    )
    .option(
      "--overload <limits>",
      "what a gateway worker bears before it answers 503, or off",
      OVERLOAD_DEFAULT,
    )
    .action((options: RawUpOptions, command: Command) =>
      run(command, (context) => {
        const stateDirectory = stateDirectoryOf(context);
        return context.up(parseUpOptions(options, context.cwd, stateDirectory));
      }),
    );
  program
    .command("down")
    .description("stop the server of this state directory")
    .action((_options: unknown, command: Command) => run(command, down));
}

function addEnvoyCommands(program: Command, run: Run): void {
  program
    .command("envoy-bootstrap")
    .description("print the file that an Envoy of this control plane is started with")
    .requiredOption("--role <role>", "gateway or sidecar")
    .option("--gateway <labels>", "of a gateway: selector of the Gateways it is, LABEL=VALUE")
    .option("--pod <name[.namespace]>", "of a sidecar: its pod")
    .option("--id <name>", "a name for this Envoy; each needs its own")
    .option("--xds <host:port>", "the --xds of `graylane up`", XDS_ADDRESS_DEFAULT)
    .option("--xds-mode <mode>", "delta, or sotw: the state of the world", XDS_MODE_DEFAULT)
    .option("--bind <address>", `of a gateway: where it listens (default: ${BIND_ADDRESS_DEFAULT})`)
    .option(
      "--map-port <from=to>",
      "of a gateway: open another port, as in 80=8080 (repeatable)",
      collect,
      [],
    )
    .option("--admin <host:port>", "its admin endpoints", "127.0.0.1:0")
    .option("--modules <way>", "of plug-ins: fetched, or files of this machine (default: by --xds)")
    .action((options: BootstrapOptions, command: Command) =>
      run(command, (context) => envoyBootstrap(context, options)),
    );
  program
    .command("proxy-status")
    .description("list the connected Envoys: SYNCED, STALE or NOT SENT for each type")
    .action((_options: unknown, command: Command) => run(command, proxyStatus));
  program
    .command("proxy-config")
    .alias("pc")
    .description("print what an Envoy, or the embedded gateway, was told, in Envoy's words")
    .argument("<type>", "cluster, endpoint, listener, route, ecds or all")
    .argument("[node]", "a name of proxy-status (default: embedded)")
    .option("-o, --output <format>", "json or yaml; of all json")
    .action(
      (type: string, node: string | undefined, options: ProxyConfigOptions, command: Command) =>
        run(command, (context) => proxyConfig(context, [type, node], options)),
    );
}

function addObjectCommands(program: Command, run: Run): void {
  program
    .command("apply")
    .description("check files, then create or update their objects")
    .addOption(filenameOption("files and directories to apply"))
    .option("--dry-run", "let the server decide everything and change nothing")
    .option("-o, --output <format>", "name")
    .action((options: ApplyOptions, command: Command) =>
      run(command, (context) => apply(context, options)),
    );
  program
    .command("delete")
    .description("delete objects; --dry-run foretells what that breaks")
    .argument("[kind and names...]", "KIND NAME..., or KIND/NAME...")
    .addOption(filenameOption("delete the objects of these files"))
    .option("--dry-run", "print what analyze would say afterwards; change nothing")
    .option("--ignore-not-found", "an object that is not there is no error")
    .action((words: string[], options: DeleteOptions, command: Command) =>
      run(command, (context) => deleteObjects(context, words, options)),
    );
}

function addReadingCommands(program: Command, run: Run): void {
  program
    .command("get")
    .description("list objects")
    .argument("<kind and names...>", "KIND, KIND NAME..., KIND,KIND or KIND/NAME...")
    .option("-A, --all-namespaces", "of all namespaces")
    .option("-o, --output <format>", "json, yaml, wide or name")
    .option("-l, --selector <labels>", "only objects with these labels, as in app=mocka")
    .option("-w, --watch", "go on and print what changes")
    .action((words: string[], options: GetOptions, command: Command) =>
      run(command, (context) => get(context, words, options)),
    );
  program
    .command("describe")
    .description("show objects with what analyze says about them")
    .argument("<kind and names...>", "KIND, KIND NAME... or KIND/NAME...")
    .action((words: string[], _options: unknown, command: Command) =>
      run(command, (context) => describe(context, words)),
    );
  program
    .command("logs")
    .description("print what a pod's app printed")
    .argument("<pod>", "POD or deployment/NAME")
    .option("-f, --follow", "go on with what it prints next")
    .option("--tail <lines>", "only the last lines")
    .action((word: string, options: LogsOptions, command: Command) =>
      run(command, (context) => logs(context, word, options)),
    );
}

function addOtherCommands(program: Command, run: Run): void {
  program
    .command("analyze")
    .description("find faults in files (offline), or in the server's objects without -f")
    .addOption(filenameOption("files and directories to analyze"))
    .option("-o, --output <format>", "json or yaml")
    .option("--failure-threshold <severity>", "exit 1 from here on: error, warning, info", "error")
    .option("--image-map <file>", "image mappings of your own")
    .action((options: AnalyzeOptions, command: Command) =>
      run(command, (context) => analyze(context, options)),
    );
  program
    .command("explain")
    .description("say which way a request would go, and why")
    .argument("[url]", "the URL as a client would write it; with --recent none")
    .option("-H, --header <header>", "a header, 'name: value' (repeatable)", collect, [])
    .option("-X, --method <method>", "the method; GET, or POST with a body")
    .option("-d, --data <body>", "a body, a form unless a content-type header says otherwise")
    .addOption(filenameOption("answer from these files, without a server"))
    .option("--recent", "look in the requests that the gateways decided last")
    .option(
      "--where <clause>",
      "with --recent: FIELD=VALUE or FIELD~PART (repeatable)",
      collect,
      [],
    )
    .option("--request-id <id>", "as --recent --where requestId=ID")
    .option("--limit <count>", "with --recent: how many to list", "20")
    .option("--client-address <address>", "where the client's connection comes from")
    .option("-o, --output <format>", "json or yaml")
    .action((url: string | undefined, options: ExplainOptions, command: Command) =>
      run(command, (context) =>
        options.recent === true || options.requestId !== undefined
          ? explainRecent(context, url, options)
          : explain(context, url, options),
      ),
    );
  addLaneCommands(program, run);
  program
    .command("completion")
    .description("print a completion script")
    .argument("<shell>", "bash, zsh or fish")
    .action((shell: string, _options: unknown, command: Command) =>
      run(command, (context) => {
        context.stdout.write(completionScript(program, shell));
        return Promise.resolve(0);
      }),
    );
  program
    .command("version")
    .description("print the versions of this command and of the server")
    .option("-o, --output <format>", "json")
    .action((options: { output?: string }, command: Command) =>
      run(command, (context) => version(context, options.output)),
    );
}

function addLaneCommands(program: Command, run: Run): void {
  const lane = program.command("lane").description("look ahead at changes of lanes");
  lane
    .command("plan")
    .description("say how many keys a change moves into, out of and between lanes")
    .addOption(filenameOption("the changed objects"))
    .requiredOption("--keys <file>", "the users to look at, one key on each line")
    .option("--before <path>", "files in place of the server's objects (repeatable)", collect, [])
    .option("-o, --output <format>", "json")
    .action((options: LanePlanOptions, command: Command) =>
      run(command, (context) => planLanes(context, options)),
    );
  lane
    .command("restore")
    .description("put saved allocations back: who is in which share")
    .addOption(filenameOption("lane groups as saved with get -o yaml"))
    .action((options: LaneRestoreOptions, command: Command) =>
      run(command, (context) => restoreLanes(context, options)),
    );
  lane
    .command("sign")
    .description("print a signed tag, with which a client enters a lane of a group that signs")
    .argument("<lane>", "the Lane's name")
    .option("--duration <time>", "how long it is good, 10s to 24h (default: the lane group's)")
    .action((name: string, options: LaneSignOptions, command: Command) =>
      run(command, (context) => signLane(context, name, options)),
    );
  lane
    .command("diff")
    .description("say which requests of an access log a change sends into another lane")
    .addOption(filenameOption("the changed objects"))
    .option("--traffic <file>", "an access log in JSON, as of up --access-log FILE")
    .option("--recent", "in its place the requests that the gateways decided last")
    .option("--before <path>", "files in place of the server's objects (repeatable)", collect, [])
    .option("-o, --output <format>", "json")
    .action((options: LaneDiffOptions, command: Command) =>
      run(command, (context) => diffLanes(context, options)),
    );
}

function filenameOption(description: string): Option {
  const option = new Option("-f, --filename <path...>", description);
  return option.argParser(collect).default([], "none");
}

function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}
