/**
 * Selectors: which ids take part in a search or a removal.
 *
 * @module
 */

import { type IdInput, toIds } from "./matrix.ts";

/** A set of ids. Subclasses of your own work too: they are asked once for every id. */
export abstract class IDSelector {
  /**
   * Whether an id is in the set.
   *
   * @param id The id.
   */
  abstract isMember(id: bigint): boolean;
}

/** Every id. */
export class IDSelectorAll extends IDSelector {
  /** Always true. */
  override isMember(_id: bigint): boolean {
    return true;
  }
}

/** The ids `min <= id < max`. */
export class IDSelectorRange extends IDSelector {
  /** First id. */
  readonly min: bigint;
  /** One past the last id. */
  readonly max: bigint;

  /**
   * The ids `min <= id < max`.
   *
   * @param min First id.
   * @param max One past the last id.
   * @throws {RangeError} If a bound is not a 64-bit integer.
   */
  constructor(min: number | bigint, max: number | bigint) {
    super();
    this.min = toBound(min, "min");
    this.max = toBound(max, "max");
  }

  /** Whether `min <= id < max`. */
  override isMember(id: bigint): boolean {
    return id >= this.min && id < this.max;
  }
}

function toBound(bound: number | bigint, what: string): bigint {
  if (
    typeof bound === "number" ? Number.isSafeInteger(bound) : BigInt.asIntN(64, bound) === bound
  ) {
    return BigInt(bound);
  }
  throw new RangeError(`Cannot select a range: ${what} ${bound} is no 64-bit integer`);
}

/** The listed ids. */
export class IDSelectorArray extends IDSelector {
  /** The ids. */
  readonly ids: BigInt64Array;
  #set: Set<bigint> | undefined;

  /**
   * The listed ids.
   *
   * @param ids The ids, in any order.
   * @throws {RangeError} If one is negative or not an integer.
   */
  constructor(ids: IdInput) {
    super();
    this.ids = toIds(ids, undefined, "ids");
  }

  /** Whether the id is listed. */
  override isMember(id: bigint): boolean {
    this.#set ??= new Set(this.ids);
    return this.#set.has(id);
  }
}

/** The listed ids: FAISS's name for the hashed list, which every list is here. */
export class IDSelectorBatch extends IDSelectorArray {}

/** The ids whose bit is set. Ids past the end are not members. */
export class IDSelectorBitmap extends IDSelector {
  /** Bit `id % 8` of byte `id >> 3`. */
  readonly bytes: Uint8Array;

  /**
   * The set it describes.
   *
   * @param bytes Bit `id % 8` of byte `id >> 3` is set for the ids that take part.
   */
  constructor(bytes: Uint8Array) {
    super();
    this.bytes = bytes;
  }

  /** Whether the id's bit is set. */
  override isMember(id: bigint): boolean {
    if (id < 0n || id >= BigInt(this.bytes.length) * 8n) return false;
    const at = Number(id);
    return ((this.bytes[Math.floor(at / 8)]! >> (at % 8)) & 1) === 1;
  }
}

/** The ids that are not in another set. */
export class IDSelectorNot extends IDSelector {
  /** The other set. */
  readonly selector: IDSelector;

  /**
   * The set it describes.
   *
   * @param selector The set to leave out.
   */
  constructor(selector: IDSelector) {
    super();
    this.selector = selector;
  }

  /** Whether the other set lacks the id. */
  override isMember(id: bigint): boolean {
    return !this.selector.isMember(id);
  }
}

/** The ids in both sets. */
export class IDSelectorAnd extends IDSelector {
  /** One set. */
  readonly a: IDSelector;
  /** The other. */
  readonly b: IDSelector;

  /**
   * The ids in both sets.
   *
   * @param a One set.
   * @param b The other.
   */
  constructor(a: IDSelector, b: IDSelector) {
    super();
    this.a = a;
    this.b = b;
  }

  /** Whether both sets hold the id. */
  override isMember(id: bigint): boolean {
    return this.a.isMember(id) && this.b.isMember(id);
  }
}

/** The ids in either set. */
export class IDSelectorOr extends IDSelector {
  /** One set. */
  readonly a: IDSelector;
  /** The other. */
  readonly b: IDSelector;

  /**
   * The ids in either set.
   *
   * @param a One set.
   * @param b The other.
   */
  constructor(a: IDSelector, b: IDSelector) {
    super();
    this.a = a;
    this.b = b;
  }

  /** Whether either set holds the id. */
  override isMember(id: bigint): boolean {
    return this.a.isMember(id) || this.b.isMember(id);
  }
}

/** The ids in exactly one of two sets. */
export class IDSelectorXOr extends IDSelector {
  /** One set. */
  readonly a: IDSelector;
  /** The other. */
  readonly b: IDSelector;

  /**
   * The ids in exactly one set.
   *
   * @param a One set.
   * @param b The other.
   */
  constructor(a: IDSelector, b: IDSelector) {
    super();
    this.a = a;
    this.b = b;
  }

  /** Whether exactly one set holds the id. */
  override isMember(id: bigint): boolean {
    return this.a.isMember(id) !== this.b.isMember(id);
  }
}

/** The ids that a function accepts. It is asked once for every id of the index. */
export class IDSelectorPredicate extends IDSelector {
  /** The function. */
  readonly test: (id: bigint) => boolean;

  /**
   * The set it describes.
   *
   * @param test Whether an id takes part.
   */
  constructor(test: (id: bigint) => boolean) {
    super();
    this.test = test;
  }

  /** What the function says. */
  override isMember(id: bigint): boolean {
    return Boolean(this.test(id));
  }
}

/** What a search accepts as a filter: a selector, a list of ids, or a function. */
export type Filter =
  | IDSelector
  | BigInt64Array
  | readonly (number | bigint)[]
  | ((id: bigint) => boolean);

/**
 * A filter as a selector.
 *
 * @param filter A selector, a list of ids, or a function.
 * @throws {TypeError} If it is none of these.
 *
 * @example
 * ```ts
 * import { toSelector } from "@metalfaiss/metalfaiss";
 * import assert from "node:assert/strict";
 *
 * assert.equal(toSelector([2, 3]).isMember(3n), true);
 * assert.equal(toSelector((id) => id > 5n).isMember(3n), false);
 * ```
 */
export function toSelector(filter: Filter): IDSelector {
  if (filter instanceof IDSelector) return filter;
  if (typeof filter === "function") return new IDSelectorPredicate(filter);
  if (filter instanceof BigInt64Array || Array.isArray(filter)) return new IDSelectorArray(filter);
  throw new TypeError("Cannot read filter: it is no selector, list of ids or function");
}

/**
 * The bitmap of the positions whose id is selected.
 *
 * @param selector The selector.
 * @param ids The id at each position, or their number when they are `0 … n − 1`.
 */
export function toBitmap(selector: IDSelector, ids: BigInt64Array | number): IDSelectorBitmap {
  const n = typeof ids === "number" ? ids : ids.length;
  const bytes = new Uint8Array(Math.ceil(n / 8));
  for (let i = 0; i < n; i++) {
    if (selector.isMember(typeof ids === "number" ? BigInt(i) : ids[i]!)) {
      bytes[i >> 3]! |= 1 << (i & 7);
    }
  }
  return new IDSelectorBitmap(bytes);
}

/**
 * The same selector without functions, which native code cannot call: each is asked once
 * for every id.
 *
 * @param selector The selector.
 * @param ids Gives the ids of the index, or their number when they are `0 … n − 1`; called
 * only where there is a function.
 */
export function resolvePredicates(
  selector: IDSelector,
  ids: () => BigInt64Array | number,
): IDSelector {
  if (selector instanceof IDSelectorNot) {
    const inner = resolvePredicates(selector.selector, ids);
    return inner === selector.selector ? selector : new IDSelectorNot(inner);
  }
  for (const Pair of [IDSelectorAnd, IDSelectorOr, IDSelectorXOr]) {
    if (!(selector instanceof Pair)) continue;
    const a = resolvePredicates(selector.a, ids);
    const b = resolvePredicates(selector.b, ids);
    return a === selector.a && b === selector.b ? selector : new Pair(a, b);
  }
  if (nativeForms.has(selector.constructor)) return selector;
  const all = ids();
  return typeof all === "number"
    ? toBitmap(selector, all)
    : new IDSelectorBatch(all.filter((id) => selector.isMember(id)));
}

// By exact class: a subclass may answer differently.
const nativeForms = new Set<unknown>([
  IDSelectorAll,
  IDSelectorRange,
  IDSelectorArray,
  IDSelectorBatch,
  IDSelectorBitmap,
]);
