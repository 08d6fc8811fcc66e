/**
 * Small indexes with every kind of transform, and around others, for the tests of files.
 *
 * @module
 */

import type { Backend } from "../lib/backend/backend.ts";
import { IndexFlatL2 } from "../lib/index/flat.ts";
import { IndexIDMap2 } from "../lib/index/id_map.ts";
import type { Index } from "../lib/index/index.ts";
import { IndexPreTransform } from "../lib/index/pre_transform.ts";
import { IndexRefine, IndexRefineFlat } from "../lib/index/refine.ts";
import {
  CenteringTransform,
  NormalizationTransform,
  RemapDimensionsTransform,
} from "../lib/transform/elementwise.ts";
import { HadamardRotation } from "../lib/transform/hadamard.ts";
import { ITQMatrix, ITQTransform } from "../lib/transform/itq.ts";
import { LinearTransform } from "../lib/transform/linear.ts";
import { PCAMatrix } from "../lib/transform/pca_matrix.ts";
import { RandomRotationMatrix } from "../lib/transform/random_rotation.ts";
import type { VectorTransform } from "../lib/transform/transform.ts";
import { ivf, numbers } from "./indexes.ts";

/** One index of each kind of transform, and of each that lies around others. */
export async function compositeKinds(backend: Backend): Promise<Map<string, Index>> {
  const d = 3;
  const x = numbers(12 * d);
  const flat = (d: number) => new IndexFlatL2(d, { backend });
  const chains: [string, VectorTransform[]][] = [
    ["PCA", [new PCAMatrix(d, 2, { eigenPower: -0.5, epsilon: 0.25 })]],
    ["ITQ", [new ITQTransform(d, 2), new ITQMatrix(2)]],
    ["lengths", [new CenteringTransform(d), new NormalizationTransform(d)]],
    ["rotations", [new RandomRotationMatrix(d, 2), new HadamardRotation(2, 7)]],
    [
      "remapped",
      [
        RemapDimensionsTransform.pad(d, 4),
        LinearTransform.of(numbers(8), 4, numbers(2)),
      ],
    ],
  ];
  const kinds = new Map<string, Index>();
  for (const [name, chain] of chains) {
    kinds.set(name, new IndexPreTransform(chain, flat(chain.at(-1)!.dOut)));
  }
  const refined = new IndexRefineFlat(await ivf(backend, x, d, 4));
  refined.kFactor = 2.5;
  kinds.set("refined", refined);
  kinds.set("refined by codes", new IndexRefine(flat(d), new IndexPreTransform([], flat(d))));
  for (const index of kinds.values()) {
    await index.train(x);
    await index.add(x);
  }
  kinds.set("untrained chain", new IndexPreTransform([new PCAMatrix(d, 2)], flat(2)));
  for (const index of kinds.values()) {
    if (index instanceof IndexPreTransform) index.ownFields = true;
    if (index instanceof IndexRefine) index.ownFields = index.ownRefineIndex = true;
  }
  const inner = new IndexPreTransform(
    new HadamardRotation(d),
    await ivf(backend, numbers(16), 4, 4),
  );
  inner.ownFields = true;
  const map = new IndexIDMap2(inner);
  map.ownFields = true;
  await map.addWithIds(x, Array.from({ length: 12 }, (_, i) => 100 - 7 * i));
  return kinds.set("map2 of chain", map);
}
