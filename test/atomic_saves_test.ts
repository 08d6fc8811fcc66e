import assert from "node:assert/strict";
import { backend as selectedBackend } from "../lib/backend/select.ts";
import { ByteWriter } from "../lib/io/byte_writer.ts";
import { readIndex, serializeIndex, writeIndex, type WriteIndexOptions } from "../lib/io/mod.ts";
import { hasLists } from "./fuzz/corpus.ts";
import { everyKind } from "./indexes.ts";

const backend = selectedBackend();
const methods = ["u8", "bool", "i32", "f32", "u64", "text", "bytes", "flush"] as const;

/** Counts the writer's calls while `body` runs, and makes one of them fail. */
async function failing(call: number, body: () => Promise<void>): Promise<number> {
  const prototype = ByteWriter.prototype as unknown as Record<string, unknown>;
  const originals = methods.map((name) => [name, prototype[name]] as const);
  let calls = 0;
  for (const [name, method] of originals) {
    prototype[name] = function (...args: unknown[]) {
      if (++calls === call) throw new Error("the disk is full");
      return (method as (...args: unknown[]) => unknown).apply(this, args);
    };
  }
  try {
    await body();
  } finally {
    for (const [name, method] of originals) prototype[name] = method;
  }
  return calls;
}

async function namesIn(directory: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(directory))).map(({ name }) => name).sort();
}

Deno.test("a save of every kind that fails anywhere leaves the file that was there", async () => {
  const directory = await Deno.makeTempDir();
  const path = `${directory}/index.faiss`;
  for (const [kind, index] of await everyKind(backend)) {
    const ways: WriteIndexOptions[] = [{}];
    if (hasLists(index, await serializeIndex(index))) {
      ways.push({ ondisk: `${directory}/index.ivfdata` });
    }
    for (const options of ways) {
      await Deno.writeTextFile(path, "before");
      const calls = await failing(0, () => writeIndex(index, path, options));
      assert(calls > 8, kind);
      if (options.ondisk !== undefined) await Deno.remove(options.ondisk);
      await Deno.writeTextFile(path, "before");
      for (let call = 1; call <= calls; call++) {
        const save = () => failing(call, () => writeIndex(index, path, options)).then(() => {});
        await assert.rejects(save(), /the disk is full/, `${kind}: call ${call} of ${calls}`);
        assert.equal(await Deno.readTextFile(path), "before", kind);
        assert.deepEqual(await namesIn(directory), ["index.faiss"], kind);
      }
    }
    await writeIndex(index, path);
    assert.deepEqual(await Deno.readFile(path), await serializeIndex(index), kind);
    index.dispose();
  }
  await Deno.remove(directory, { recursive: true });
});

Deno.test("an index is saved over the file that it is mapped from", async () => {
  if (backend.mapFile === undefined) return;
  const directory = await Deno.makeTempDir();
  const path = `${directory}/index.faiss`;
  for (const [kind, index] of await everyKind(backend)) {
    await writeIndex(index, path);
    const bytes = await Deno.readFile(path);
    using mapped = await readIndex(path, { backend, mmap: true });
    for (let times = 0; times < 2; times++) {
      await mapped.save(path);
      assert.deepEqual(await Deno.readFile(path), bytes, kind);
    }
    index.dispose();
  }
  await Deno.remove(directory, { recursive: true });
});

Deno.test("a process that is killed while it saves leaves a whole file", async () => {
  const directory = await Deno.makeTempDir();
  const path = `${directory}/index.faiss`;
  const source = new URL("../mod.ts", import.meta.url).href;
  const script = `${directory}/save.ts`;
  await Deno.writeTextFile(
    script,
    `import { IndexFlatL2 } from ${JSON.stringify(source)};
    const index = new IndexFlatL2(64);
    await index.add(new Float32Array(64 * 20000));
    for (;;) {
      await index.save(${JSON.stringify(path)});
      console.log("saved");
    }`,
  );
  for (let times = 0; times < 3; times++) {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-all", "--quiet", script],
      stdin: "null",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const reader = child.stdout.getReader();
    for (let saves = 0; saves < 2; saves++) assert(!(await reader.read()).done);
    // Some while into the next one.
    await new Promise((resolve) => setTimeout(resolve, 3 * times));
    child.kill("SIGKILL");
    await reader.cancel();
    await child.status;
    using index = await readIndex(path, { backend });
    assert.equal(index.ntotal, 20000);
  }
  await Deno.remove(directory, { recursive: true });
});
