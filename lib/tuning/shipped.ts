// Written by `deno task tune`. An older Deno imports no text, and could not say that it is too old.
import table0 from "../../data/tuning/cpu-avx512_bf16.json" with { type: "json" };
import table1 from "../../data/tuning/nvidia-h200.json" with { type: "json" };

/** Each shipped table as JSON, by key of the device. */
export const shipped: Readonly<Record<string, unknown>> = {
  "cpu-avx512_bf16": table0,
  "nvidia-h200": table1,
};
