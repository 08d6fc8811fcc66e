import assert from "node:assert/strict";
import { invoke, Status } from "../ffi/call.ts";
import { NativeHandle } from "../ffi/handle.ts";
import { ABI_VERSION, candidates, library, openFirst, openLibrary } from "../ffi/library.ts";
import { cacheFolder, checkout, checkoutLibrary, sourceHash, sources } from "../ffi/paths.ts";
import { CallRecord } from "../ffi/record.ts";
import { hashSources } from "../ffi/sources.ts";
import { DeviceError, DisposedError, OutOfMemoryError } from "../lib/errors.ts";
import { check } from "../ffi/call.ts";
import { isNative } from "./native.ts";

/** Runs `body` with variables set as given, and sets them back. */
function withEnv(variables: Record<string, string | undefined>, body: () => void): void {
  const before = Object.keys(variables).map((name) => [name, Deno.env.get(name)] as const);
  const set = (name: string, value: string | undefined) => {
    if (value === undefined) Deno.env.delete(name);
    else Deno.env.set(name, value);
  };
  try {
    for (const [name, value] of Object.entries(variables)) set(name, value);
    body();
  } finally {
    for (const [name, value] of before) set(name, value);
  }
}

Deno.test("candidates() are the checkout, then the cache", () => {
  withEnv({ METALFAISS_LIBRARY: undefined, XDG_CACHE_HOME: "/caches" }, () => {
    const found = candidates();
    assert.deepEqual(found.map(({ source }) => source), ["checkout build", "per-user cache"]);
    assert.equal(found[0]!.path, checkoutLibrary());
    assert.match(
      found[1]!.path!,
      /^\/caches\/metalfaiss\/\d+\.\d+\.\d+-[0-9a-f]{12}\/libMetalFaiss\./,
    );
  });
});

Deno.test("candidates() are METALFAISS_LIBRARY alone where it is set", () => {
  withEnv({ METALFAISS_LIBRARY: "/a/b.so" }, () => {
    assert.deepEqual(candidates(), [{ source: "METALFAISS_LIBRARY", path: "/a/b.so" }]);
  });
});

Deno.test("cacheFolder() is undefined without a home", () => {
  withEnv({ HOME: undefined, XDG_CACHE_HOME: undefined }, () => {
    assert.equal(cacheFolder(), undefined);
  });
});

Deno.test("openFirst() throws an error that lists every place and the remedy", () => {
  const places = [
    { source: "one", path: "/nowhere/one.so" },
    { source: "two", path: undefined, reason: "no reason" },
    { source: "three", path: "three.so" },
  ];
  assert.throws(() => openFirst(places), (error: Error) => {
    assert.ok(error instanceof DeviceError);
    assert.match(error.message, /one: \/nowhere\/one\.so: .*no such file/);
    assert.match(error.message, /two: no reason/);
    assert.match(error.message, /three: three\.so: .*not absolute/);
    assert.match(error.message, /\.\/run build/);
    return true;
  });
});

Deno.test("openFirst() takes the first place that has a library", { ignore: !isNative }, () => {
  // Opened by the preload already; a second handle of the same file is never closed here.
  assert.equal(candidates().some(({ path }) => path === library().path), true);
});

Deno.test("openLibrary() refuses a file that is no library", () => {
  const path = Deno.makeTempFileSync();
  try {
    assert.throws(() => openLibrary(path));
  } finally {
    Deno.removeSync(path);
  }
});

/** Compiles a library that has nothing but a wrong ABI version. */
async function compileStranger(folder: string): Promise<string | undefined> {
  await Deno.writeTextFile(`${folder}/stranger.c`, "unsigned mf_abi_version(void) { return 999; }");
  for (const compiler of ["cc", "clang"]) {
    const args = ["-shared", "-fPIC", "-o", `${folder}/stranger.so`, `${folder}/stranger.c`];
    try {
      const { success } = await new Deno.Command(compiler, { args }).output();
      if (success) return `${folder}/stranger.so`;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return undefined;
}

Deno.test("openLibrary() refuses another ABI version", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = await compileStranger(folder);
    if (path === undefined) return; // no C compiler here
    assert.throws(() => openLibrary(path), {
      name: "DeviceError",
      message: `Cannot use ${path}: its ABI version is 999, this module needs ${ABI_VERSION}`,
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("check() throws the error that a status stands for", () => {
  const record = new CallRecord();
  new TextEncoder().encodeInto("Cannot do it: no", record.bytes.subarray(32));
  const errors: [number, new (message: string) => Error][] = [
    [Status.VALUE, RangeError],
    [Status.SHAPE, TypeError],
    [Status.HANDLE, DisposedError],
    [Status.MEMORY, OutOfMemoryError],
  ];
  check(Status.OK, record);
  for (const [status, type] of errors) {
    assert.throws(() => check(status, record), (error: Error) => {
      return error instanceof type && error.message === "Cannot do it: no";
    });
  }
  assert.throws(() => check(Status.CANCELLED, record), { name: "AbortError" });
  const reason = new Error("enough");
  assert.throws(() => check(Status.CANCELLED, record, AbortSignal.abort(reason)), reason);
});

Deno.test("mf_library_free() refuses a stale handle", { ignore: !isNative }, () => {
  const { symbols } = library();
  let object = 0;
  const store = new NativeHandle("store", (out, call) => {
    const status = symbols.mf_flat_create(4, out, call);
    object = out[0]!;
    return status;
  });
  store.dispose();
  store.dispose();
  for (const stale of [object, 0, 0xffff_ffff]) {
    assert.throws(() => invoke((call) => symbols.mf_library_free(stale, call)), {
      name: "DisposedError",
    });
  }
  assert.throws(() => store.object, {
    name: "DisposedError",
    message: "Cannot use the store: it has been disposed",
  });
});

// Threads that end call back into it: where it was unloaded, they crash the process.
Deno.test("the library stays loaded when it is closed", {
  ignore: !isNative || Deno.build.os !== "linux",
}, async () => {
  const script = `const [path] = Deno.args;
    Deno.dlopen(path, { mf_abi_version: { parameters: [], result: "u32" } }).close();
    console.log(Deno.readTextFileSync("/proc/self/maps").includes("libMetalFaiss"));`;
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", script, library().path],
  }).output();
  const text = new TextDecoder();
  assert.equal(text.decode(stdout).trim(), "true", text.decode(stderr));
});

Deno.test("swift/manifest.json lists the sources as they are", () => {
  assert.deepEqual(hashSources(checkout()!), sources, "refresh it with: ./run build");
});

Deno.test("sourceHash() changes with any file", () => {
  const hash = sourceHash({ a: "1", b: "2" });
  assert.equal(sourceHash({ b: "2", a: "1" }), hash);
  assert.notEqual(sourceHash({ a: "1", b: "3" }), hash);
  assert.notEqual(sourceHash({ a: "1", c: "2" }), hash);
});

Deno.test("the library outlives the workers that opened it", { ignore: !isNative }, async () => {
  // Each closes it as it ends, while the threads of its last search look for more work.
  const worker = new URL("searching_worker.ts", import.meta.url).href;
  const script = `for (let i = 0; i < 20; i++) {
    const worker = new Worker("${worker}", { type: "module" });
    await new Promise((resolve) => worker.onmessage = resolve);
    worker.terminate();
    await new Promise((resolve) => setTimeout(resolve, i % 4 * 5));
  }`;
  const { code, stderr } = await new Deno.Command(Deno.execPath(), { args: ["eval", script] })
    .output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
});
