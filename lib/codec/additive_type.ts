/**
 * What codes of additive quantizers hold beside indices, and how they are compared.
 *
 * @module
 */

/**
 * How codes of an additive quantizer are compared with a query by L2, and the norm that they hold
 * for that; values are those of FAISS. By inner product all are compared alike.
 */
export const AdditiveSearchType = {
  /** By what codes stand for. */
  Decompress: 0,
  /** By the query's squared length less the product: for vectors of one length. */
  LUTNonorm: 1,
  /** By what codes stand for, which FAISS adds up from tables. */
  NormFromLUT: 2,
  /** By a norm of 32 bits. */
  NormFloat: 3,
  /** By one of 256 norms at equal steps. */
  NormQint8: 4,
  /** By one of 16 norms at equal steps. */
  NormQint4: 5,
  /** By one of 256 norms where most are. */
  NormCqint8: 6,
  /** By one of 16 norms where most are. */
  NormCqint4: 7,
  /** By one of 256 norms that are sums, found by local search. */
  NormLSQ2x4: 8,
  /** By one of 256 norms that are sums, found by beam search. */
  NormRQ2x4: 9,
} as const;

/** One of {@linkcode AdditiveSearchType}. */
export type AdditiveSearchType = (typeof AdditiveSearchType)[keyof typeof AdditiveSearchType];

/** Bits of a norm, and the end of the factory's token, where it is not the metric's usual one. */
const shapes: Readonly<Record<AdditiveSearchType, readonly [bits: number, suffix: string]>> = {
  [AdditiveSearchType.Decompress]: [0, ""],
  [AdditiveSearchType.LUTNonorm]: [0, "_Nnone"],
  [AdditiveSearchType.NormFromLUT]: [0, ""],
  [AdditiveSearchType.NormFloat]: [32, "_Nfloat"],
  [AdditiveSearchType.NormQint8]: [8, "_Nqint8"],
  [AdditiveSearchType.NormQint4]: [4, "_Nqint4"],
  [AdditiveSearchType.NormCqint8]: [8, "_Ncqint8"],
  [AdditiveSearchType.NormCqint4]: [4, "_Ncqint4"],
  [AdditiveSearchType.NormLSQ2x4]: [8, "_Nlsq2x4"],
  [AdditiveSearchType.NormRQ2x4]: [8, "_Nrq2x4"],
};

/** Whether a number is one of {@linkcode AdditiveSearchType}. */
export function isAdditiveSearchType(value: number): value is AdditiveSearchType {
  return value in shapes;
}

/** Bits of a norm in codes. */
export function normBits(type: AdditiveSearchType): number {
  return shapes[type][0];
}

/** Whether L2 is compared by what codes hold, instead of by what they stand for. */
export function isCoded(type: AdditiveSearchType): boolean {
  return type !== AdditiveSearchType.Decompress && type !== AdditiveSearchType.NormFromLUT;
}

/** The end of a factory's token, `_Nqint8` or its like. */
export function normSuffix(type: AdditiveSearchType): string {
  return shapes[type][1];
}

/** The type of a token's end; none ends in others. */
export function searchTypeOf(suffix: string): AdditiveSearchType | undefined {
  const found = Object.entries(shapes).find(([, [, end]]) => end !== "" && end === suffix);
  return found === undefined ? undefined : Number(found[0]) as AdditiveSearchType;
}

/** Bytes of a code. */
export function additiveCodeSize(nbits: Iterable<number>, type: AdditiveSearchType): number {
  let bits = normBits(type);
  for (const each of nbits) bits += each;
  return Math.ceil(bits / 8);
}

/** Rows of codebooks before each of them, and of all of them. */
export function rowOffsets(nbits: ArrayLike<number>): number[] {
  const offsets = [0];
  for (let m = 0; m < nbits.length; m++) offsets.push(offsets[m]! + 2 ** nbits[m]!);
  return offsets;
}
