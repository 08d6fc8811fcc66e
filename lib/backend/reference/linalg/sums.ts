/**
 * Sums in float32, compensated and exact: float32 arithmetic is double's, rounded after each step.
 *
 * @module
 */

import type { Computed, Summation, SumParts } from "../../linalg.ts";
import { run, type Steps } from "../steps.ts";
import { PRODUCT_UNIT, Special, specialSum, SUM_UNIT, sumParts } from "./limbs.ts";
import { computed } from "./operands.ts";
import { checkSameLength, checkSummation } from "./sequence_checks.ts";

const round = Math.fround;

/** Terms between two looks at the event loop. */
const TURN = 65536;
/** Terms of a plain sum that are added one after the other; such sums are added pairwise. */
const RUN = 128;

/** A term, exactly: hi + lo, hi in float32. */
type Term = (i: number) => readonly [hi: number, lo: number];

/** Adds numbers in one way. */
interface Adder {
  add(hi: number, lo: number): void;
  value(): number;
}

class PlainSum implements Adder {
  #run = 0;
  #count = 0;
  readonly #sums: { value: number; runs: number }[] = [];

  add(hi: number): void {
    this.#run = round(this.#run + hi);
    if (++this.#count === RUN) this.#push();
  }

  #push(): void {
    let [value, runs] = [this.#run, 1];
    while (this.#sums.at(-1)?.runs === runs) {
      value = round(this.#sums.pop()!.value + value);
      runs *= 2;
    }
    this.#sums.push({ value, runs });
    this.#run = this.#count = 0;
  }

  value(): number {
    return this.#sums.reduceRight((sum, { value }) => round(value + sum), this.#run);
  }
}

class KahanSum implements Adder {
  #sum = 0;
  #rest = 0;

  add(hi: number, lo: number): void {
    const y = round(hi + round(this.#rest + lo));
    const next = round(this.#sum + y);
    this.#rest = round(y - round(next - this.#sum));
    this.#sum = next;
  }

  value(): number {
    return round(this.#sum + this.#rest);
  }
}

class TwoFloatSum implements Adder {
  #hi = 0;
  #lo = 0;

  add(hi: number, lo: number): void {
    const next = round(this.#hi + hi);
    const part = round(next - this.#hi);
    const lost = round(round(this.#hi - round(next - part)) + round(hi - part));
    const low = round(this.#lo + round(lost + lo));
    this.#hi = round(next + low);
    this.#lo = round(low - round(this.#hi - next));
  }

  value(): number {
    return this.#hi + this.#lo;
  }
}

/** The exact sum, as an integer of units. */
class LimbSum {
  #total = 0n;
  specials = 0;
  readonly #unit: number;

  constructor(unit: number) {
    this.#unit = unit;
  }

  /** Adds a number that is a multiple of the unit. */
  add(term: number): void {
    if (Number.isFinite(term)) {
      // A product of two floats is exact in a double, and so is a multiple of it by a power of two.
      this.#total += BigInt(term * 2 ** -this.#unit);
    } else {
      this.specials |= Number.isNaN(term)
        ? Special.NAN
        : term > 0
        ? Special.POSITIVE
        : Special.NEGATIVE;
    }
  }

  value(): number {
    if (this.specials !== 0) return specialSum(this.specials);
    return Number(this.#total) * 2 ** this.#unit;
  }
}

/** A term's own, a run's and one a level of pairs; the others add one after the other. */
function roundings(n: number, summation: Summation): number {
  if (summation !== "plain") return n + 1;
  return 1 + Math.min(n, RUN) + Math.ceil(Math.log2(Math.max(1, n / RUN)));
}

function* addUp(n: number, term: Term, summation: Summation, unit: number): Steps<SumParts> {
  let magnitude = 0;
  const plain = new PlainSum();
  const exact = new LimbSum(unit);
  const adder = summation === "kahan"
    ? new KahanSum()
    : summation === "two-float"
    ? new TwoFloatSum()
    : plain;
  for (let i = 0; i < n; i++) {
    const [hi, lo] = term(i);
    magnitude += Math.abs(hi);
    if (summation === "limbs") exact.add(hi + lo);
    else adder.add(hi, lo);
    if (adder !== plain) plain.add(hi);
    if (i % TURN === TURN - 1) yield;
  }
  if (summation === "limbs") return sumParts(exact.value(), magnitude, summation, 1);
  // Compensation makes NaN of infinities.
  const value = Number.isFinite(adder.value()) ? adder.value() : plain.value();
  return sumParts(value, magnitude, summation, roundings(n, summation));
}

function variant(op: string, summation: Summation): string {
  return `${op}_${summation.replace("-", "_")}_f32`;
}

/** `LinearAlgebra.sum`. */
export async function sum(x: Float32Array, summation: Summation): Promise<Computed<SumParts>> {
  checkSummation(summation);
  const parts = await run(addUp(x.length, (i) => [x[i]!, 0], summation, SUM_UNIT));
  return computed(parts, variant("sum", summation));
}

/** `LinearAlgebra.dot`. */
export async function dot(
  x: Float32Array,
  y: Float32Array,
  summation: Summation,
): Promise<Computed<SumParts>> {
  checkSummation(summation);
  checkSameLength(x, y);
  const term: Term = summation === "limbs"
    ? (i) => [x[i]! * y[i]!, 0]
    : (i) => splitProduct(x[i]!, y[i]!);
  const parts = await run(addUp(x.length, term, summation, PRODUCT_UNIT));
  return computed(parts, variant("dot", summation));
}

/** A product of floats is exact in a double. */
function splitProduct(a: number, b: number): readonly [hi: number, lo: number] {
  const hi = round(a * b);
  return [hi, round(a * b - hi)];
}

/** `LinearAlgebra.norm2`. */
export async function norm2(x: Float32Array, summation: Summation): Promise<Computed<SumParts>> {
  if (summation === "limbs") {
    const { value: { value } } = await dot(x, x, summation);
    return computed(sumParts(value, value, summation, 1), variant("norm2", summation));
  }
  checkSummation(summation);
  const largest = x.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  if (!Number.isFinite(largest)) {
    return computed(sumParts(largest, largest, summation, 1), variant("norm2", summation));
  }
  // A power of two brings the largest to [1, 2), or as near as floats have powers.
  const exponent = largest === 0 ? 0 : Math.max(-126, Math.floor(Math.log2(largest)));
  const down = 2 ** -exponent;
  const term: Term = (i) => splitProduct(x[i]! * down, x[i]! * down);
  const { value, roundings } = await run(addUp(x.length, term, summation, PRODUCT_UNIT));
  const up = 2 ** (2 * exponent);
  return computed(
    sumParts(value * up, value * up, summation, roundings),
    variant("norm2", summation),
  );
}
