// Written by `deno task tune`. Text, not JSON: whoever reads a damaged table says which it is.
import table0 from "../../data/tuning/cpu-avx512_bf16.json" with { type: "text" };
import table1 from "../../data/tuning/nvidia-h200.json" with { type: "text" };

/** Text of each shipped table, by key of the device. */
export const shipped: Readonly<Record<string, string>> = {
  "cpu-avx512_bf16": table0,
  "nvidia-h200": table1,
};
