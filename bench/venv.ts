/**
 * Makes `.venv` with the Python packages that the interop tests and `bench --peers` use.
 *
 * @module
 */

const venv = `${import.meta.dirname}/../.venv`;

/** Packages that must be there, and those that need a C++ compiler where they have no wheel. */
const needed = ["numpy", "faiss-cpu", "usearch"];
const wanted = ["hnswlib"];

const stamp = `${venv}/metalfaiss-packages`;
const content = [...needed, ...wanted].join(" ");

async function run(
  command: string,
  args: string[],
  stderr: "inherit" | "null" = "inherit",
): Promise<boolean> {
  try {
    const options = { args, stdin: "null", stdout: "piped", stderr } as const;
    const child = new Deno.Command(command, options).spawn();
    for await (const chunk of child.stdout) await Deno.stderr.write(chunk);
    return (await child.status).success;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    console.error(`Cannot run ${command}: not found`);
    return false;
  }
}

async function isMade(): Promise<boolean> {
  try {
    return await Deno.readTextFile(stamp) === content;
  } catch {
    return false;
  }
}

async function make(): Promise<boolean> {
  const pip = (packages: string[], stderr?: "null") =>
    run(`${venv}/bin/python`, ["-m", "pip", "install", "--quiet", ...packages], stderr);
  console.error(`Making .venv with ${content}`);
  const made = await Deno.stat(`${venv}/bin/python`).then(() => true, () => false);
  if (!made && !await run("python3", ["-m", "venv", venv])) return false;
  if (!await pip(needed)) return false;
  if (!await pip(wanted, "null")) {
    console.error(`Going on without ${wanted.join(", ")}: it could not be built`);
  }
  await Deno.writeTextFile(stamp, content);
  return true;
}

if (!await isMade() && !await make()) {
  console.error("Cannot make .venv: comparisons with Python packages are left out");
  if (Deno.env.get("CI")) Deno.exit(1);
}
