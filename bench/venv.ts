/**
 * `deno task venv [PURPOSE …]`: makes `.venv` with the Python packages of each purpose, by default
 * of `comparisons` and `notebooks`.
 *
 * @module
 */

import { fileURLToPath } from "node:url";

/** What packages are for. */
export type Purpose = "comparisons" | "notebooks" | "lab" | "images";

/** Packages that must be there, and those that need a C++ compiler where they have no wheel. */
interface Packages {
  needed: string[];
  wanted?: string[];
  /** What is missing without them. */
  without: string;
}

const PACKAGES: Record<Purpose, Packages> = {
  comparisons: {
    needed: ["numpy", "faiss-cpu", "usearch"],
    wanted: ["hnswlib"],
    without: "comparisons with Python packages are left out",
  },
  notebooks: { needed: ["nbclient>=0.8,<1"], without: "notebooks cannot be run" },
  lab: { needed: ["jupyterlab>=4,<5"], without: "there is no JupyterLab" },
  // OpenCV needs NumPy alone, which is there; of the others only their photographs are wanted.
  images: {
    needed: ["--no-deps", "opencv-python-headless", "scikit-image", "scikit-learn"],
    without: "there are no SIFT descriptors to measure with",
  },
};

/** The virtual environment. */
export const venv: string = fileURLToPath(new URL("../.venv", import.meta.url));

/** Its Python. */
export const venvPython: string = `${venv}/bin/python`;

async function run(
  command: string,
  args: string[],
  output: "inherit" | "null" = "inherit",
): Promise<boolean> {
  try {
    const options = { args, stdin: "null", stdout: "piped", stderr: output } as const;
    const child = new Deno.Command(command, options).spawn();
    for await (const chunk of child.stdout) if (output !== "null") await Deno.stderr.write(chunk);
    return (await child.status).success;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    if (output !== "null") console.error(`Cannot run ${command}: not found`);
    return false;
  }
}

const pip = (args: string[], output?: "null") =>
  run(venvPython, ["-m", "pip", "--disable-pip-version-check", ...args], output);

/** All packages of a purpose, and the file that says they were installed. */
function stampOf(purpose: Purpose): [path: string, content: string] {
  const { needed, wanted = [] } = PACKAGES[purpose];
  return [`${venv}/metalfaiss-${purpose}`, [...needed, ...wanted].join(" ")];
}

async function isMade(purpose: Purpose): Promise<boolean> {
  const [path, content] = stampOf(purpose);
  try {
    return await Deno.readTextFile(path) === content;
  } catch {
    return false;
  }
}

async function install(purpose: Purpose): Promise<boolean> {
  const { needed, wanted = [] } = PACKAGES[purpose];
  const [path, content] = stampOf(purpose);
  console.error(`Installing ${content} in .venv`);
  // Where Python lacks ensurepip, there is a Python but no pip.
  if (!await pip(["--version"], "null") && !await run("python3", ["-m", "venv", venv])) {
    return false;
  }
  if (!await pip(["install", "--quiet", ...needed])) return false;
  if (wanted.length > 0 && !await pip(["install", "--quiet", ...wanted], "null")) {
    console.error(`Going on without ${wanted.join(", ")}: it could not be built`);
  }
  await Deno.writeTextFile(path, content);
  return true;
}

/**
 * Makes the virtual environment, unless it is there. What is missing is told on stderr.
 *
 * @param purposes What it is needed for.
 * @returns Those that it can be used for.
 */
export async function makeVenv(purposes: readonly Purpose[]): Promise<Set<Purpose>> {
  const made = new Set<Purpose>();
  for (const purpose of purposes) {
    if (await isMade(purpose) || await install(purpose)) made.add(purpose);
    else console.error(`Cannot make .venv: ${PACKAGES[purpose].without}`);
  }
  return made;
}

if (import.meta.main) {
  const known = Object.keys(PACKAGES) as Purpose[];
  const purposes = Deno.args.length > 0 ? Deno.args : ["comparisons", "notebooks"];
  const unknown = purposes.find((purpose) => !known.includes(purpose as Purpose));
  if (unknown !== undefined) {
    console.error(`Cannot make .venv for "${unknown}": the purposes are ${known.join(", ")}`);
    Deno.exit(2);
  }
  const made = await makeVenv(purposes as Purpose[]);
  if (made.size < purposes.length && Deno.env.get("CI")) Deno.exit(1);
}
