/**
 * `deno task bundle`: one archive that runs on a bare Linux machine with glibc and, for `cuda`, an
 * NVIDIA driver and CUDA's libraries. It holds Deno, the native library, shaders and benches.
 *
 * @module
 */

import { checkout, checkoutLibrary, libraryName, VERSION } from "../ffi/paths.ts";

/** What of the checkout goes along. */
const PARTS = ["deno.json", "mod.ts", "lib", "ffi", "shaders", "bench", "test", "data"];

const START = `#!/bin/sh
# ./metalfaiss bench SUITE ... | doctor | test FILE ...: the tasks of metalfaiss with what lies here.
set -eu
here=$(cd -- "$(dirname -- "$0")" && pwd)
export METALFAISS_LIBRARY="\${METALFAISS_LIBRARY:-$here/${libraryName()}}"
task=\${1:?bench, doctor or test}
shift
case $task in
  bench) set -- run -A --no-lock "$here/bench/main.ts" "$@" ;;
  doctor) set -- run -A --no-lock "$here/lib/doctor.ts" "$@" ;;
  test) set -- test -A --no-lock --no-check "$@" ;;
  *) echo "metalfaiss: there is no task $task" >&2; exit 2 ;;
esac
exec "$here/deno" "$@"
`;

/** Makes the archive and returns its path. */
async function bundle(): Promise<string> {
  const root = checkout()!;
  const name = `metalfaiss-${VERSION}-${Deno.build.target}`;
  const out = `${root}out`;
  const folder = `${out}/${name}`;
  await Deno.mkdir(folder, { recursive: true });
  try {
    await Deno.copyFile(Deno.execPath(), `${folder}/deno`);
    await Deno.copyFile(checkoutLibrary()!, `${folder}/${libraryName()}`);
    await Deno.mkdir(`${folder}/swift`, { recursive: true });
    await Deno.copyFile(`${root}swift/manifest.json`, `${folder}/swift/manifest.json`);
    await run("cp", ["-R", ...PARTS.map((part) => `${root}${part}`), folder]);
    await Deno.writeTextFile(`${folder}/metalfaiss`, START, { mode: 0o755 });
    const archive = `${out}/${name}.tar.xz`;
    await run("tar", ["-C", out, "-cf", archive, "-I", "xz -T0 -6", name]);
    return archive;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function run(command: string, args: string[]): Promise<void> {
  const { success } = await new Deno.Command(command, { args, stderr: "inherit" }).output();
  if (!success) throw new Error(`Cannot make the bundle: ${command} failed`);
}

if (import.meta.main) console.log(await bundle());
