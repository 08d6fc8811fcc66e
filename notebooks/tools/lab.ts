/**
 * `deno task lab [OPTION …]`: opens JupyterLab on the notebooks. Options are JupyterLab's own, as
 * `--no-browser` or `--port=8890`.
 *
 * @module
 */

import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { makeVenv, venv, venvPython } from "../../bench/venv.ts";
import { writeKernelSpec } from "./kernel_spec.ts";

const notebooks = fileURLToPath(new URL("../", import.meta.url));

const made = await makeVenv(["lab"]);
if (!made.has("lab")) Deno.exit(1);
const share = join(venv, "share/jupyter");
await writeKernelSpec(share);

const { JUPYTER_PATH } = Deno.env.toObject();
const child = new Deno.Command(venvPython, {
  args: [
    ...["-m", "jupyterlab", `--ServerApp.root_dir=${notebooks}`],
    ...["--MultiKernelManager.default_kernel_name=deno", ...Deno.args],
  ],
  cwd: notebooks,
  // This Deno, whatever kernel spec of the same name the user has.
  env: { JUPYTER_PATH: JUPYTER_PATH ? `${share}${delimiter}${JUPYTER_PATH}` : share },
}).spawn();
// JupyterLab asks what is meant by Ctrl-C; it gets the signal too.
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, () => {
    if (signal === "SIGTERM") child.kill(signal);
  });
}
Deno.exit((await child.status).code);
