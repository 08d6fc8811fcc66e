import assert from "node:assert/strict";
import { CompileError } from "../lib/errors.ts";
import { lintShader } from "../lib/kernel/lint.ts";
import { isNative } from "./native.ts";

const isHere = isNative && Deno.build.os === "linux";

Deno.test(
  "lintShader() passes shaders/, and says where others are wrong",
  { ignore: !isHere },
  async () => {
    lintShader("topk.metal");
    const path = await Deno.makeTempFile({ suffix: ".metal" });
    const refuses = async (body: string, expected: RegExp) => {
      const source = `#include <metal_stdlib>
using namespace metal;
kernel void k(device float* a [[buffer(0)]], constant float* c [[buffer(1)]]) {
  threadgroup float t[4];
  ${body}
}
`;
      await Deno.writeTextFile(path, source);
      assert.throws(() => lintShader(path), (error: Error) => {
        assert.ok(error instanceof CompileError, `${error}`);
        assert.match(error.log, /\.metal:5:\d+: error: /);
        assert.match(error.log, expected);
        return true;
      });
    };
    try {
      await refuses("device float* p = t;", /'device float \*'/);
      await refuses("c[0] = 1.0f;", /not assignable/);
      await refuses("double z = 2.0;", /no double/);
      await refuses("float* p = a;", /address space/);
    } finally {
      await Deno.remove(path);
    }
  },
);
