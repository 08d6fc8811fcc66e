/** Reads the C header: what `abi_test.ts` holds the TypeScript side against. @module */

/** A C function. */
export interface Prototype {
  /** Types of the parameters, as Deno names them. */
  parameters: string[];
  /** Type of the result, likewise. */
  result: string;
}

/** A field of a C struct. */
export interface Field {
  /** C type of it, or of its elements. */
  type: string;
  /** Bytes from the start of the struct. */
  offset: number;
}

/** What the header declares. */
export interface Header {
  /** `MF_ABI_VERSION`. */
  version: number;
  /** Functions by name. */
  functions: Record<string, Prototype>;
  /** Fields by struct and name. */
  structs: Record<string, { bytes: number; fields: Record<string, Field> }>;
  /** Values by enum and name. */
  enums: Record<string, Record<string, number>>;
}

const scalars: Record<string, string> = {
  "int32_t": "i32",
  "uint32_t": "u32",
  "float": "f32",
  "double": "f64",
};
const sizes: Record<string, number> = { char: 1, uint32_t: 4, float: 4, double: 8 };

function denoType(declaration: string): string {
  if (declaration.includes("*")) return "buffer";
  const type = scalars[declaration.trim().split(/\s+/)[0]!];
  if (type === undefined) throw new Error(`Cannot read "${declaration}": unknown C type`);
  return type;
}

/** Parses `metalfaiss.h`. */
export function parseHeader(source: string): Header {
  const code = source.replace(/\/\/.*/g, "");
  const header: Header = {
    version: Number(code.match(/#define MF_ABI_VERSION (\d+)/)![1]),
    functions: {},
    structs: {},
    enums: {},
  };
  for (const [, result, name, list] of code.matchAll(/^(\w+) (mf_\w+)\(([^)]*)\);/gm)) {
    const parameters = list!.trim() === "void" ? [] : list!.split(",").map(denoType);
    header.functions[name!] = { parameters, result: denoType(result!) };
  }
  for (const [, body, name] of code.matchAll(/typedef enum \w+ \{([^}]*)\} (\w+);/g)) {
    const values = body!.matchAll(/(\w+) = (\d+)/g);
    header.enums[name!] = Object.fromEntries([...values].map(([, key, n]) => [key!, Number(n)]));
  }
  for (const [, body, name] of code.matchAll(/typedef struct \w+ \{([^}]*)\} (\w+);/g)) {
    header.structs[name!] = layOut(body!);
  }
  return header;
}

function layOut(body: string): Header["structs"][string] {
  const fields: Record<string, Field> = {};
  let bytes = 0;
  for (const [, type, name, length] of body.matchAll(/(\w+) (\w+)(?:\[(\d+)\])?;/g)) {
    const size = sizes[type!]!;
    if (bytes % size !== 0) throw new Error(`Cannot lay out ${name}: the struct has padding`);
    fields[name!] = { type: type!, offset: bytes };
    bytes += size * Number(length ?? 1);
  }
  return { bytes, fields };
}
