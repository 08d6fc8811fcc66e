/**
 * Axes with known ends: what is drawn can be placed before Vega draws it.
 *
 * @module
 */

/** How an axis is made. */
export interface AxisOptions {
  /** What it shows, with its unit. */
  title: string;
  /** Whether it is logarithmic. */
  log?: boolean | undefined;
  /** Whether 0 is on it, where it is linear. */
  zero?: boolean | undefined;
  /** Part of the axis that stays free at each end, except at 0; 0.04 by default. */
  room?: number | undefined;
}

/** Decades up to which 2 and 5 are ticks as well. */
const FEW_DECADES = 2.6;
const MOST_TICKS = 8;

/** An axis. */
export class Axis {
  /** Its ends. */
  readonly domain: readonly [low: number, high: number];
  /** Where its numbers stand. */
  readonly ticks: readonly number[];
  /** What it shows. */
  readonly title: string;
  /** Whether it is logarithmic. */
  readonly log: boolean;

  /**
   * An axis that has room for some values.
   *
   * @param values What is drawn: finite, and positive on logarithmic axes.
   * @param options Its title and kind.
   */
  constructor(values: readonly number[], options: AxisOptions) {
    const { room = 0.04 } = options;
    this.log = options.log ?? false;
    this.title = this.log ? `${options.title} (log scale)` : options.title;
    const [low, high] = ends(options.zero && !this.log ? [0, ...values] : values);
    if (this.log) {
      const by = Math.max(1.15, Math.exp(room * (Math.log(high) - Math.log(low))));
      this.domain = [
        Math.max(Number.MIN_VALUE, low / by),
        Math.min(Number.MAX_VALUE, high * by),
      ];
      this.ticks = logTicks(...this.domain);
    } else {
      const span = high > low ? high - low : Math.abs(low) || 1;
      const by = span * (high > low ? room : 0.5);
      const isFree = (end: number) => !options.zero || end !== 0;
      this.domain = [isFree(low) ? low - by : low, isFree(high) ? high + by : high];
      this.ticks = multiples(...this.domain, niceStep(span / 7));
    }
  }

  /** How far along the axis a value is, from 0 to 1. */
  part(value: number): number {
    const [low, high, at] = [...this.domain, value].map((v) => this.log ? Math.log(v) : v);
    return (at! - low!) / (high! - low!);
  }

  /** The encoding of a field on this axis. */
  channel(field: string): object {
    return {
      field,
      type: "quantitative",
      title: this.title,
      scale: {
        domain: this.domain,
        nice: false,
        ...(this.log ? { type: "log" } : { type: "linear", zero: false }),
      },
      axis: {
        values: this.ticks,
        // Prefixes from kilo to giga are read at a glance; others, as femto, are not.
        labelExpr: "format(datum.value, abs(datum.value) >= 1e12 || " +
          "abs(datum.value) < 1e-4 && datum.value != 0 ? '~e' : " +
          "abs(datum.value) >= 1e4 ? '~s' : '~g')",
      },
    };
  }
}

/** Least and largest, also of more values than a call takes arguments. */
export function ends(values: readonly number[]): [low: number, high: number] {
  return values.reduce<[number, number]>(
    ([low, high], value) => [Math.min(low, value), Math.max(high, value)],
    [Infinity, -Infinity],
  );
}

/** 1, 2 or 5 times a power of ten, not below a number. */
function niceStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  return power * ([1, 2, 5].find((digit) => digit * power >= least * (1 - 1e-9)) ?? 10);
}

/** Multiples of a step in a range. */
function multiples(low: number, high: number, step: number): number[] {
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => {
    return Number(((first + i) * step).toPrecision(12));
  });
}

function logTicks(low: number, high: number): number[] {
  const decades = Math.log10(high) - Math.log10(low);
  const every = Math.max(1, Math.ceil(decades / MOST_TICKS));
  for (const digits of decades > FEW_DECADES ? [[1], [1, 2, 5]] : [[1, 2, 5]]) {
    const ticks: number[] = [];
    for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power++) {
      if (power % every === 0) ticks.push(...digits.map((digit) => Number(`${digit}e${power}`)));
    }
    const inside = ticks.filter((tick) => tick >= low && tick <= high);
    // Some ranges of two decades have no third power of ten.
    if (inside.length >= 3) return inside;
  }
  return multiples(low, high, niceStep((high - low) / 5));
}
