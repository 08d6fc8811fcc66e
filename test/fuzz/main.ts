/**
 * `deno task fuzz --seconds 600 --seed 1 --cases 100`: files of every kind of index, changed in ways
 * that readers have to refuse or to survive.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { fuzz } from "./fuzz.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "20" },
    seed: { type: "string" },
    cases: { type: "string" },
  },
});
const seed = values.seed === undefined ? Date.now() % 2 ** 32 * 1000 : Number(values.seed);
console.log(`Cases from ${seed} on`);
const { cases, kinds, counts } = await fuzz({
  seconds: Number(values.seconds),
  seed,
  ...values.cases === undefined ? {} : { cases: Number(values.cases) },
  verbose: true,
});
const parts = Object.entries(counts).map(([outcome, count]) => `${count} ${outcome}`);
console.log(`${cases} cases of ${kinds} kinds: ${parts.join(", ")}`);
