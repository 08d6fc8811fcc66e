import assert from "node:assert/strict";
import { library } from "../ffi/library.ts";
import { isNative } from "./native.ts";

const mod = new URL("../mod.ts", import.meta.url).href;

/** Runs a module under `flags` only. */
async function run(
  code: string,
  flags: string[],
  env: Record<string, string> = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(file, code);
    const config = new URL("../deno.json", import.meta.url).pathname;
    const output = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", "--no-check", `--config=${config}`, ...flags, file],
      env: { NO_COLOR: "1", ...env },
    }).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { code: output.code, stdout: text(output.stdout), stderr: text(output.stderr) };
  } finally {
    await Deno.remove(file);
  }
}

const search = `
  import { IndexFlatL2 } from "${mod}";
  using index = new IndexFlatL2(2);
  await index.add([[0, 0], [3, 4], [6, 8]]);
  const found = await index.search([[3, 3]], 2);
  const range = await index.rangeSearch([[3, 3]], 2, { filter: [1, 2] });
  console.log(index.backend.name, [...found.labels].join(), [...range.labels].join());
`;

Deno.test("mod.ts needs no permission and opens nothing when it is imported", async () => {
  const { code, stdout, stderr } = await run(
    `import * as mod from "${mod}";
     import { openedPath } from "${new URL("../ffi/library.ts", import.meta.url)}";
     console.log(typeof mod.IndexFlat, openedPath());`,
    [],
  );
  assert.equal(code, 0, stderr);
  assert.equal(stdout, "function undefined\n");
});

Deno.test("search() runs natively under --allow-ffi=<path> and one variable", {
  ignore: !isNative,
}, async () => {
  const { path } = library();
  const flags = [`--allow-ffi=${path}`, "--allow-env=METALFAISS_LIBRARY"];
  const { code, stdout, stderr } = await run(search, flags, { METALFAISS_LIBRARY: path });
  assert.equal(code, 0, stderr);
  assert.equal(stdout, "cpu 1,0 1\n");
  assert.equal(stderr, "");
});

Deno.test("search() runs natively under --allow-ffi of the checkout's build alone", {
  ignore: !isNative || Deno.env.get("METALFAISS_LIBRARY") !== undefined,
}, async () => {
  const { code, stdout, stderr } = await run(search, [`--allow-ffi=${library().path}`]);
  assert.equal(code, 0, stderr);
  assert.equal(stdout, "cpu 1,0 1\n");
});

Deno.test("search() falls back to the reference backend with one warning", async () => {
  const { code, stdout, stderr } = await run(search, []);
  assert.equal(code, 0, stderr);
  assert.equal(stdout, "reference 1,0 1\n");
  assert.match(stderr, /using the slow reference backend/);
  assert.match(stderr, /checkout build: \/.*libMetalFaiss/);
  assert.equal(stderr.split("using the slow").length, 2);
});

Deno.test("METALFAISS_BACKEND=cpu throws where there is no library", async () => {
  const { code, stderr } = await run(search, ["--allow-env"], {
    METALFAISS_BACKEND: "cpu",
    METALFAISS_LIBRARY: "/nowhere/libMetalFaiss.so",
  });
  assert.equal(code, 1);
  assert.match(stderr, /DeviceError: Cannot open the native library/);
  assert.match(stderr, /METALFAISS_LIBRARY: \/nowhere\/libMetalFaiss\.so/);
});

Deno.test("METALFAISS_BACKEND and METALFAISS_THREADS refuse what has no sense", async () => {
  for (
    const [name, value] of [["METALFAISS_BACKEND", "gpu9"], ["METALFAISS_THREADS", "0"]] as const
  ) {
    const { code, stderr } = await run(search, ["--allow-env", "--allow-ffi"], { [name]: value });
    assert.equal(code, 1);
    assert.match(stderr, new RegExp(`RangeError: Cannot use ${name}: .*"${value}"`));
  }
});
