/**
 * Changes of a good file that a reader has to refuse or to survive.
 *
 * @module
 */

import { UNAVAILABLE } from "../../lib/io/faiss_codes.ts";
import type { Random } from "../../lib/random.ts";
import type { Sample } from "./corpus.ts";
import type { Field } from "./trace.ts";

/** A file on its way: fields lie where the sample has them until bytes are put in or taken out. */
interface Draft {
  bytes: Uint8Array<ArrayBuffer>;
  fields: Field[];
  /** What was done. */
  steps: string[];
}

/** Integers at which checks go wrong. */
const NASTY: readonly bigint[] = [
  ...[0n, 1n, 2n, 3n, 7n, 8n, 9n, 16n, 31n, 32n, 33n, 63n, 64n, 65n, 127n, 255n, 256n, 257n],
  ...[1023n, 1024n, 4096n, 65535n, 65536n, 2n ** 20n, 2n ** 20n + 1n, 2n ** 24n, 2n ** 28n],
  ...[30n, 31n, 32n, 33n, 40n, 52n, 53n, 56n, 60n, 61n, 62n, 63n].flatMap((bit) => [
    2n ** bit - 1n,
    2n ** bit,
    2n ** bit + 1n,
  ]),
  ...[2n ** 64n - 1n, 2n ** 64n - 2n, 2n ** 64n - 2n ** 31n, 2n ** 64n / 3n, 2n ** 64n / 12n + 1n],
];
const FLOATS = [0, -0, 1, -1, NaN, Infinity, -Infinity, 3.4e38, -3.4e38, 1e-45, 1e30, 0.5, 1000.5];
/** Four characters that no sample has, but other files of FAISS. */
const OTHER_CODES: readonly string[] = [
  "il00",
  "full",
  "sprs",
  "LTra",
  "null",
  ...UNAVAILABLE.keys(),
];

const pick = <T>(random: Random, items: readonly T[]): T => items[random.integer(items.length)]!;

function view({ bytes }: Draft): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function integerAt(draft: Draft, { kind, at, bytes }: Field): bigint {
  const data = view(draft);
  if (bytes === 1) return BigInt(data.getUint8(at));
  if (bytes === 4) {
    return kind === "i32" ? BigInt(data.getInt32(at, true)) : BigInt(data.getUint32(at, true));
  }
  return data.getBigUint64(at, true);
}

function setInteger(draft: Draft, { at, bytes }: Field, value: bigint): void {
  const data = view(draft);
  if (bytes === 1) data.setUint8(at, Number(BigInt.asUintN(8, value)));
  else if (bytes === 4) data.setUint32(at, Number(BigInt.asUintN(32, value)), true);
  else data.setBigUint64(at, BigInt.asUintN(64, value), true);
}

const isInteger = ({ kind }: Field) => !["f32", "text", "array"].includes(kind);

/** An integer like another: near it, a multiple of it, or one of the nasty. */
function integerLike(random: Random, value: bigint): bigint {
  switch (random.integer(6)) {
    case 0:
      return value + 1n;
    case 1:
      return value - 1n;
    case 2:
      return value * BigInt(2 + random.integer(3));
    case 3:
      return value / 2n;
    case 4:
      return -value;
    default:
      return pick(random, NASTY);
  }
}

/** Puts bytes in place of others; fields after them move, those within go. */
function splice(draft: Draft, at: number, removed: number, added: Uint8Array): void {
  const { bytes } = draft;
  const result = new Uint8Array(bytes.length - removed + added.length);
  result.set(bytes.subarray(0, at));
  result.set(added, at);
  result.set(bytes.subarray(at + removed), at + added.length);
  draft.bytes = result;
  draft.fields = draft.fields.flatMap((field) => {
    if (field.at + field.bytes <= at) return [field];
    if (field.at < at + removed) return [];
    return [{ ...field, at: field.at - removed + added.length }];
  });
}

function noise(random: Random, n: number): Uint8Array {
  return Uint8Array.from({ length: n }, () => random.integer(256));
}

type Mutation = (draft: Draft, random: Random, samples: readonly Sample[]) => string | undefined;

/** One integer, whatever it counts, names or flags. */
const changeInteger: Mutation = (draft, random) => {
  const fields = draft.fields.filter(isInteger);
  if (fields.length === 0) return undefined;
  const field = pick(random, fields);
  const value = integerLike(random, integerAt(draft, field));
  setInteger(draft, field, value);
  return `${field.name} at ${field.at} is ${value}`;
};

/** All fields of one value, so that they agree: a count with what it counts, d with each other d. */
const changeAlike: Mutation = (draft, random) => {
  const fields = draft.fields.filter((field) => isInteger(field) && field.bytes >= 4);
  if (fields.length === 0) return undefined;
  const value = integerAt(draft, pick(random, fields));
  const other = integerLike(random, value);
  const alike = fields.filter((field) => integerAt(draft, field) === value);
  for (const field of alike) setInteger(draft, field, other);
  return `${alike.length} fields of ${value} are ${other}`;
};

/** One integer for another of the file. */
const copyInteger: Mutation = (draft, random) => {
  const fields = draft.fields.filter(isInteger);
  if (fields.length < 2) return undefined;
  const [from, to] = [pick(random, fields), pick(random, fields)];
  setInteger(draft, to, integerAt(draft, from));
  return `${to.name} at ${to.at} is ${from.name}`;
};

const changeFloat: Mutation = (draft, random) => {
  const fields = draft.fields.filter(({ kind, bytes }) =>
    kind === "f32" || kind === "array" && bytes >= 4
  );
  if (fields.length === 0) return undefined;
  const field = pick(random, fields);
  const at = field.at + 4 * random.integer(Math.floor(field.bytes / 4));
  const value = pick(random, FLOATS);
  view(draft).setFloat32(at, value, true);
  return `${field.name} holds ${value} at ${at}`;
};

/** An item of an array: an id, an offset, a link, a size, a code. */
const changeItem: Mutation = (draft, random) => {
  const fields = draft.fields.filter(({ kind, bytes }) => kind === "array" && bytes >= 4);
  if (fields.length === 0) return undefined;
  const field = pick(random, fields);
  const bytes = field.bytes >= 8 ? pick(random, [1, 4, 8]) : 4;
  const at = field.at + bytes * random.integer(Math.floor(field.bytes / bytes));
  const item: Field = { kind: "u64", at, bytes, name: field.name };
  const value = integerLike(random, integerAt(draft, item));
  setInteger(draft, item, value);
  return `${field.name} holds ${value} at ${at}`;
};

const changeCode: Mutation = (draft, random, samples) => {
  const fields = draft.fields.filter(({ kind, bytes }) => kind === "text" && bytes === 4);
  if (fields.length === 0) return undefined;
  const field = pick(random, fields);
  const other = pick(random, samples);
  const known = other.fields.filter(({ kind, bytes }) => kind === "text" && bytes === 4);
  const { at } = pick(random, known);
  const code = random.integer(3) > 0
    ? other.bytes.subarray(at, at + 4)
    : new TextEncoder().encode(pick(random, OTHER_CODES));
  draft.bytes.set(code, field.at);
  return `${field.name} at ${field.at} is ${new TextDecoder().decode(code)}`;
};

/** An array of another length, with or without the count that comes before it. */
const resize: Mutation = (draft, random) => {
  const at = draft.fields.findIndex(({ kind, bytes }, i) => {
    return kind === "array" && bytes > 0 && draft.fields[i - 1]?.kind === "count" &&
      random.integer(3) === 0;
  });
  if (at < 0) return undefined;
  const [count, array] = [draft.fields[at - 1]!, draft.fields[at]!];
  const held = integerAt(draft, count);
  const items = held > 0n ? held : 1n;
  const itemBytes = Math.max(1, Math.floor(array.bytes / Number(items)));
  const more = random.integer(4) - 2;
  if (random.integer(4) > 0) setInteger(draft, count, held + BigInt(more));
  if (more >= 0) splice(draft, array.at, 0, noise(random, more * itemBytes));
  else splice(draft, array.at, Math.min(array.bytes, -more * itemBytes), new Uint8Array());
  return `${array.name} at ${array.at} has ${more} more items`;
};

const cut: Mutation = (draft, random) => {
  const field = draft.fields.length > 0 ? pick(random, draft.fields) : undefined;
  const near = (field?.at ?? 0) + random.integer(12) - 4;
  const size = random.integer(2) === 0 ? random.integer(draft.bytes.length + 1) : near;
  const kept = Math.max(0, Math.min(draft.bytes.length, size));
  splice(draft, kept, draft.bytes.length - kept, new Uint8Array());
  return `cut to ${kept} bytes`;
};

const extend: Mutation = (draft, random) => {
  const added = noise(random, 1 + random.integer(64));
  splice(draft, draft.bytes.length, 0, added);
  return `${added.length} bytes more`;
};

/** From a kind of something on, what another file has from a kind of something on. */
const graft: Mutation = (draft, random, samples) => {
  const isCode = ({ kind, bytes }: Field) => kind === "text" && bytes === 4;
  const other = pick(random, samples);
  const [here, there] = [draft.fields.filter(isCode), other.fields.filter(isCode)];
  if (here.length === 0 || there.length === 0) return undefined;
  const [at, from] = [pick(random, here).at, pick(random, there).at];
  splice(draft, at, draft.bytes.length - at, other.bytes.subarray(from));
  for (const field of other.fields) {
    if (field.at >= from) draft.fields.push({ ...field, at: field.at - from + at });
  }
  return `from ${at} on ${other.kind} from ${from} on`;
};

/** Part of the file within itself, some times over: what holds an index holds one that holds one. */
const nest: Mutation = (draft, random) => {
  const codes = draft.fields.filter(({ kind, bytes }) => kind === "text" && bytes === 4);
  if (codes.length < 2) return undefined;
  const first = random.integer(codes.length - 1);
  const [from, to] = [
    codes[first]!.at,
    codes[first + 1 + random.integer(codes.length - first - 1)]!.at,
  ];
  const part = draft.bytes.slice(from, to);
  const times = pick(random, [1, 2, 3, 70, 1000]);
  if (part.length * times > 1 << 20) return undefined;
  const all = new Uint8Array(part.length * times);
  for (let i = 0; i < times; i++) all.set(part, i * part.length);
  splice(draft, to, 0, all);
  return `bytes ${from} to ${to} ${times} times more`;
};

const drop: Mutation = (draft, random) => {
  if (draft.fields.length === 0) return undefined;
  const { at, bytes, name } = pick(random, draft.fields);
  splice(draft, at, bytes, new Uint8Array());
  return `no ${name} at ${at}`;
};

const repeat: Mutation = (draft, random) => {
  if (draft.fields.length === 0) return undefined;
  const { at, bytes, name } = pick(random, draft.fields);
  splice(draft, at, 0, draft.bytes.slice(at, at + bytes));
  return `${name} at ${at} twice`;
};

const flip: Mutation = (draft, random) => {
  if (draft.bytes.length === 0) return undefined;
  const bit = random.integer(8 * draft.bytes.length);
  draft.bytes[bit >> 3]! ^= 1 << (bit & 7);
  return `bit ${bit} flipped`;
};

const MUTATIONS: readonly Mutation[] = [
  ...[changeInteger, changeInteger, changeInteger, changeAlike, changeAlike, copyInteger],
  ...[changeItem, changeItem, changeFloat, changeCode, resize, resize, graft, nest],
  ...[cut, extend, drop, repeat, flip],
];

/** A file that may be bad. */
export interface Case {
  /** Kind of the good file that it was made of. */
  kind: string;
  /** Whether it is read as an index of bits. */
  isBinary: boolean;
  /** What was done to that. */
  steps: string[];
  /** All of it. */
  bytes: Uint8Array<ArrayBuffer>;
}

/** A change of a sample, and more of them more rarely. */
export function mutate(samples: readonly Sample[], random: Random): Case {
  const sample = pick(random, samples);
  const draft: Draft = { bytes: sample.bytes.slice(), fields: [...sample.fields], steps: [] };
  let wanted = 1;
  while (wanted < 5 && random.integer(2) === 0) wanted++;
  for (let tries = 0; tries < 20 && draft.steps.length < wanted; tries++) {
    const step = pick(random, MUTATIONS)(draft, random, samples);
    if (step !== undefined) draft.steps.push(step);
    draft.fields = draft.fields.filter(({ at, bytes }) =>
      at >= 0 && at + bytes <= draft.bytes.length
    );
  }
  const { kind, isBinary } = sample;
  return { kind, isBinary, steps: draft.steps, bytes: draft.bytes };
}
