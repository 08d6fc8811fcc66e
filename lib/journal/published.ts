/**
 * What was published, from `data/published.csv`.
 *
 * @module
 */

/** A published figure. */
export interface Published {
  /** Id of the experiment. */
  experiment_id: string;
  source: string;
  date: string;
  experiment: string;
  shape: string;
  variant: string;
  metric: string;
  value: number;
  unit: string;
  /** Whether the figure can be right. */
  status: "valid" | "disputed" | "invalid" | "claim" | "target";
  /** Why not. */
  note: string;
}

/**
 * Reads the published figures. The package that parses them is loaded by the first call.
 *
 * @param ids Experiments; by default all.
 * @param path The table; by default that of the checkout.
 */
export async function readPublished(
  ids?: readonly string[],
  path: string | URL = new URL("../../data/published.csv", import.meta.url),
): Promise<Published[]> {
  const { parse } = await import("npm:csv-parse@7.0.3/sync");
  const rows: Record<string, string>[] = parse(await Deno.readTextFile(path), { columns: true });
  return rows.filter((row) => ids?.includes(row.experiment_id!) ?? true)
    .map((row) => ({ ...row, value: Number(row.value) }) as unknown as Published);
}
