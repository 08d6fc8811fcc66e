import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";
import { writeAtomically } from "../lib/io/mod.ts";

const base = await Deno.makeTempDir();
Deno.test.afterAll(() => Deno.remove(base, { recursive: true }));

const text = (value: string) => (file: Deno.FsFile) =>
  file.write(new TextEncoder().encode(value)).then(() => undefined);

async function names(directory: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(directory))).map(({ name }) => name).sort();
}

Deno.test("writeAtomically() makes and replaces files, by path and by URL", async () => {
  const directory = await Deno.makeTempDir({ dir: base });
  await writeAtomically(`${directory}/a b`, text("one"));
  await writeAtomically(pathToFileURL(`${directory}/a b`), text("2"));
  assert.equal(await Deno.readTextFile(`${directory}/a b`), "2");
  assert.deepEqual(await names(directory), ["a b"]);
});

Deno.test("writeAtomically() leaves the original and no temporary file when writing fails", async () => {
  const directory = await Deno.makeTempDir({ dir: base });
  const path = `${directory}/a`;
  await Deno.writeTextFile(path, "before");
  const failing = async (file: Deno.FsFile) => {
    await text("part of it")(file);
    assert.equal((await names(directory)).length, 2);
    throw new Error("the disk is full");
  };
  await assert.rejects(writeAtomically(path, failing), /the disk is full/);
  assert.equal(await Deno.readTextFile(path), "before");
  await assert.rejects(writeAtomically(`${directory}/b`, failing), /the disk is full/);
  assert.deepEqual(await names(directory), ["a"]);
});

Deno.test("writeAtomically() leaves no temporary file when the name is taken by a directory", async () => {
  const directory = await Deno.makeTempDir({ dir: base });
  await Deno.mkdir(`${directory}/a`);
  await assert.rejects(writeAtomically(`${directory}/a`, text("one")));
  assert.deepEqual(await names(directory), ["a"]);
});

Deno.test({
  name: "writeAtomically() keeps permissions and follows links",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    const directory = await Deno.makeTempDir({ dir: base });
    await Deno.writeTextFile(`${directory}/a`, "before");
    await Deno.chmod(`${directory}/a`, 0o600);
    await Deno.symlink(`${directory}/a`, `${directory}/link`);
    await writeAtomically(`${directory}/link`, text("after"));
    assert.equal(await Deno.readTextFile(`${directory}/a`), "after");
    assert.equal((await Deno.stat(`${directory}/a`)).mode! & 0o777, 0o600);
    assert((await Deno.lstat(`${directory}/link`)).isSymlink);
  },
});
