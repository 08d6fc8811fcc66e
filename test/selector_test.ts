import assert from "node:assert/strict";
import {
  type Filter,
  type IDSelector,
  IDSelectorAll,
  IDSelectorAnd,
  IDSelectorArray,
  IDSelectorBatch,
  IDSelectorBitmap,
  IDSelectorNot,
  IDSelectorOr,
  IDSelectorPredicate,
  IDSelectorRange,
  IDSelectorXOr,
  resolvePredicates,
  toSelector,
} from "../lib/selector.ts";

const ids = Array.from({ length: 20 }, (_, i) => BigInt(i));
const members = (selector: IDSelector) => ids.filter((id) => selector.isMember(id)).map(Number);

class Odd extends IDSelectorRange {
  constructor() {
    super(0, 10);
  }
  override isMember(id: bigint): boolean {
    return id % 2n === 1n;
  }
}

Deno.test("every selector holds the ids it says", () => {
  const low = new IDSelectorRange(2, 5);
  const some = new IDSelectorArray([3, 4, 11]);
  assert.equal(members(new IDSelectorAll()).length, 20);
  assert.deepEqual(members(low), [2, 3, 4]);
  assert.deepEqual(members(new IDSelectorRange(5, 2)), []);
  assert.deepEqual(members(some), [3, 4, 11]);
  assert.deepEqual(members(new IDSelectorBatch([4, 4, 3])), [3, 4]);
  assert.deepEqual(members(new IDSelectorBitmap(Uint8Array.of(0b101, 0b10))), [0, 2, 9]);
  assert.deepEqual(members(new IDSelectorNot(new IDSelectorRange(1, 100))), [0]);
  assert.deepEqual(members(new IDSelectorAnd(low, some)), [3, 4]);
  assert.deepEqual(members(new IDSelectorOr(low, some)), [2, 3, 4, 11]);
  assert.deepEqual(members(new IDSelectorXOr(low, some)), [2, 11]);
  assert.deepEqual(members(new IDSelectorPredicate((id) => id > 17n)), [18, 19]);
});

Deno.test("IDSelectorBitmap holds no id past its end or below 0, however large", () => {
  const selector = new IDSelectorBitmap(Uint8Array.of(255));
  assert.equal(selector.isMember(7n), true);
  for (const id of [8n, -1n, 2n ** 62n]) assert.equal(selector.isMember(id), false);
});

Deno.test("IDSelectorRange reaches to both ends of 64 bits", () => {
  const all = new IDSelectorRange(-(2n ** 63n), 2n ** 63n - 1n);
  assert.equal(all.isMember(2n ** 62n), true);
  assert.throws(() => new IDSelectorRange(0, 2n ** 63n), RangeError);
  assert.throws(() => new IDSelectorRange(0.5, 2), { name: "RangeError", message: /min/ });
});

Deno.test("toSelector() reads lists and functions, and refuses anything else", () => {
  assert.deepEqual(members(toSelector([1, 2n])), [1, 2]);
  assert.deepEqual(members(toSelector(BigInt64Array.of(3n))), [3]);
  assert.deepEqual(members(toSelector((id) => id < 2n)), [0, 1]);
  const selector = new IDSelectorAll();
  assert.equal(toSelector(selector), selector);
  assert.throws(() => toSelector("x" as unknown as Filter), TypeError);
  assert.throws(() => toSelector([-1]), RangeError);
});

Deno.test("resolvePredicates() keeps the members and leaves no function", () => {
  const even = new IDSelectorPredicate((id) => id % 2n === 0n);
  const low = new IDSelectorRange(0, 7);
  const cases = [
    even,
    new IDSelectorNot(even),
    new IDSelectorAnd(even, low),
    new IDSelectorOr(low, new IDSelectorNot(even)),
    new IDSelectorXOr(new IDSelectorXOr(even, low), low),
    new Odd(),
  ];
  const native = (selector: IDSelector): boolean => {
    if (selector instanceof IDSelectorPredicate || selector instanceof Odd) return false;
    const { a, b, selector: inner } = selector as Partial<IDSelectorAnd & IDSelectorNot>;
    return [a, b, inner].every((part) => part === undefined || native(part));
  };
  for (const selector of cases) {
    for (const known of [20, BigInt64Array.from(ids)]) {
      const resolved = resolvePredicates(selector, () => known);
      assert.deepEqual(members(resolved), members(selector));
      assert.ok(native(resolved));
    }
  }
});

Deno.test("resolvePredicates() returns a selector without functions as it is, asking for no ids", () => {
  const selector = new IDSelectorAnd(
    new IDSelectorNot(new IDSelectorAll()),
    new IDSelectorBatch([1]),
  );
  const same = resolvePredicates(selector, () => {
    throw new Error("asked");
  });
  assert.equal(same, selector);
});
