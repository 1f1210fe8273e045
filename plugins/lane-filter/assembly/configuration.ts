//! The decision program of one gateway: `{"version", "header", "rules": [{"id", "condition"}],
//! "body": {"context", "routes"}, "claims": {"header", "issuer", "audiences"}}`, the last two where
//! rules read them. `token` instead of rules: the plug-in's other place, before Envoy's filter that
//! verifies tokens. `bucket`: of a share by a claim. Conditions are those of the
//! snapshot; what has to be worked out of a test's constants (automata, ranges, networks, bounds,
//! steps of paths) was worked out by `src/compile-envoy`.

import { listOf, numberOf, textOf, wholeOf } from "../../../sdk/assemblyscript/assembly/fields";
import { JsonKind, JsonValue } from "../../../sdk/assemblyscript/assembly/json";
import { Utf8 } from "../../../sdk/assemblyscript/assembly/text";
import { Bucket } from "./bucket";
import { FormOperand, JsonOperand } from "./body-operand";
import { BodyScope } from "./body-scope";
import { ClaimOperand, Claims } from "./claims";
import { All, Any, Condition, Not, Test } from "./condition";
import { JsonPaths } from "./json-paths";
import { Operand, OperandKind, operandKindOf } from "./operand";
import { MEMBERS_MAX, readPredicate } from "./predicate";
import { TokenOffer } from "./token";

const VERSION: u32 = 1;
const RULES_MAX: i32 = 1000;
const HOPS_MAX: u32 = 1000;
const BODY_BYTES_MAX: u32 = 1048576;
const STEPS_MAX: i32 = 32;

export class Rule {
  constructor(
    /** As it stands in the header, with its comma. */
    readonly id: Utf8,
    readonly condition: Condition,
  ) {}
}

export class Program {
  header: Utf8 = new Utf8("");
  rules: Rule[] = [];
  operands: Operand[] = [];
  needsAddress: bool = false;
  /** Where bodies are waited for; null: nowhere. */
  body: BodyScope | null = null;
  /** As many bytes are waited for at most. */
  bodyBytesMax: i32 = 0;
  /** Null: nothing verifies tokens. */
  claims: Claims | null = null;
  /** Of a share by a claim; null: there is none. */
  bucket: Bucket | null = null;
  /** Null: its place is not before the filter that verifies tokens. */
  token: TokenOffer | null = null;
  readonly paths: JsonPaths = new JsonPaths();
  /** Of the header when all of the rules are met. */
  bytesMax: usize = 1;
}

export function readProgram(text: string, errors: string[]): Program {
  const program = new Program();
  const whole = wholeOf(text, errors);
  if (whole === null) return program;
  if (numberOf(whole, "version", VERSION) != VERSION) {
    errors.push("version must be " + VERSION.toString());
    return program;
  }
  program.header = new Utf8(textOf(whole, "header", errors));
  const token = whole.get("token");
  if (token !== null) program.token = new TokenOffer(token, errors);
  // Conditions ask for it.
  const claims = whole.get("claims");
  if (claims !== null) program.claims = new Claims(claims, errors);
  const rules = listOf(whole, "rules", RULES_MAX, errors);
  for (let index = 0; index < rules.length; index++) {
    const id = new Utf8(textOf(rules[index], "id", errors) + ",");
    program.bytesMax += id.length;
    program.rules.push(new Rule(id, conditionOf(rules[index].get("condition"), program, errors)));
  }
  const bucket = whole.get("bucket");
  if (bucket !== null) {
    program.bucket = new Bucket(bucket, operandOf(bucket.get("key"), program, errors), errors);
  }
  const body = whole.get("body");
  if (body !== null) program.body = new BodyScope(body, errors);
  return program;
}

function conditionOf(value: JsonValue | null, program: Program, errors: string[]): Condition {
  if (value === null || value.kind != JsonKind.object) {
    errors.push("a condition must be an object");
    return new All([]);
  }
  const kind = textOf(value, "kind", errors);
  if (kind == "test") return testOf(value, program, errors);
  if (kind == "not") return new Not(conditionOf(value.get("of"), program, errors));
  if (kind == "all") return new All(membersOf(value, program, errors));
  if (kind == "any") return new Any(membersOf(value, program, errors));
  errors.push("kind " + kind + " is not known");
  return new All([]);
}

function membersOf(value: JsonValue, program: Program, errors: string[]): Condition[] {
  const list = listOf(value, "of", MEMBERS_MAX, errors);
  const members: Condition[] = [];
  for (let index = 0; index < list.length; index++) {
    members.push(conditionOf(list[index], program, errors));
  }
  return members;
}

function testOf(value: JsonValue, program: Program, errors: string[]): Condition {
  const operator = textOf(value, "operator", errors);
  const isDenied = operator == "!=" || operator == "notIn" || operator == "absent";
  const operand = operandOf(value.get("operand"), program, errors);
  return new Test(operand, readPredicate(operator, value, errors), isDenied);
}

/** One for all tests of it, so that it is looked for once. */
function operandOf(value: JsonValue | null, program: Program, errors: string[]): Operand {
  const text = value === null ? "" : textOf(value, "kind", errors);
  const kind = operandKindOf(text);
  if (kind == OperandKind.none) errors.push("operand.kind " + text + " is not known");
  const name = value === null ? "" : nameOf(value);
  const isBody = kind == OperandKind.bodyJson || kind == OperandKind.bodyForm;
  const field = isBody ? "bytesMax" : "trustedHops";
  const most = isBody ? BODY_BYTES_MAX : HOPS_MAX;
  const limit = value === null ? 0 : <i32>numberOf(value, field, most);
  for (let index = 0; index < program.operands.length; index++) {
    const known = program.operands[index];
    if (known.kind == kind && known.text == name && known.limit == limit) return known;
  }
  const operand = makeOperand(kind, name, limit, value, program, errors);
  program.operands.push(operand);
  if (isBody) program.bodyBytesMax = max(program.bodyBytesMax, limit);
  if (kind == OperandKind.clientIp) program.needsAddress = true;
  return operand;
}

function makeOperand(
  kind: OperandKind,
  name: string,
  limit: i32,
  value: JsonValue | null,
  program: Program,
  errors: string[],
): Operand {
  if (kind == OperandKind.bodyForm) return new FormOperand(name, limit);
  if (value === null) return new Operand(kind, name, limit);
  if (kind == OperandKind.claim) {
    const claims = program.claims;
    // Reads nothing.
    if (claims === null) return new Operand(OperandKind.none, name, limit);
    return new ClaimOperand(name, claims, slotOf(value, claims.paths, errors));
  }
  if (kind != OperandKind.bodyJson) return new Operand(kind, name, limit);
  return new JsonOperand(name, limit, program.paths, slotOf(value, program.paths, errors));
}

function slotOf(value: JsonValue, paths: JsonPaths, errors: string[]): i32 {
  const steps = listOf(value, "steps", STEPS_MAX, errors);
  if (steps.length == 0) errors.push("a path must have steps");
  let place: i32 = 0;
  for (let index = 0; index < steps.length; index++) {
    const step = steps[index];
    place =
      step.kind == JsonKind.number
        ? paths.elementOf(place, <i32>step.number)
        : paths.memberOf(place, step.string);
  }
  return paths.slotOf(place);
}

/** `""`: it needs none. */
function nameOf(value: JsonValue): string {
  const field = value.get("name");
  return field === null ? "" : field.string;
}
