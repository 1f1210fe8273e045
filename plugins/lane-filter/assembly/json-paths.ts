//! The places in JSON documents that a program's rules name, as one tree: a document is read once,
//! however many they are.

import { Utf8 } from "../../../sdk/assemblyscript/assembly/text";

/** A place that leads to none that is named. */
export const NOWHERE: i32 = -1;

export class JsonPlace {
  /** -1: no rule names this one. */
  slot: i32 = -1;
  readonly names: Utf8[] = [];
  readonly ofNames: i32[] = [];
  readonly indexes: i32[] = [];
  readonly ofIndexes: i32[] = [];
}

export class JsonPaths {
  private readonly places: JsonPlace[] = [new JsonPlace()];
  private readonly starts: usize[] = [];
  private readonly ends: usize[] = [];

  get isEmpty(): bool {
    return this.starts.length == 0;
  }

  memberOf(place: i32, name: string): i32 {
    const names = this.places[place].names;
    const ofNames = this.places[place].ofNames;
    const wanted = String.UTF8.byteLength(name);
    for (let index = 0; index < names.length; index++) {
      const known = names[index];
      if (<i32>known.length != wanted) continue;
      if (String.UTF8.decodeUnsafe(known.pointer, known.length) == name) return ofNames[index];
    }
    names.push(new Utf8(name));
    return this.add(ofNames);
  }

  elementOf(place: i32, wanted: i32): i32 {
    const indexes = this.places[place].indexes;
    const ofIndexes = this.places[place].ofIndexes;
    const index = indexes.indexOf(wanted);
    if (index >= 0) return ofIndexes[index];
    indexes.push(wanted);
    return this.add(ofIndexes);
  }

  /** The number under which what stands at the place is found. */
  slotOf(place: i32): i32 {
    const known = this.places[place];
    if (known.slot == -1) {
      known.slot = this.starts.length;
      this.starts.push(0);
      this.ends.push(0);
    }
    return known.slot;
  }

  findMember(place: i32, start: usize, length: usize): i32 {
    const known = unchecked(this.places[place]);
    for (let index = 0; index < known.names.length; index++) {
      const name = unchecked(known.names[index]);
      if (name.length == length && memory.compare(name.pointer, start, length) == 0) {
        return known.ofNames[index];
      }
    }
    return NOWHERE;
  }

  findElement(place: i32, wanted: i32): i32 {
    const known = unchecked(this.places[place]);
    const index = known.indexes.indexOf(wanted);
    return index < 0 ? NOWHERE : known.ofIndexes[index];
  }

  clear(): void {
    for (let index = 0; index < this.starts.length; index++) this.starts[index] = 0;
  }

  /** A member that stands twice counts the last time: what was found below it is forgotten. */
  begin(place: i32, at: usize): void {
    const known = unchecked(this.places[place]);
    for (let index = 0; index < known.ofNames.length; index++) this.begin(known.ofNames[index], 0);
    for (let index = 0; index < known.ofIndexes.length; index++) {
      this.begin(known.ofIndexes[index], 0);
    }
    if (known.slot >= 0) this.starts[known.slot] = at;
  }

  end(place: i32, at: usize): void {
    const slot = unchecked(this.places[place]).slot;
    if (slot >= 0) this.ends[slot] = at;
  }

  /** 0: there is nothing at that place. */
  startOf(slot: i32): usize {
    return this.starts[slot];
  }

  endOf(slot: i32): usize {
    return this.ends[slot];
  }

  private add(children: i32[]): i32 {
    const place = this.places.length;
    this.places.push(new JsonPlace());
    children.push(place);
    return place;
  }
}
