/**
 * What custom kernels refuse before anything is compiled.
 *
 * @module
 */

import { checkDType, isDType } from "./dtype.ts";
import type { KernelCall, MetalKernelOptions } from "./metal_kernel.ts";
import { checkShape } from "./nested.ts";
import { attributes } from "./signature.ts";
import { Tensor } from "./tensor.ts";
import { hasDirective, hasSignature, type Token } from "./tokens.ts";

/** Words of MSL that cannot be names of parameters. */
const reserved = new Set(
  ("kernel device constant threadgroup thread vertex fragment using namespace template typename " +
    "struct class enum union typedef const constexpr static inline return if else for while do " +
    "switch case break continue default void bool char short int long float half bfloat uchar " +
    "ushort uint ulong size_t true false auto decltype sizeof metal").split(" "),
);

function isIdentifier(name: unknown): name is string {
  return typeof name === "string" && /^[A-Za-z_]\w*$/.test(name) && !reserved.has(name);
}

/** Checks what a kernel is made of. */
export function checkOptions(options: MetalKernelOptions, source: readonly Token[]): void {
  const { name, inputNames, outputNames, compileOptions = {} } = options;
  const fail = (reason: string): never => {
    throw new TypeError(`Cannot make kernel ${String(name)}: ${reason}`);
  };
  if (!isIdentifier(name)) fail("its name must be an identifier");
  if (typeof options.source !== "string" || source.length === 0) {
    fail("source must be the body of the function");
  }
  if (!Array.isArray(inputNames)) fail("inputNames must be an array");
  if (!Array.isArray(outputNames) || outputNames.length === 0) {
    fail("outputNames must have at least one name");
  }
  const seen = new Set<string>(Object.keys(attributes));
  for (const parameter of [...inputNames, ...outputNames]) {
    if (!isIdentifier(parameter)) fail(`"${parameter}" cannot name an input or output`);
    if (Object.hasOwn(attributes, parameter)) fail(`"${parameter}" is one of Metal's attributes`);
    if (seen.has(parameter)) fail(`"${parameter}" is named twice`);
    seen.add(parameter);
  }
  for (const input of inputNames) {
    for (const what of ["shape", "strides", "ndim"]) {
      if (seen.has(`${input}_${what}`)) {
        fail(`"${input}_${what}" stands for a property of ${input}`);
      }
    }
  }
  for (const key of Object.keys(compileOptions)) {
    if (key !== "mathMode") fail(`compileOptions has only mathMode, not ${key}`);
  }
  if (hasSignature(source)) {
    fail(
      "source has a signature of its own; give only what stands between the braces: the " +
        "signature is generated from inputNames, outputNames and the attributes that are used",
    );
  }
  if (hasDirective(source, "include")) {
    fail("#include cannot stand in a function's body; move it from source to header");
  }
}

/** Checks one call against the kernel's names. */
export function checkCall(options: MetalKernelOptions, call: KernelCall): void {
  const action = `run kernel ${options.name}`;
  const fail = (reason: string): never => {
    throw new TypeError(`Cannot ${action}: ${reason}`);
  };
  const lengths = [
    ["inputs", call.inputs, options.inputNames],
    ["outputShapes", call.outputShapes, options.outputNames],
    ["outputDtypes", call.outputDtypes, options.outputNames],
  ] as const;
  for (const [what, values, names] of lengths) {
    if (!Array.isArray(values) || values.length !== names.length) {
      fail(
        `${what} must have ${names.length} entries (${names.join(", ")}), got ${values?.length}`,
      );
    }
  }
  for (const [i, input] of call.inputs.entries()) {
    if (input instanceof Tensor || ["number", "boolean", "bigint"].includes(typeof input)) continue;
    if (typeof input === "object" && input !== null && "value" in input && isDType(input.dtype)) {
      continue;
    }
    fail(
      `input ${options.inputNames[i]} is no tensor and no number; make one with Tensor.from()`,
    );
  }
  for (const shape of call.outputShapes) checkShape(shape, action);
  for (const dtype of call.outputDtypes) checkDType(dtype, action);
  checkSizes(call, action);
  checkTemplate(call, fail);
  const { initValue } = call;
  if (initValue !== undefined && typeof initValue !== "number" && typeof initValue !== "boolean") {
    fail("initValue must be a number or boolean");
  }
}

function checkSizes(call: KernelCall, action: string): void {
  for (const what of ["grid", "threadgroup"] as const) {
    const size = call[what];
    if (!Array.isArray(size) || size.length !== 3) {
      throw new TypeError(`Cannot ${action}: ${what} must be 3 integers, in threads`);
    }
    for (const length of size) {
      if (!Number.isInteger(length) || length < 1 || length > 0xffff_ffff) {
        throw new RangeError(
          `Cannot ${action}: ${what} [${size.join(", ")}] must have integers from 1`,
        );
      }
    }
  }
}

function checkTemplate(call: KernelCall, fail: (reason: string) => never): void {
  const { template = [] } = call;
  const entries: readonly (readonly [unknown, unknown])[] = Array.isArray(template)
    ? template
    : Object.entries(template);
  for (const [name, value] of entries) {
    if (!isIdentifier(name)) fail(`"${String(name)}" cannot name a template parameter`);
    const isInteger = Number.isInteger(value) && Math.abs(value as number) < 2 ** 31;
    if (!isDType(value) && typeof value !== "boolean" && !isInteger) {
      fail(`template parameter ${String(name)} must be a dtype, an integer or a boolean`);
    }
  }
}
