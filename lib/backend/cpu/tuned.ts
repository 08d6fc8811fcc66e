import type { TunedDevice } from "../../tuning/mod.ts";
import { runInfo } from "./native.ts";

/** What the CPU's tuning table goes by: the kernels in use. */
export function cpuDevice(): TunedDevice {
  const { isa } = runInfo({ variants: 0, threads: 1, scanned: 0, recomputed: 0 });
  return { engine: "native", name: isa };
}
