import type { Pipeline } from "../../../kernel/library.ts";
import { checkTile, type Tile } from "../../../linalg/settings.ts";
import type { Element } from "../../linalg.ts";
import type { GpuContext } from "../context.ts";
import { shortName } from "./operands.ts";

/** A kernel of `gemm_tile.metal`: every field changes its text. */
export interface TileKernel {
  /** Rows × columns of a threadgroup's part: a thread a number. */
  tile: Tile;
  /** Two slabs an operand: one is filled while the other is used. */
  doubleBuffer?: boolean | undefined;
  /** Loads of four numbers; sides of the tile have to be multiples of four. */
  vectorLoads?: boolean | undefined;
  /** Of gemmAtB: lines of its slabs are longer, against bank conflicts. */
  pad?: boolean | undefined;
  /** False: no bounds checks; sizes have to be multiples of the tile. */
  guards?: boolean | undefined;
}

/** Rows of A and B in a slab of gemmAtB, as gemm_tile.h has it. */
const ATB_DEPTH = 16;
/** Bytes of threadgroup memory that every Apple GPU has. */
const MOST_MEMORY = 32 * 1024;

/**
 * A tiled kernel of A·V (m × n · n × k) or Aᵀ·B, compiled the first time.
 *
 * @throws {RangeError} If the tile has too many threads or too much memory, or does not go with
 * what is asked of it.
 */
export function tilePipeline(
  context: GpuContext,
  side: "av" | "atb",
  dtype: Element,
  kernel: TileKernel,
  shape: { m: number; n: number; k: number },
): { name: string; pipeline: Pipeline } {
  const { tile, doubleBuffer = false, vectorLoads = false, pad = false, guards = true } = kernel;
  check(side, kernel, shape);
  const [rows, columns] = tile;
  const sides = side === "av" ? `_tm${rows}_tn${columns}` : `_tn${rows}_tk${columns}`;
  const flags = (doubleBuffer ? "_db" : "") + (vectorLoads ? "_v4" : "") +
    (pad && side === "atb" ? "_pad" : "") + (guards ? "" : "_unguarded");
  const type = { float32: "float", float16: "half", bfloat16: "bfloat" }[dtype];
  const name = `gemm_${side === "av" ? "av" : "at_b"}_${shortName(dtype)}${sides}${flags}`;
  const macros = {
    GEMM_TYPE: type,
    GEMM_NAME: `"${shortName(dtype)}"`,
    GEMM_AV_TM: side === "av" ? rows : 16,
    GEMM_AV_TN: side === "av" ? columns : 16,
    GEMM_ATB_TN: side === "atb" ? rows : 16,
    GEMM_ATB_TK: side === "atb" ? columns : 16,
    GEMM_DB: doubleBuffer,
    GEMM_V4: vectorLoads,
    GEMM_PAD: pad,
    GEMM_GUARDS: guards,
  };
  return { name, pipeline: context.kernel("gemm_tile.metal", name, { macros }) };
}

function check(
  side: "av" | "atb",
  { tile, doubleBuffer, vectorLoads, pad, guards = true }: TileKernel,
  { m, n, k }: { m: number; n: number; k: number },
): void {
  checkTile(tile);
  const [rows, columns] = tile;
  const refuse = (reason: string) => {
    throw new RangeError(`Cannot use a tile of ${rows} × ${columns}: ${reason}`);
  };
  const isAv = side === "av";
  if (vectorLoads && (columns % 4 !== 0 || (!isAv && rows % 4 !== 0))) {
    refuse("loads of four numbers need sides that are multiples of 4");
  }
  const padding = pad ? (vectorLoads ? 8 : 2) : 0;
  const floats = isAv ? rows * columns + columns * columns : ATB_DEPTH * (rows + columns + padding);
  const bytes = floats * 4 * (doubleBuffer ? 2 : 1);
  if (bytes > MOST_MEMORY) {
    refuse(`its slabs take ${bytes} bytes of threadgroup memory, there are ${MOST_MEMORY}`);
  }
  const multiples = isAv
    ? [[m, rows], [k, columns], [n, columns]] as const
    : [[n, rows], [k, columns], [m, ATB_DEPTH]] as const;
  if (!guards && multiples.some(([size, of]) => size % of !== 0)) {
    const sizes = multiples.map(([size, of]) => `${size} of ${of}`).join(", ");
    refuse(`without guards sizes are multiples: ${sizes}`);
  }
}
