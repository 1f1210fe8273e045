//! Opens what rules read beyond a request: key sets and databases of places.

import type { Clock } from "../../base/clock.ts";
import { operandKindsOf } from "../../lane/operand-kinds.ts";
import type { LaneGroup, Snapshot, TokenSettings } from "../../snapshot/snapshot.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { PluginFault } from "../filter/plugin-slot.ts";
import { GeoDatabase } from "./geo-database.ts";
import type { GroupSources, OpenedSources } from "./operand-sources.ts";
import { TokenKeys } from "./token-keys.ts";
import type { KeyFetcher } from "./token-keys.ts";
import { TokenVerifier } from "./token-verifier.ts";

export interface OpenerServices {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly fetchKeys: KeyFetcher;
}

/** Keeps what the next snapshot asks for too, so that nothing is fetched or read twice. */
export class SourceOpener {
  /** What could not be opened for the snapshot that was last asked about. */
  faults: readonly PluginFault[] = [];
  readonly #services: OpenerServices;
  #verifiers = new Map<string, TokenVerifier>();
  #databases = new Map<string, GeoDatabase>();

  constructor(services: OpenerServices) {
    this.#services = services;
  }

  async open(snapshot: Snapshot): Promise<OpenedSources> {
    const opened = new Map<string, Pick<GroupSources, "tokens" | "geo">>();
    const faults: PluginFault[] = [];
    const verifiers = new Map<string, TokenVerifier>();
    const databases = new Map<string, GeoDatabase>();
    for (const group of Object.values(snapshot.laneGroups)) {
      const { tokens: settings, geoDatabase: path } = group.operands ?? {};
      const kinds = operandKindsOf(group);
      let tokens: TokenVerifier | null = null;
      if (settings !== undefined && kinds.has("claim")) {
        const identity = identityOf(settings);
        tokens = verifiers.get(identity) ?? this.#verifier(identity, settings);
        verifiers.set(identity, tokens);
      }
      let geo: GeoDatabase | null = null;
      if (path !== undefined && kinds.has("geo")) {
        const last = databases.get(path) ?? this.#databases.get(path) ?? null;
        geo = await this.#database(group, { path, last, faults });
        if (geo !== null) databases.set(path, geo);
      }
      opened.set(group.name, { tokens, geo });
    }
    this.#verifiers = verifiers;
    this.#databases = databases;
    this.faults = faults;
    return opened;
  }

  #verifier(identity: string, settings: TokenSettings): TokenVerifier {
    const kept = this.#verifiers.get(identity);
    if (kept !== undefined) return kept;
    const { keys } = settings;
    const remote = keys.kind === "remote" ? new TokenKeys(keys.uri, this.#services) : null;
    const verifier = new TokenVerifier(settings, remote, this.#services.clock);
    verifier.warmUp();
    return verifier;
  }

  async #database(
    group: LaneGroup,
    given: { path: string; last: GeoDatabase | null; faults: PluginFault[] },
  ): Promise<GeoDatabase | null> {
    const { path, last, faults } = given;
    try {
      return await GeoDatabase.open(path, last);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      const outcome =
        last === null ? "places are missing in every request" : "the last one is used";
      const message = `the geo database ${path} cannot be read: ${why}; ${outcome}`;
      this.#services.logger.error(message, { laneGroup: group.name });
      faults.push({
        source: group.source,
        code: "GL0328",
        message,
        remedy: "Put a MaxMind database (.mmdb) there that the gateway may read, and apply again.",
      });
      return last;
    }
  }
}

/** Without what was fetched for Envoys. */
function identityOf(settings: TokenSettings): string {
  const { keys } = settings;
  const given = keys.kind === "remote" ? { kind: keys.kind, uri: keys.uri } : keys;
  return JSON.stringify({ ...settings, keys: given });
}
