/**
 * Where the fields of a file are: what the reader asks for while it reads a good one.
 *
 * @module
 */

import { ByteReader } from "../../lib/io/byte_reader.ts";

/** What a field is read as. */
export type FieldKind =
  | "u8"
  | "bool"
  | "u32"
  | "i32"
  | "f32"
  | "i64"
  | "u64"
  | "count"
  | "text"
  | "array";

/** A field of a file. */
export interface Field {
  /** What it is read as. */
  kind: FieldKind;
  /** Its first byte. */
  at: number;
  /** Its bytes. */
  bytes: number;
  /** What the reader calls it. */
  name: string;
}

/** Bytes of a value of a kind, and where its name is among the arguments. */
const scalars: Partial<Record<FieldKind, number>> = {
  u8: 1,
  bool: 1,
  u32: 4,
  i32: 4,
  f32: 4,
  i64: 8,
  u64: 8,
  count: 8,
};

type Method = (this: ByteReader, ...args: unknown[]) => Promise<unknown>;

/** Runs `read`, which reads one file, and returns the fields that it asked for, in order. */
export async function trace(read: () => Promise<void>): Promise<Field[]> {
  const fields: Field[] = [];
  const prototype = ByteReader.prototype as unknown as Record<string, Method>;
  const methods = new Map<string, Method>();
  const replace = (name: string, see: (reader: ByteReader, args: unknown[]) => void) => {
    const method = prototype[name]!;
    methods.set(name, method);
    prototype[name] = function (...args) {
      see(this, args);
      return method.apply(this, args);
    };
  };
  for (const [kind, bytes] of Object.entries(scalars)) {
    replace(kind, ({ offset: at }, [name]) => {
      fields.push({ kind: kind as FieldKind, at, bytes, name: String(name) });
    });
  }
  replace("text", ({ offset: at }, [bytes, name]) => {
    fields.push({ kind: "text", at, bytes: Number(bytes), name: String(name) });
  });
  replace("fillAt", (_, [at, into, name]) => {
    const bytes = (into as ArrayBufferView).byteLength;
    fields.push({ kind: "array", at: Number(at), bytes, name: String(name) });
  });
  try {
    await read();
  } finally {
    for (const [name, method] of methods) prototype[name] = method;
  }
  // Calls of each other: a count is a u64, a bool a u8, a text an array.
  const kept = new Map<number, Field>();
  for (const field of fields) {
    if (field.bytes > 0 && !kept.has(field.at)) kept.set(field.at, field);
  }
  return [...kept.values()].sort((a, b) => a.at - b.at);
}
