/** Indexes inside one another: more than anyone needs, and far less than a stack holds. */
export const MOST_NESTED = 32;

const depths = new WeakMap<object, number>();

/**
 * Notes that an index lies around others.
 *
 * @throws {RangeError} If more than {@linkcode MOST_NESTED} would lie inside one another.
 */
export function checkNesting(outer: object, ...inner: object[]): void {
  const depth = 1 + Math.max(...inner.map((index) => depths.get(index) ?? 1));
  if (depth > MOST_NESTED) {
    throw new RangeError(
      `Cannot wrap an index: more than ${MOST_NESTED} would lie inside one another`,
    );
  }
  depths.set(outer, Math.max(depth, depths.get(outer) ?? 1));
}
