/**
 * `deno task test`: every suite, then one line that counts them. With arguments, only
 * `deno test` with these.
 *
 * @module
 */

const permissions = ["--allow-read", "--allow-write", "--allow-env", "--allow-sys"]
  .concat(["--allow-run", "--allow-ffi", "--allow-net=127.0.0.1"]);
const sanitizers = ["--sanitize-ops", "--sanitize-resources", "--preload=test/preload.ts"];

interface Suite {
  title: string;
  args: string[];
}

const suites: Suite[] = Deno.args.length > 0
  ? [{ title: "tests", args: [...sanitizers, ...Deno.args] }]
  : [
    { title: "tests", args: [...sanitizers, "test/"] },
    { title: "examples in the documentation", args: ["--doc", "mod.ts", "lib/", "README.md"] },
  ];

/** Counts of a JUnit report; a suite that died without one counts as one failure. */
async function count(report: string, ok: boolean): Promise<[passed: number, failed: number]> {
  const xml = await Deno.readTextFile(report).catch(() => "");
  const [, tests, failures, errors] =
    xml.match(/<testsuites[^>]* tests="(\d+)" failures="(\d+)" errors="(\d+)"/) ?? [];
  const failed = Number(failures ?? 0) + Number(errors ?? 0);
  const skipped = xml.split("<skipped").length - 1;
  return [Number(tests ?? 0) - failed - skipped, ok ? failed : Math.max(failed, 1)];
}

/** Runs the Swift package's tests, where there is a toolchain; its last line counts them. */
async function swiftTests(): Promise<[passed: number, failed: number]> {
  console.log("\n== Swift");
  let output;
  try {
    output = await new Deno.Command("swift", {
      args: ["test", "--package-path", "swift"],
      cwd: new URL("../", import.meta.url),
      stdin: "null",
    }).output();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    console.log("no Swift toolchain here");
    return [0, 0];
  }
  const decoder = new TextDecoder();
  const text = decoder.decode(output.stdout) + decoder.decode(output.stderr);
  // Classes and bundles have lines of their own before the one of all.
  const [line, tests, failures] = [...text.matchAll(/Executed (\d+) tests?, with (\d+) failures?/g)]
    .at(-1) ?? [];
  console.log(output.success && line !== undefined ? line : text);
  const failed = Number(failures ?? 0);
  return [Number(tests ?? 0) - failed, output.success ? failed : Math.max(failed, 1)];
}

let passed = 0;
let failed = 0;
for (const { title, args } of suites) {
  console.log(`\n== ${title}`);
  const report = await Deno.makeTempFile({ suffix: ".xml" });
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["test", ...permissions, `--junit-path=${report}`, ...args],
    cwd: new URL("../", import.meta.url),
    stdin: "null",
  }).spawn().status;
  const counts = await count(report, success);
  passed += counts[0];
  failed += counts[1];
  await Deno.remove(report);
}
if (Deno.args.length === 0) {
  const counts = await swiftTests();
  passed += counts[0];
  failed += counts[1];
}
console.log(`\n${passed} passed, ${failed} failed`);
Deno.exit(failed === 0 ? 0 : 1);
