import assert from "node:assert/strict";
import { CompileError } from "../lib/errors.ts";
import { device, floats, onGpu, poisoned } from "./gpu.ts";

/** Runs `body` in a folder with the given files. */
async function withFiles(files: Record<string, string>, body: (folder: string) => Promise<void>) {
  const folder = await Deno.makeTempDir();
  try {
    for (const [name, text] of Object.entries(files)) {
      const path = `${folder}/${name}`;
      await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
      await Deno.writeTextFile(path, text);
    }
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function run(path: string): Promise<number> {
  using library = device().shader(path);
  using out = poisoned(4);
  await device().stream.commands()
    .dispatch(library.pipeline("put"), [out], { threads: 1, threadgroup: 1 }).commit().completed;
  return floats(out)[0]!;
}

const put = (value: string) =>
  `kernel void put(device float* x [[buffer(0)]], uint i [[thread_position_in_grid]]) { x[i] = ${value}; }\n`;

Deno.test("shader() inlines what a file includes from beside it", onGpu, async () => {
  await withFiles({
    "main.metal": `#include <metal_stdlib>\n#include "common/a.h"\n  # include "b.h" // again\n${
      put("a() + b()")
    }`,
    "common/a.h": `#pragma once\n#include "deep.h"\nfloat a() { return deep(); }\n`,
    "common/deep.h": `#pragma once\nfloat deep() { return 40; }`,
    "b.h":
      `#ifndef B\n#define B\n#include "common/a.h"\n#include "b.h"\nfloat b() { return 2; }\n#endif\n`,
  }, async (folder) => assert.equal(await run(`${folder}/main.metal`), 42));
});

Deno.test("shader() leaves includes in comments alone", onGpu, async () => {
  await withFiles({
    "main.metal": `/*\n#include "absent.h"\n*/\n// #include "absent.h"\n${put("7")}`,
  }, async (folder) => assert.equal(await run(`${folder}/main.metal`), 7));
});

Deno.test("shader() names the file and line of an error", onGpu, async () => {
  await withFiles({
    "main.metal": `#include "good.h"\n#include "bad.h"\n${put("value()")}`,
    "good.h": "float good() { return 1; }\n\n\n",
    "bad.h": "\n\nfloat value() { return wrong; }\n",
    "after.metal": `#include "good.h"\n\n${put("wrong_here")}`,
    "absent.metal": `\n#include "nowhere.h"\n${put("1")}`,
  }, async (folder) => {
    const cases: [string, RegExp][] = [
      ["main.metal", /bad\.h:3:\d+: error:.*wrong/],
      ["after.metal", /after\.metal:3:\d+: error:.*wrong_here/],
      ["absent.metal", /absent\.metal:2:\d+: error:.*nowhere\.h/],
    ];
    for (const [file, message] of cases) {
      await assert.rejects(run(`${folder}/${file}`), (error: Error) => {
        assert.ok(error instanceof CompileError, `${error}`);
        assert.match(error.log, message);
        return true;
      });
    }
  });
});

Deno.test("shader() refuses a file that is missing, or includes itself", onGpu, async () => {
  assert.throws(() => device().shader("/nowhere/x.metal"), (error: Error) => {
    assert.ok(error instanceof RangeError);
    assert.match(error.message, /\/nowhere\/x\.metal: No such file/);
    return true;
  });
  assert.throws(() => device().shader("nowhere.metal"), /shaders\/nowhere\.metal: No such file/);
  await withFiles({ "loop.metal": '#include "loop.metal"\n' }, (folder) => {
    assert.throws(() => device().shader(`${folder}/loop.metal`), /more than 32 files deep/);
    return Promise.resolve();
  });
});
