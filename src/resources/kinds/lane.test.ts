import assert from "node:assert/strict";
import { test } from "node:test";
import { parseManifests } from "../parse.ts";
import { validateResource } from "../validate.ts";
import { LANE } from "./lane.ts";

/** `line:column code message` of every fault of one document. */
function faultsOf(text: string): string[] {
  const [document] = parseManifests(text, "t.yaml").documents;
  assert.ok(document !== undefined, "the text is one document");
  return validateResource(document.value, document.positionOf).faults.map(
    ({ position, code, message }) =>
      `${position?.line ?? 0}:${position?.column ?? 0} ${code} ${message}`,
  );
}

const lane = (more: string): string => `apiVersion: graylane.io/v1alpha1
kind: Lane
metadata: {name: gray}
spec:
  group: shop
  selector: {matchLabels: {version: v2}}
  ${more}`;

const WANT = "must be a lane's tag: printable ASCII characters without spaces at its ends";

const tags = [
  { name: "letters, digits and signs", tag: "v2.1_a-b~c,d%", isFit: true },
  { name: "a space within", tag: "gray lane", isFit: true },
  { name: "half of a UTF-16 pair alone", tag: "gray\\ud83d", isFit: false },
  { name: "the other half alone", tag: "\\udc00gray", isFit: false },
  { name: "a character that a header would cut to one byte", tag: "\\u7070", isFit: false },
  { name: "a character whose last byte is a line feed", tag: "a\\u010ab", isFit: false },
  { name: "a space at its end", tag: "gray ", isFit: false },
];
for (const { name, tag, isFit } of tags) {
  test(`a lane's tag of ${name} is ${isFit ? "taken" : "refused, with its place"}`, () => {
    const faults = faultsOf(lane(`tag: "${tag}"`));
    if (isFit) assert.deepEqual(faults, []);
    else assert.match(faults.join("\n"), new RegExp(`^7:8 GL0113 spec\\.tag ${WANT}, is "[^\n]*$`));
  });
}

const columns = [
  { name: "before anything was found", status: {}, want: ["<none>", "<none>"] },
  {
    name: "of a lane with a share",
    status: { services: "2/3", share: "10 %" },
    want: ["2/3 services", "10 %"],
  },
  { name: "of a status by hand", status: { services: 2, share: null }, want: ["<none>", "<none>"] },
];
for (const { name, status, want } of columns) {
  test(`get shows members and share ${name}`, () => {
    const object = { apiVersion: "v1", kind: "Lane", metadata: { name: "gray" }, status };
    const shown = LANE.columns.filter((each) => ["MEMBERS", "SHARE"].includes(each.name));
    assert.deepEqual(
      shown.map((each) => each.value(object)),
      want,
    );
  });
}

test("a rule's header value with half of a UTF-16 pair is refused, a whole pair is not", () => {
  const rule = (value: string): string => `rule: {header: a, operator: "==", value: "${value}"}`;
  assert.deepEqual(faultsOf(lane(rule("\\U0001F680"))), []);
  const [fault = ""] = faultsOf(lane(rule("\\ud83d")));
  assert.match(fault, /^7:\d+ GL0113 spec\.rule\.value must be a header value/);
});
