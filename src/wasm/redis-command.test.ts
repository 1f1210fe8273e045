import assert from "node:assert/strict";
import { test } from "node:test";
import { isOneCommand } from "./redis-command.ts";

const CASES: readonly { readonly claim: string; readonly text: string; readonly is: boolean }[] = [
  { claim: "one command", text: "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", is: true },
  { claim: "a word that has line ends in it", text: "*1\r\n$4\r\n\r\n\r\n\r\n", is: true },
  { claim: "an empty word", text: "*2\r\n$3\r\nGET\r\n$0\r\n\r\n", is: true },
  { claim: "nothing", text: "", is: false },
  { claim: "an inline command", text: "PING\r\n", is: false },
  { claim: "two commands", text: "*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n", is: false },
  { claim: "half a command", text: "*2\r\n$3\r\nGET\r\n", is: false },
  { claim: "a word that ends outside", text: "*1\r\n$9999999999\r\nPING\r\n", is: false },
  { claim: "a word that is longer than said", text: "*1\r\n$3\r\nPING\r\n", is: false },
  { claim: "no words", text: "*0\r\n", is: false },
  { claim: "a null array", text: "*-1\r\n", is: false },
  { claim: "more words than Redis takes", text: "*1048577\r\n", is: false },
  { claim: "a count of too many digits", text: "*00000000001\r\n$4\r\nPING\r\n", is: false },
  { claim: "an integer among the words", text: "*2\r\n$3\r\nGET\r\n:1\r\n", is: false },
  { claim: "a subscription", text: "*2\r\n$9\r\nSubScribe\r\n$1\r\nc\r\n", is: false },
  { claim: "another form of replies", text: "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n", is: false },
  { claim: "no replies", text: "*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$3\r\nOFF\r\n", is: false },
  { claim: "another client command", text: "*2\r\n$6\r\nCLIENT\r\n$2\r\nID\r\n", is: true },
];

for (const { claim, text, is } of CASES) {
  test(`${claim} ${is ? "may" : "may not"} be sent to Redis`, () => {
    assert.equal(isOneCommand(Buffer.from(text)), is);
  });
}
