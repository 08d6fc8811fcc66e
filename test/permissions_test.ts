import assert from "node:assert/strict";
import { library } from "../ffi/library.ts";
import { isNative } from "./native.ts";
import { runCode } from "./run_code.ts";

const mod = new URL("../mod.ts", import.meta.url).href;

const search = `
  import { IndexFlatL2 } from "${mod}";
  using index = new IndexFlatL2(2);
  await index.add([[0, 0], [3, 4], [6, 8]]);
  const found = await index.search([[3, 3]], 2);
  const range = await index.rangeSearch([[3, 3]], 2, { filter: [1, 2] });
  console.log(index.backend.name, [...found.labels].join(), [...range.labels].join());
`;

Deno.test("mod.ts needs no permission and opens nothing when it is imported", async () => {
  const { code, stdout, stderr } = await runCode(
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
  const { code, stdout, stderr } = await runCode(search, flags, { METALFAISS_LIBRARY: path });
  assert.equal(code, 0, stderr);
  assert.equal(stdout, "cpu 1,0 1\n");
  assert.equal(stderr, "");
});

Deno.test("search() runs natively under --allow-ffi of the checkout's build alone", {
  ignore: !isNative || Deno.env.get("METALFAISS_LIBRARY") !== undefined,
}, async () => {
  const { code, stdout, stderr } = await runCode(search, [`--allow-ffi=${library().path}`]);
  assert.equal(code, 0, stderr);
  assert.equal(stdout, "cpu 1,0 1\n");
});

Deno.test("search() falls back to the reference backend with one warning", async () => {
  const { code, stdout, stderr } = await runCode(search, []);
  assert.equal(code, 0, stderr);
  assert.equal(stdout, "reference 1,0 1\n");
  assert.match(stderr, /using the slow reference backend/);
  assert.match(stderr, /checkout build: \/.*libMetalFaiss/);
  assert.equal(stderr.split("using the slow").length, 2);
});

Deno.test("METALFAISS_BACKEND=cpu throws where there is no library", async () => {
  const { code, stderr } = await runCode(search, ["--allow-env"], {
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
    const { code, stderr } = await runCode(search, ["--allow-env", "--allow-ffi"], {
      [name]: value,
    });
    assert.equal(code, 1);
    assert.match(stderr, new RegExp(`RangeError: Cannot use ${name}: .*"${value}"`));
  }
});
