/**
 * The ways in which FAISS's readers were broken (its threads are numbered), each with files that do
 * it: they are refused, or read without harm, copied and mapped.
 *
 * @module
 */

import assert from "node:assert/strict";
import { backend as selectedBackend } from "../lib/backend/select.ts";
import { FormatError } from "../lib/errors.ts";
import { IndexBinary } from "../lib/index/binary/index_binary.ts";
import type { Index } from "../lib/index/index.ts";
import { deserializeIndex, deserializeIndexBinary, readIndex } from "../lib/io/mod.ts";
import { ByteWriter } from "../lib/io/byte_writer.ts";
import { corpus, type Sample } from "./fuzz/corpus.ts";
import type { Field } from "./fuzz/trace.ts";
import { numbers } from "./indexes.ts";

// The one that strangers' files meet.
const backend = selectedBackend();
const directory = await Deno.makeTempDir();
Deno.test.afterAll(() => Deno.remove(directory, { recursive: true }));
const samples = new Map((await corpus(backend, directory)).map((one) => [one.kind, one]));

/** Bytes that reading bad files may take, whatever they claim: far less than that. */
const MOST_BYTES = 512 * 2 ** 20;
const HUGE = [2n ** 31n, 2n ** 32n, 2n ** 40n, 2n ** 60n, 2n ** 61n, 2n ** 63n, 2n ** 64n - 1n];

/** A bad file. */
interface Bad {
  name: string;
  bytes: Uint8Array;
  /** Whether it is read as an index of bits. */
  isBinary?: boolean;
  /** Whether it is only found out when it is used, where it is mapped. */
  isLate?: boolean;
}

function sample(kind: string): Sample {
  const found = samples.get(kind);
  assert(found !== undefined, kind);
  return found;
}

function fieldOf({ kind, fields }: Sample, name: string, nth = 0): Field {
  const field = fields.filter((one) => one.name.includes(name))[nth];
  assert(field !== undefined, `${kind} has no ${name}`);
  return field;
}

/** A copy of a sample with a field replaced. */
function set(
  { kind, isBinary, bytes }: Sample,
  { at, bytes: size, name }: Field,
  value: bigint,
): Bad {
  const copy = bytes.slice();
  const view = new DataView(copy.buffer);
  if (size === 1) view.setUint8(at, Number(value));
  else if (size === 4) view.setInt32(at, Number(BigInt.asIntN(32, value)), true);
  else view.setBigUint64(at, BigInt.asUintN(64, value), true);
  return { name: `${kind}: ${name} at ${at} is ${value}`, isBinary, bytes: copy };
}

/** A copy of a file with an item of an array replaced. */
function setItem(one: Sample, array: string, item: number, bytes: number, value: bigint): Bad {
  const field = fieldOf(one, array, 0);
  const at = one.fields.find((other) => other.kind === "array" && other.name === array)?.at ??
    field.at;
  return { ...set(one, { ...field, at: at + item * bytes, bytes }, value), isLate: true };
}

function patch(one: Bad, at: number, value: bigint): Bad {
  const bytes = one.bytes.slice();
  new DataView(bytes.buffer).setBigUint64(at, BigInt.asUintN(64, value), true);
  return { name: `${one.name}, ${value} at ${at}`, bytes };
}

/** What a body writes. */
async function written(name: string, body: (writer: ByteWriter) => Promise<void>): Promise<Bad> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  const writer = new ByteWriter((bytes) => {
    parts.push(bytes.slice());
    return Promise.resolve();
  });
  await body(writer);
  await writer.flush();
  return { name, bytes: await new Blob(parts).bytes() };
}

/** What every index starts with. */
async function header(writer: ByteWriter, code: string, d: number, ntotal: number): Promise<void> {
  await writer.text(code);
  await writer.i32(d);
  for (const value of [ntotal, 2 ** 20, 2 ** 20]) await writer.u64(value);
  await writer.bool(true);
  await writer.i32(1);
}

/** FAISS's product quantizer, of centroids that are zeros. */
async function product(writer: ByteWriter, d: number, M: number, nbits: number): Promise<void> {
  for (const value of [d, M, nbits, d * 2 ** nbits]) await writer.u64(value);
  await writer.bytes(new Float32Array(d * 2 ** nbits));
}

/** Codes of an index of fast scans. */
function fastScan(name: string, nbits: number, bbs: number, M2: number): Promise<Bad> {
  return written(name, async (writer) => {
    await header(writer, "IPfs", 4, 32);
    await product(writer, 4, 4, nbits);
    for (const value of [0, bbs, 0]) await writer.i32(value);
    for (const value of [32, M2, 16 * M2]) await writer.u64(value);
    await writer.bytes(new Uint8Array(16 * M2));
  });
}

/** A graph of FAISS's NSG over three vectors, each linked to one node. */
function nsg(link: number, enterpoint: number): Promise<Bad> {
  return written(`an NSG link to ${link} from ${enterpoint}`, async (writer) => {
    await header(writer, "INSf", 2, 3);
    for (const value of [64, 0, 10, 100, 114, 10]) await writer.i32(value);
    for (const value of [3, 2, 18, 132, 16, enterpoint]) await writer.i32(value);
    await writer.bool(true);
    for (let node = 0; node < 3; node++) for (const value of [link, -1]) await writer.i32(value);
    await header(writer, "IxF2", 2, 3);
    await writer.u64(6);
    await writer.bytes(new Float32Array(6));
  });
}

const NUMBERS = ["u8", "u32", "i32", "i64", "u64", "count"];

/** The bug classes, by name and thread. */
const classes: [name: string, files: () => (Bad | Promise<Bad>)[]][] = [
  ["n · code_size overflows (#4811, #5313)", () => {
    // 2^62 more vectors of 12 bytes are as many bytes, modulo 2^64.
    const flat = sample("flat L2");
    const lists = sample("IVF full");
    const [total, size] = [fieldOf(lists, "the number of vectors"), fieldOf(lists, "a list size")];
    const more = set(lists, total, 12n + 2n ** 62n);
    const held = new DataView(lists.bytes.buffer).getBigUint64(size.at, true);
    return [
      set(flat, fieldOf(flat, "the number of vectors"), 12n + 2n ** 62n),
      patch(more, size.at, held + 2n ** 62n),
      ...[2n ** 63n + 12n, 2n ** 32n + 12n].map((n) => {
        return set(
          sample("SQfp16 cosine"),
          fieldOf(sample("SQfp16 cosine"), "the number of vectors"),
          n,
        );
      }),
    ];
  }],
  ["counts of vectors and loops are huge (#4902)", () => {
    const bad: Bad[] = [];
    for (const one of samples.values()) {
      const counts = one.fields.filter(({ kind }) => kind === "count");
      for (const field of counts) for (const n of HUGE) bad.push(set(one, field, n));
    }
    return bad;
  }],
  ["any number is huge (#4902)", () => {
    const bad: Bad[] = [];
    for (const one of samples.values()) {
      const fields = one.fields.filter(({ kind }) => NUMBERS.includes(kind));
      for (const field of fields) {
        for (const n of [2n ** 31n - 1n, 2n ** 61n, 2n ** 64n - 1n]) {
          bad.push({ ...set(one, field, n), isLate: true });
        }
      }
    }
    return bad;
  }],
  ["links, levels, offsets or the entry of a graph are out of range (#4827, #4949)", () => {
    const graph = sample("graph");
    const bad: Bad[] = [];
    for (const value of [12n, 13n, 2n ** 31n - 1n, -2n, -(2n ** 31n)]) {
      for (let item = 0; item < 8; item++) bad.push(setItem(graph, "the links", item, 4, value));
      bad.push(set(graph, fieldOf(graph, "the entry point"), value));
    }
    for (const value of [0n, 31n, 100n, 2n ** 31n - 1n, -1n]) {
      for (let item = 0; item < 12; item++) bad.push(setItem(graph, "the levels", item, 4, value));
      bad.push(set(graph, fieldOf(graph, "the highest level"), value));
    }
    for (const value of [1n, 2n ** 32n, 2n ** 63n, 2n ** 64n - 1n]) {
      for (let item = 0; item < 13; item++) bad.push(setItem(graph, "the offsets", item, 8, value));
    }
    return bad;
  }],
  ["an NSG links to ntotal, or starts there", () => {
    return [nsg(3, 0), nsg(2 ** 30, 0), nsg(-2, 0), nsg(0, 3), nsg(0, -1)];
  }],
  ["M, nbits or M · ksub of a product quantizer are 0 or too large (#5187, #5483)", () => {
    const bad: Bad[] = [];
    for (const kind of ["PQ3x3", "IVF PQ1x2"]) {
      const one = sample(kind);
      for (const value of [0n, 2n, 25n, 63n, 64n, 2n ** 32n, 2n ** 64n - 1n]) {
        if (value !== 2n) bad.push(set(one, fieldOf(one, "the bits of a sub-quantizer"), value));
        bad.push(set(one, fieldOf(one, "the number of sub-quantizers"), value));
      }
    }
    return bad;
  }],
  ["ksub of a fast scan is not 16 (#5436)", () => {
    return [3, 5, 8].map((nbits) => fastScan(`${nbits} bits`, nbits, 32, 4));
  }],
  ["bbs or M2 of a fast scan do not fit", () => {
    const sizes = [[0, 4], [31, 4], [-32, 4], [2 ** 30, 4], [32, 0], [32, 3], [32, 2], [32, 6]];
    return sizes.map(([bbs, M2]) => fastScan(`bbs ${bbs}, M2 ${M2}`, 4, bbs!, M2!));
  }],
  ["an id map has another size than its index (#5024, #5203)", () => {
    return ["map", "map2 of IVF", "map2 of chain"].flatMap((kind) => {
      const one = sample(kind);
      const total = one.fields.find(({ name }) => name === "the number of vectors")!;
      const ids = one.fields.findLast(({ kind }) => kind === "count")!;
      return [0n, 1n, 11n, 13n].flatMap((n) => [set(one, total, n), set(one, ids, n)]);
    });
  }],
  ["an index inside another one is null (#5112, #5239, #5466)", () => {
    const bad: Bad[] = [];
    for (const one of samples.values()) {
      const codes = one.fields.filter(({ kind, bytes }) => kind === "text" && bytes === 4);
      for (const { at } of codes) {
        const bytes = one.bytes.slice();
        bytes.set(new TextEncoder().encode("null"), at);
        const { kind, isBinary } = one;
        bad.push({ name: `${kind}: null at ${at}`, isBinary, bytes });
        bad.push({ name: `${kind}: null at the end`, isBinary, bytes: bytes.slice(0, at + 4) });
      }
    }
    return bad;
  }],
  ["indexes lie in one another without end (CWE-674, #5468)", () => {
    const bad: Promise<Bad>[] = [];
    for (const depth of [100, 10_000]) {
      for (const code of ["IxMp", "IxM2", "IxPT", "IxRF", "IwFl", "IBMp"]) {
        bad.push(written(`${depth} × ${code}`, async (writer) => {
          for (let i = 0; i < depth; i++) {
            await header(writer, code, 2, 0);
            if (code === "IxPT") await writer.i32(0);
            if (code === "IwFl") { for (const value of [1, 1]) await writer.u64(value); }
          }
          await header(writer, "IxF2", 2, 0);
          await writer.u64(0);
        }));
      }
    }
    return bad;
  }],
  ["tables are made on loading from what the file only claims (#5464)", () => {
    const untrained = sample("IVF untrained");
    const pq = sample("IVF PQ1x2 untrained");
    return [
      ...[2n ** 20n, 2n ** 30n, 2n ** 31n - 1n].flatMap((n) => [
        set(untrained, fieldOf(untrained, "nlist"), n),
        set(pq, fieldOf(pq, "nlist"), n),
      ]),
      ...[20, 24].map((nbits) =>
        written(`centroids of ${nbits} bits that are not there`, async (writer) => {
          await header(writer, "IxPq", 4, 0);
          for (const value of [4, 4, nbits, 4 * 2 ** nbits]) await writer.u64(value);
        })
      ),
      written("a rotation of 2^30 numbers", async (writer) => {
        await header(writer, "IxPT", 2 ** 20, 0);
        await writer.i32(1);
        await writer.text("HRot");
        await writer.i32(1);
        for (const value of [2 ** 20, 2 ** 30]) await writer.i32(value);
        await writer.bool(true);
      }),
    ];
  }],
  ["a residual coarse quantizer writes past its centroids (#5485)", () => {
    return [1, 63, 2 ** 20].map((M) =>
      written(`ImRQ of ${M}`, async (writer) => {
        await header(writer, "ImRQ", 2, 4);
        for (const value of [2, M, M]) await writer.u64(value);
        for (let i = 0; i < Math.min(M, 63); i++) await writer.u64(63);
      })
    );
  }],
  ["lists on disk start or end outside of their file (#5312)", () => {
    const bad: Bad[] = [];
    for (const kind of ["IVF full on disk", "IVF SQ8 on disk"]) {
      const one = sample(kind);
      for (const value of [2n ** 20n, 2n ** 40n, 2n ** 63n, 2n ** 64n - 64n]) {
        for (const name of ["a list's offset", "a list's capacity", "a list's size"]) {
          bad.push(set(one, fieldOf(one, name), value));
        }
        bad.push(set(one, fieldOf(one, "the bytes of the lists' file"), value));
      }
      bad.push(set(one, fieldOf(one, "the bytes of the lists' file"), 0n));
    }
    return bad;
  }],
  ["bools are neither 0 nor 1 (#5279)", () => {
    const bad: Bad[] = [];
    for (const one of samples.values()) {
      const bools = one.fields.filter(({ kind }) => kind === "bool");
      for (const field of bools) for (const n of [2n, 128n, 255n]) bad.push(set(one, field, n));
    }
    return bad;
  }],
  ["k_factor is NaN, or huge (#5104)", () => {
    const one = sample("refined");
    return [NaN, Infinity, -Infinity, 0, -1, 0.5, 1e30].map((value) => {
      const bytes = one.bytes.slice();
      new DataView(bytes.buffer).setFloat32(fieldOf(one, "k_factor").at, value, true);
      return { name: `k_factor ${value}`, bytes };
    });
  }],
  ["a stream of SVS is read", () => {
    return ["ISVF", "ISVD", "ISV2", "ILVQ", "ISVL", "ISID", "ISIQ", "ISIL"].map((code) =>
      written(code, async (writer) => {
        await header(writer, code, 2, 1);
        await writer.u64(2 ** 40);
      })
    );
  }],
];

/** Reads a file: refused with FormatError, or, where that may be, an index that can be used. */
async function assertHarmless(
  read: () => Promise<Index | IndexBinary>,
  what: string,
  mayRead: boolean,
): Promise<void> {
  try {
    using index = await read();
    assert(mayRead, `${what} was read`);
    if (index instanceof IndexBinary) await index.search(new Uint8Array(index.codeSize), 3);
    else await index.search(numbers(index.d), 3);
  } catch (error) {
    const isFine = error instanceof FormatError ||
      mayRead && error instanceof Error &&
        /out of the range of float32$|call train/.test(error.message);
    if (!isFine) throw new Error(`${what}: ${error}`, { cause: error });
  }
}

for (const [name, make] of classes) {
  Deno.test(`harmless: ${name}`, async () => {
    const files = await Promise.all(make());
    assert(files.length > 2);
    const before = Deno.memoryUsage().rss;
    const path = `${directory}/case`;
    // Numbers such as efSearch may be as large as they like.
    const isAny = name.startsWith("any number");
    for (const { name: what, bytes, isBinary = false, isLate = false } of files) {
      const read = isBinary ? deserializeIndexBinary : deserializeIndex;
      await assertHarmless(() => read(bytes, { backend }), what, isAny);
      if (backend.mapFile === undefined || isBinary) continue;
      // Zero-copy readers are held to the same (#5275).
      await Deno.writeFile(path, bytes);
      const map = () => readIndex(path, { backend, mmap: true, ondiskSameDir: true });
      await assertHarmless(map, `${what}, mapped`, isLate);
    }
    const grown = Deno.memoryUsage().rss - before;
    assert(grown < MOST_BYTES, `${files.length} files took ${grown} bytes`);
  });
}
