import assert from "node:assert/strict";
import { test } from "node:test";
import type { BodyBuffer } from "../../wasm/body-buffer.ts";
import { FilterChain } from "./filter-chain.ts";
import type { NetworkFilter } from "./filter-chain.ts";

/** Stops the calls whose line is among `stops`, once each. */
class FakeFilter implements NetworkFilter {
  readonly #name: string;
  readonly #seen: string[];
  readonly #stops: string[];

  constructor(name: string, seen: string[], stops: readonly string[]) {
    this.#name = name;
    this.#seen = seen;
    this.#stops = [...stops];
  }

  onNewConnection(): boolean {
    return this.#answer("new");
  }

  onData(data: BodyBuffer, endOfStream: boolean): boolean {
    return this.#answer(`data ${data.bytes.toString()}${endOfStream ? " end" : ""}`);
  }

  onWrite(data: BodyBuffer, endOfStream: boolean): boolean {
    return this.#answer(`write ${data.bytes.toString()}${endOfStream ? " end" : ""}`);
  }

  #answer(call: string): boolean {
    const line = `${this.#name}: ${call}`;
    this.#seen.push(line);
    const index = this.#stops.indexOf(line);
    if (index !== -1) this.#stops.splice(index, 1);
    return index === -1;
  }
}

interface Made {
  readonly chain: FilterChain;
  readonly filters: readonly NetworkFilter[];
}

const CASES: readonly {
  readonly name: string;
  readonly stops?: readonly string[];
  readonly waits?: true;
  readonly act: (made: Made) => void;
  readonly seen: readonly string[];
}[] = [
  {
    name: "bytes pass the filters in order, and back in reverse order",
    act: ({ chain }) => {
      chain.start();
      chain.feed(Buffer.from("x"));
      chain.write(Buffer.from("y"), false);
    },
    seen: [
      ...["a: new", "b: new", "open", "a: data x", "b: data x", "terminal x"],
      ...["b: write y", "a: write y", "client y"],
    ],
  },
  {
    name: "what a filter holds back is shown to all again with what comes next",
    stops: ["b: data x"],
    act: ({ chain }) => {
      chain.start();
      chain.feed(Buffer.from("x"));
      chain.feed(Buffer.from("y"));
    },
    seen: [
      ...["a: new", "b: new", "open", "a: data x", "b: data x"],
      ...["a: data xy", "b: data xy", "terminal xy"],
    ],
  },
  {
    name: "continue passes it on behind the filter",
    stops: ["a: data x"],
    act: ({ chain, filters }) => {
      chain.start();
      chain.feed(Buffer.from("x"));
      chain.continueBehind(filters[0] as NetworkFilter);
      chain.feed(Buffer.from("y"));
    },
    seen: [
      ...["a: new", "b: new", "open", "a: data x", "b: data x", "terminal x"],
      ...["a: data y", "b: data y", "terminal y"],
    ],
  },
  {
    name: "a filter that lets nobody in keeps the others from hearing of it until there are bytes",
    stops: ["a: new"],
    act: ({ chain }) => {
      chain.start();
      chain.feed(Buffer.from("x"));
    },
    seen: ["a: new", "a: data x", "b: new", "b: data x", "open", "terminal x"],
  },
  {
    name: "bytes wait for a terminal that does not take them yet, and are shown again then",
    stops: ["a: new"],
    waits: true,
    act: ({ chain }) => {
      chain.start();
      chain.feed(Buffer.from("x"));
      chain.terminalTakes();
    },
    seen: [
      ...["a: new", "a: data x", "b: new", "b: data x", "open"],
      ...["a: data x", "b: data x", "terminal x"],
    ],
  },
  {
    name: "the end of a side is held back with its bytes",
    stops: ["a: data x", "a: data x end", "a: write y end"],
    act: ({ chain, filters }) => {
      chain.start();
      chain.feed(Buffer.from("x"));
      chain.feedEnd();
      chain.continueBehind(filters[0] as NetworkFilter);
      chain.write(Buffer.from("y"), true);
    },
    seen: [
      ...["a: new", "b: new", "open", "a: data x", "a: data x end", "b: data x end"],
      ...["terminal x end", "b: write y end", "a: write y end"],
    ],
  },
  {
    name: "nothing passes a chain that is closed",
    act: ({ chain, filters }) => {
      chain.start();
      chain.close();
      chain.feed(Buffer.from("x"));
      chain.write(Buffer.from("y"), false);
      chain.continueBehind(filters[0] as NetworkFilter);
    },
    seen: ["a: new", "b: new", "open"],
  },
];

for (const { name, stops = [], waits, act, seen } of CASES) {
  test(name, () => {
    const got: string[] = [];
    const filters = ["a", "b"].map((each) => new FakeFilter(each, got, stops));
    const note = (where: string) => (chunks: readonly Buffer[], endOfStream: boolean) => {
      got.push(`${where} ${Buffer.concat(chunks).toString()}${endOfStream ? " end" : ""}`);
    };
    const chain = new FilterChain(filters, {
      onOpen: () => {
        got.push("open");
        return waits !== true;
      },
      toTerminal: note("terminal"),
      toClient: note("client"),
    });
    act({ chain, filters });
    assert.deepEqual(got, seen);
  });
}
