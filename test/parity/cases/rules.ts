//! Lanes that are entered by rules, one for each operator that Envoys can say; and those that they
//! refuse.

import type { Resource } from "../../../src/resources/object.ts";
import type { ParityCase, ParityGroup, Want } from "../case.ts";
import type { Question } from "../question.ts";
import { TO_A, lane, laneGroup } from "../topology.ts";

const OUT: Want = { hops: "a-base", lanes: "-" };

type Fields = NonNullable<Question["headers"]>;
type Asked = Omit<Question, "headers"> & { readonly headers?: Fields };

/** All rules are there at once, each for its own requests, and with a lane of its own. */
function laneOf(name: string, rule: object): Resource {
  const own = { header: "x-case", operator: "==", value: name };
  const selector = { matchLabels: { lane: "gray" } };
  return lane(name, { tag: name, selector, rule: { all: [own, rule] } });
}

function inside(name: string): Want {
  return { hops: "a-gray", lanes: name };
}

function asking(name: string, { headers = [], ...rest }: Asked): Question {
  return { ...rest, headers: [...headers, ["x-case", name]] };
}

/** As UTF-8: a header's characters are bytes. */
const wire = (text: string): string => Buffer.from(text).toString("latin1");
/** More alternatives than routes have room for. */
const WIDE = ["a", "b"].map((letter) =>
  Array.from({ length: 9 }, (_, digit) => letter + String(digit)),
);

const tier = (value: string): Asked => ({ headers: [["x-tier", value]] });
const cookie = (value: string): Asked => ({ headers: [["cookie", value]] });
const at = (path: string): Asked => ({ path });
const by = (method: string): Asked => ({ method });
const NONE: Asked = {};

/** A rule with the requests that meet it and those that do not. */
type Row = readonly [rule: object, met: readonly Asked[], unmet: readonly Asked[]];

const header = (operator: string, more: object): object => ({
  header: "x-tier",
  operator,
  ...more,
});
const ofCookie = (operator: string, more: object): object => ({ cookie: "u", operator, ...more });
const ofPath = (operator: string, more: object): object => ({ path: true, operator, ...more });
const ofQuery = (operator: string, more: object = {}): object => ({
  query: "q",
  operator,
  ...more,
});
const ofMethod = (operator: string, more: object): object => ({ method: true, operator, ...more });
const value = (text: string): object => ({ value: text });
const values = (...texts: readonly string[]): object => ({ values: texts });

const ROWS: readonly Row[] = [
  [header("==", value("gold")), [tier("gold")], [tier("Gold"), NONE]],
  [header("!=", value("gold")), [tier("x"), NONE], [tier("gold")]],
  [header("in", values("a", "b.c")), [tier("b.c")], [tier("bxc")]],
  [header("notIn", values("a", "b")), [NONE, tier("c")], [tier("b")]],
  [header("prefix", value("go")), [tier("gold")], [tier("ago")]],
  [header("suffix", value("ld")), [tier("gold")], [tier("golds")]],
  [header("contains", value("ol")), [tier("gold")], [tier("lo")]],
  [header("regex", value("g.*d")), [tier("gold")], [tier("a gold")]],
  [header("exists", {}), [tier("")], [NONE]],
  [header("absent", {}), [NONE], [tier("")]],
  [ofMethod("==", value("PUT")), [by("PUT")], [by("GET")]],
  [ofMethod("notIn", values("GET", "PUT")), [by("POST")], [by("GET")]],
  [ofMethod("regex", value("P.*")), [by("PATCH")], [by("DELETE")]],
  [ofPath("==", value("/x")), [at("/x?q")], [at("/x/")]],
  [ofPath("!=", value("/x")), [at("/y")], [at("/x")]],
  [ofPath("in", values("/x", "/y")), [at("/y")], [at("/z")]],
  [ofPath("prefix", value("/x")), [at("/xy")], [at("/y/x")]],
  [ofPath("suffix", value("/x")), [at("/y/x?z")], [at("/x/y?/x")]],
  [ofPath("contains", value("x")), [at("/axb")], [at("/a?x")]],
  [ofPath("regex", value("/[0-9]+")), [at("/12?a")], [at("/12/a")]],
  [ofCookie("==", value("a")), [cookie("b=1; u=a")], [cookie("u=ab"), NONE]],
  [ofCookie("!=", value("a")), [cookie("u=b"), NONE], [cookie("u=a; u=b")]],
  [ofCookie("in", values("a", "b")), [cookie("u=b")], [cookie("xu=b")]],
  [ofCookie("prefix", value("a")), [cookie("u=ab")], [cookie("u=ba")]],
  [ofCookie("suffix", value("a")), [cookie("u=ba;v=1")], [cookie("u=ab")]],
  [ofCookie("contains", value("a")), [cookie("u=bab")], [cookie("v=a")]],
  [ofCookie("exists", {}), [cookie("u=")], [cookie("v=u=")]],
  [ofCookie("absent", {}), [cookie("v=1"), NONE], [cookie("u=1")]],
  [ofQuery("==", value("a b")), [at("/?q=a%20b"), at("/?q=a+b")], [at("/?q=ab"), at("/?x=a")]],
  [ofQuery("in", values("a", "b")), [at("/?p=1&q=b")], [at("/?q=c&q=b")]],
  [ofQuery("prefix", value("a")), [at("/?q=ab")], [at("/?q=ba")]],
  [ofQuery("exists"), [at("/?q")], [at("/?qq=1")]],
  [ofQuery("absent"), [at("/?p=q")], [at("/?q=1")]],
  [
    { host: true, operator: "==", value: "api.test" },
    [{ host: "api.test" }, { host: "API.test:80" }],
    [{ host: "v1.api.test" }],
  ],
  [{ host: true, operator: "notIn", values: ["api.test"] }, [NONE], [{ host: "api.test" }]],
  [
    { all: [header("exists", {}), ofPath("prefix", value("/x"))] },
    [{ ...tier(""), path: "/x" }],
    [tier(""), at("/x")],
  ],
  [
    { any: [header("==", value("gold")), ofMethod("==", value("PUT"))] },
    [tier("gold"), by("PUT")],
    [tier("x")],
  ],
  [
    { not: { any: [header("exists", {}), ofPath("prefix", value("/x"))] } },
    [NONE],
    [tier(""), at("/x")],
  ],
  [
    { not: { all: [header("==", value("gold")), ofCookie("==", value("a"))] } },
    [tier("gold"), cookie("u=a")],
    [
      {
        headers: [
          ["x-tier", "gold"],
          ["cookie", "u=a"],
        ],
      },
    ],
  ],
];

function nameOf(rule: object): string {
  return JSON.stringify(rule).replaceAll('"', "");
}

const address = (text: string): Asked => ({ headers: [["x-forwarded-for", text]] });

/** What routes cannot say: the plug-in lane-filter decides it at Envoys. */
const FILTER_ROWS: readonly Row[] = [
  [header("semver", value(">=1.2.0 <2")), [tier("1.10.3"), tier("v1.2.0")], [tier("2.0.0"), NONE]],
  [header("semver", value(">=1.2.0-rc.2")), [tier("1.2.0-rc.10")], [tier("1.2.0-rc.1")]],
  [header("<", value("10")), [tier("9.5"), tier("-3")], [tier("10"), tier("9,5"), NONE]],
  [header("<=", value("0.3")), [tier("0.30")], [tier("0.300000000000001")]],
  [header(">", value("10")), [tier("10.01")], [tier("10.0")]],
  [header(">=", value("10")), [tier("10")], [tier("9.999"), tier("ten")]],
  [header("percentage", value("26")), [tier("jack"), tier("stacy")], [tier("bob"), NONE]],
  [header("percentage", { value: "16", hash: "murmur3" }), [tier("ann")], [tier("dora")]],
  [header("cidr", { values: ["10.0.0.0/8"] }), [tier("::ffff:10.1.2.3")], [tier("11.0.0.1")]],
  [{ clientIp: true, operator: "cidr", values: ["127.0.0.0/8"] }, [NONE, address("9.9.9.9")], []],
  [{ clientIp: true, operator: "!=", value: "127.0.0.1" }, [], [NONE, address("9.9.9.9")]],
  [ofCookie("regex", value("a+")), [cookie("v=1; u=aa")], [cookie("u=ab"), NONE]],
  [ofCookie("==", value("voilà")), [cookie(`u=${wire("voilà")}`)], [cookie(`u=${wire("voil")}`)]],
  [ofCookie("semver", value("^3")), [cookie("u=3.1.4")], [cookie("u=4.0.0")]],
  [ofQuery("suffix", value("a")), [at("/?q=b%61")], [at("/?q=ab"), at("/")]],
  [ofQuery("contains", value("ü")), [at("/?q=x%C3%BC")], [at("/?q=u")]],
  [ofQuery("!=", value("a")), [at("/?q=b"), at("/")], [at("/?q=%61")]],
  [ofQuery("notIn", values("a", "b")), [at("/?q=c"), NONE], [at("/?q=b&q=c")]],
  [ofQuery("==", value("100%")), [at("/?q=100%25")], [at("/?q=100")]],
  [ofQuery("regex", value("[0-9]+")), [at("/?q=12")], [at("/?q=")]],
  [ofQuery("<", value("10")), [at("/?q=9")], [at("/?q=11")]],
  [{ host: true, operator: "prefix", value: "shop." }, [NONE], [{ host: "api.test" }]],
  [ofMethod("percentage", value("100")), [NONE], []],
  [{ not: ofPath("regex", value("/[0-9]+")) }, [at("/a")], [at("/12?a")]],
  [
    { all: [ofPath("regex", value("/[a-z]+")), ofPath("regex", value(".*x.*"))] },
    [at("/axe")],
    [at("/a"), at("/x1")],
  ],
  [
    { any: [header("regex", value("(?i)g\\w+\\b.*")), ofQuery("suffix", value("a"))] },
    [tier("GOLD"), at("/?q=a")],
    [tier("a gold")],
  ],
  [
    { all: WIDE.map((tens) => ({ any: tens.map((one) => ofPath("contains", value(one))) })) },
    [at("/a0b1")],
    [at("/a0"), at("/b1")],
  ],
];

function ruleGroup(name: string, letter: string, rows: readonly Row[]): ParityGroup {
  return {
    name,
    objects: [
      TO_A,
      laneGroup(),
      ...rows.map(([rule], index) => laneOf(letter + String(index), rule)),
    ],
    cases: rows.flatMap(([rule, met, unmet], index) => {
      const of = letter + String(index);
      return [
        ...met.map((ask, at_) => ({
          name: `${nameOf(rule)} is met, ${at_ + 1}`,
          ask: asking(of, ask),
          want: inside(of),
        })),
        ...unmet.map((ask, at_) => ({
          name: `${nameOf(rule)} is not met, ${at_ + 1}`,
          ask: asking(of, ask),
          want: OUT,
        })),
      ];
    }),
  };
}

const RULES = ruleGroup("lanes by rules", "r", ROWS);
const FILTERED = ruleGroup("lanes by rules that no route can say", "f", FILTER_ROWS);

const REFUSED_RULES: readonly (readonly [rule: object, met: Asked])[] = [
  [{ header: "host", operator: "prefix", value: "shop." }, NONE],
  [{ geo: "country", operator: "absent" }, NONE],
];

const REFUSED: ParityGroup = {
  name: "lanes by rules that Envoys refuse",
  objects: [TO_A, laneGroup(), ...REFUSED_RULES.map(([rule], index) => laneOf(`n${index}`, rule))],
  cases: REFUSED_RULES.map(([rule, met], index): ParityCase => ({
    name: `${nameOf(rule)} is met: Envoys serve the baseline`,
    ask: asking(`n${index}`, met),
    want: inside(`n${index}`),
    onEnvoy: OUT,
  })),
  refused: REFUSED_RULES.map((_unused, index) => ({
    kind: "Lane",
    name: `n${index}`,
    says: /Envoy cannot enter the lane n\d+ by/,
  })),
};

export const RULE_GROUPS: readonly ParityGroup[] = [RULES, FILTERED, REFUSED];
