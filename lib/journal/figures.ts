/**
 * Published figures beside what was measured here.
 *
 * @module
 */

import type { Experiment, JournalContext, JournalRow } from "./experiment.ts";
import { type Published, readPublished } from "./published.ts";

/** A published figure, and what came out here. */
export interface Figure extends Published {
  /** What was measured here, in the figure's unit; null where nothing measured corresponds. */
  reproduced: number | null;
}

/** The time from call to result of a row, in a figure's unit; null without a row that counts. */
export function timeIn({ unit }: Published, row: JournalRow | undefined): number | null {
  if (!row?.valid || row.time === null) return null;
  return unit === "s" ? row.time.median / 1e3 : row.time.median;
}

/** Reproduces times at the published shape, by the names of variants there and here. */
export function reproduceBy(
  names: Readonly<Record<string, string>>,
): NonNullable<Experiment["reproduce"]> {
  return (figure, rows) => {
    // Published shapes may say more, e.g. the type.
    const isSame = (shape: string) => `${figure.shape} `.startsWith(`${shape} `);
    const variant = names[figure.variant];
    return timeIn(figure, rows.find((row) => row.variant === variant && isSame(row.shape)));
  };
}

/**
 * The published figures of an experiment. Nothing reproduces them at small shapes or on the emulator.
 *
 * @param experiment What was run.
 * @param rows What was measured.
 * @param context Where and how.
 */
export async function figuresOf(
  { published, reproduce = () => null }: Experiment,
  rows: readonly JournalRow[],
  { quick, backend }: Pick<JournalContext, "quick" | "backend">,
): Promise<Figure[]> {
  if (published.length === 0) return [];
  const isComparable = !quick && backend.engine !== "emulator";
  return (await readPublished(published)).map((figure) => {
    return { ...figure, reproduced: isComparable ? reproduce(figure, rows) : null };
  });
}
