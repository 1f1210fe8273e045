//! Operands that are in the body: `bodyJson` and `bodyForm`.

import { CONTENT_TYPE, bodyBytes, bodyStart, readableKind } from "./body";
import { fieldLength as headerLength, fieldStart as headerStart } from "./head";
import { nextField, requestNumber, rewind } from "./head";
import { JsonPaths } from "./json-paths";
import { findPlaces } from "./json-scan";
import { writeValue } from "./json-text";
import { BodyKind } from "./media-type";
import { fieldEnd, fieldStart, findField, readParts } from "./multipart";
import { Operand, OperandKind } from "./operand";
import { Output } from "./output";

/** The requests whose body was read as JSON, and as parts. */
let jsonOf: u32 = 0;
let partsOf: u32 = 0;

export class JsonOperand extends Operand {
  private readonly output: Output = new Output();

  constructor(
    text: string,
    bytesMax: i32,
    private readonly paths: JsonPaths,
    private readonly slot: i32,
  ) {
    super(OperandKind.bodyJson, text, bytesMax);
  }

  protected read(): bool {
    if (readableKind(this.limit) != BodyKind.json) return false;
    if (jsonOf != requestNumber()) {
      jsonOf = requestNumber();
      findPlaces(bodyStart(), bodyBytes(), this.paths);
    }
    const start = this.paths.startOf(this.slot);
    const output = this.output;
    if (start == 0 || !writeValue(start, this.paths.endOf(this.slot), output)) return false;
    this.start = output.start;
    this.length = output.length;
    return true;
  }
}

export class FormOperand extends Operand {
  constructor(text: string, bytesMax: i32) {
    super(OperandKind.bodyForm, text, bytesMax);
  }

  protected read(): bool {
    const kind = readableKind(this.limit);
    if (kind == BodyKind.form) return this.parameter(bodyStart(), bodyStart() + bodyBytes());
    return kind == BodyKind.parts && this.part();
  }

  private part(): bool {
    if (partsOf != requestNumber()) {
      partsOf = requestNumber();
      rewind();
      nextField(CONTENT_TYPE);
      const type = headerStart();
      readParts(type, type + headerLength(), bodyStart(), bodyBytes());
    }
    const index = findField(this.name);
    if (index < 0) return false;
    this.start = fieldStart(index);
    this.length = fieldEnd(index) - this.start;
    return true;
  }
}
