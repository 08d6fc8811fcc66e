/**
 * How scalar quantizers keep numbers, and how they find the range of them.
 *
 * @module
 */

/** How a scalar quantizer keeps a number; values are those of FAISS. */
export const QuantizerType = {
  /** 8 bits, in the range of its dimension. */
  QT8bit: 0,
  /** 4 bits, in the range of its dimension. */
  QT4bit: 1,
  /** 8 bits, in a range for all dimensions. */
  QT8bitUniform: 2,
  /** 4 bits, in a range for all dimensions. */
  QT4bitUniform: 3,
  /** Half precision. */
  QTfp16: 4,
  /** Integers from 0 to 255 as they are. */
  QT8bitDirect: 5,
  /** 6 bits, in the range of its dimension. */
  QT6bit: 6,
  /** The upper half of a float. */
  QTbf16: 7,
  /** Integers from −128 to 127 as they are. */
  QT8bitDirectSigned: 8,
} as const;

/** One of {@linkcode QuantizerType}. */
export type QuantizerType = (typeof QuantizerType)[keyof typeof QuantizerType];

/** How a scalar quantizer finds the range of what it keeps; values are those of FAISS. */
export const RangeStat = {
  /** From the least to the greatest, widened by `rangeStatArg` of that at both ends. */
  MinMax: 0,
  /** `rangeStatArg` standard deviations to each side of the mean. */
  MeanStd: 1,
  /** Between the quantiles `rangeStatArg` and 1 − `rangeStatArg`. */
  Quantiles: 2,
  /** The range with the least squared error. */
  Optim: 3,
} as const;

/** One of {@linkcode RangeStat}. */
export type RangeStat = (typeof RangeStat)[keyof typeof RangeStat];

interface Shape {
  /** Bits a number. */
  bits: 4 | 6 | 8 | 16;
  /** Where ranges come from: one a dimension, one for all, or none is needed. */
  range: "each" | "all" | "none";
  /** Token of the factory, where there is one. */
  token: string | undefined;
}

/** What is known of each {@linkcode QuantizerType}. */
export const quantizerShapes: Readonly<Record<QuantizerType, Shape>> = {
  [QuantizerType.QT8bit]: { bits: 8, range: "each", token: "SQ8" },
  [QuantizerType.QT4bit]: { bits: 4, range: "each", token: "SQ4" },
  [QuantizerType.QT8bitUniform]: { bits: 8, range: "all", token: undefined },
  [QuantizerType.QT4bitUniform]: { bits: 4, range: "all", token: undefined },
  [QuantizerType.QTfp16]: { bits: 16, range: "none", token: "SQfp16" },
  [QuantizerType.QT8bitDirect]: { bits: 8, range: "none", token: "SQ8_direct" },
  [QuantizerType.QT6bit]: { bits: 6, range: "each", token: "SQ6" },
  [QuantizerType.QTbf16]: { bits: 16, range: "none", token: "SQbf16" },
  [QuantizerType.QT8bitDirectSigned]: { bits: 8, range: "none", token: "SQ8_direct_signed" },
};

/** Whether a number is a {@linkcode QuantizerType}. */
export function isQuantizerType(qtype: number): qtype is QuantizerType {
  return Object.hasOwn(quantizerShapes, qtype);
}

/** Numbers that training finds: {@linkcode ScalarSpec.trained} has so many. */
export function trainedLength(qtype: QuantizerType, d: number): number {
  const { range } = quantizerShapes[qtype];
  return range === "each" ? 2 * d : range === "all" ? 2 : 0;
}

/** Bytes of a code of `d` numbers. */
export function scalarCodeSize(qtype: QuantizerType, d: number): number {
  return Math.ceil(d * quantizerShapes[qtype].bits / 8);
}
