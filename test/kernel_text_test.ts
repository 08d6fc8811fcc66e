import assert from "node:assert/strict";
import { kernelName, kernelSource, layoutParameters } from "../lib/kernel/signature.ts";
import { hasDirective, hasSignature, tokenize, usedNames } from "../lib/kernel/tokens.ts";

const texts = (source: string) => tokenize(source).map(({ text }) => text);

Deno.test("tokenize() skips comments, and keeps literals whole", () => {
  assert.deepEqual(texts(`a/*b c*/d // e\\\nf\n"g \\" h" 'i' 1.5e-3f .5 x->y::z [[k]]`), [
    "a",
    "d",
    '"g \\" h"',
    "'i'",
    "1.5e-3f",
    ".5",
    "x",
    "->",
    "y",
    "::",
    "z",
    "[[",
    "k",
    "]]",
  ]);
  assert.deepEqual(texts("a /* open"), ["a"]);
  assert.deepEqual(texts('"open\nb'), ['"open', "b"]);
  assert.deepEqual(texts(""), []);
});

Deno.test("usedNames() leaves members out", () => {
  const names = usedNames(tokenize("a.grid_size + b->grid_origin + c::threads_per_grid - a"));
  assert.deepEqual([...names].sort(), ["a", "b", "c", "threads_per_grid"]);
});

Deno.test("usedNames() leaves out what is declared, but not what macros stand for", () => {
  const names = (source: string) => [...usedNames(tokenize(source))].sort().join(" ");
  assert.equal(
    names("struct S { uint grid_size; }; return grid_origin;"),
    "grid_origin return struct uint",
  );
  assert.equal(names("uint grid_size = 1; x = grid_size;"), "uint x");
  assert.match(names("#define ROW grid_size\ny"), /grid_size.* y/);
  assert.match(names("else grid_size;"), /grid_size/);
});

Deno.test("hasDirective() and hasSignature() see code alone", () => {
  assert.equal(hasDirective(tokenize("x;\n  #  include <a>"), "include"), true);
  assert.equal(
    hasDirective(tokenize("// #include\n/*\n#include */ x # include"), "include"),
    false,
  );
  assert.equal(hasSignature(tokenize("kernel void f()")), true);
  assert.equal(hasSignature(tokenize("x [[buffer(0)]]")), true);
  assert.equal(hasSignature(tokenize("int kernel = 1; a[b[0]];")), false);
});

const inputs = [
  { name: "a", dtype: "float32", ndim: 1, size: 8 },
  { name: "b", dtype: "float16", ndim: 2, size: 7 },
  { name: "s", dtype: "int64", ndim: 0, size: 1 },
] as const;
const outputs = [{ name: "y", dtype: "bfloat16" }] as const;

Deno.test("kernelName() has the template's values and all types", () => {
  assert.equal(
    kernelName("k", [["T", "int8"], ["N", -3], ["B", true]], inputs, outputs),
    "custom_kernel_k_int8_m3_true_float32_float16c_int64s_bfloat16",
  );
});

Deno.test("layoutParameters() are those that are used, but none of scalars", () => {
  const used = new Set(["a_ndim", "a_shape", "s_shape"]);
  assert.deepEqual(layoutParameters(inputs[0], used), ["shape", "ndim"]);
  assert.deepEqual(layoutParameters(inputs[2], used), []);
});

Deno.test("kernelSource() numbers buffers one after the other", () => {
  const text = {
    name: "k",
    header: "// head",
    source: "body();",
    used: new Set(["b_strides", "b_ndim", "threads_per_grid", "grid_origin"]),
    atomicOutputs: true,
  };
  const source = kernelSource(
    text,
    "host",
    [["T", "float16"], ["N", 2], ["B", false]],
    inputs,
    outputs,
  );
  assert.ok(source.endsWith(`#line 1 "k header"
// head
template <typename T, int N, bool B>
[[kernel]] void custom_kernel_k(
    const device float* a [[buffer(0)]],
    const constant float16_t* b [[buffer(1)]],
    const constant int64_t* b_strides [[buffer(2)]],
    const constant int& b_ndim [[buffer(3)]],
    const constant int64_t& s [[buffer(4)]],
    device atomic<bfloat16_t>* y [[buffer(5)]],
    uint3 grid_origin [[grid_origin]],
    uint3 threads_per_grid [[threads_per_grid]]) {
#line 1 "k"
body();
}
template [[host_name("host")]] [[kernel]] decltype(custom_kernel_k<float16_t, 2, false>) custom_kernel_k<float16_t, 2, false>;
`));
});
