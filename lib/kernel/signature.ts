/**
 * The MSL function around a custom kernel's body. What is numbered and named how is MLX's
 * contract of `fast.metal_kernel`.
 *
 * @module
 */

import { type DType, dtypeMSL, isDType } from "./dtype.ts";
import { kernelUtilities } from "./kernel_utilities.ts";

/** Value of a template parameter: a type, an integer or a boolean. */
export type TemplateValue = DType | number | boolean;

/** What the signature depends on, of one input. */
export interface InputType {
  /** Its parameter. */
  name: string;
  /** Type of its elements. */
  dtype: DType;
  /** Axes; 0 for a scalar, which becomes a reference. */
  ndim: number;
  /** Elements; fewer than 8 lie in `constant` memory. */
  size: number;
}

/** What the signature depends on, of one output. */
export interface OutputType {
  /** Its parameter. */
  name: string;
  /** Type of its elements. */
  dtype: DType;
}

/** The parts of a kernel's text. */
export interface KernelText {
  /** Name that the author gave. */
  name: string;
  /** Text before the function. */
  header: string;
  /** Body of the function. */
  source: string;
  /** Names that header and source use. */
  used: ReadonlySet<string>;
  /** Whether outputs are atomic. */
  atomicOutputs: boolean;
}

/** Inputs of fewer elements lie in `constant` memory. */
export const CONSTANT_ELEMENTS = 8;

/** Metal's attributes, in the order of parameters. */
export const attributes: Readonly<Record<string, "uint" | "uint3">> = {
  dispatch_quadgroups_per_threadgroup: "uint",
  dispatch_simdgroups_per_threadgroup: "uint",
  dispatch_threads_per_threadgroup: "uint3",
  grid_origin: "uint3",
  grid_size: "uint3",
  quadgroup_index_in_threadgroup: "uint",
  quadgroups_per_threadgroup: "uint",
  simdgroup_index_in_threadgroup: "uint",
  simdgroups_per_threadgroup: "uint",
  thread_execution_width: "uint",
  thread_index_in_quadgroup: "uint",
  thread_index_in_simdgroup: "uint",
  thread_index_in_threadgroup: "uint",
  thread_position_in_grid: "uint3",
  thread_position_in_threadgroup: "uint3",
  threadgroup_position_in_grid: "uint3",
  threadgroups_per_grid: "uint3",
  threads_per_grid: "uint3",
  threads_per_simdgroup: "uint",
  threads_per_threadgroup: "uint3",
};

/** Which of an input's shape, strides and number of axes are parameters, in their order. */
export function layoutParameters(
  { name, ndim }: Pick<InputType, "name" | "ndim">,
  used: ReadonlySet<string>,
): ("shape" | "strides" | "ndim")[] {
  if (ndim === 0) return [];
  return (["shape", "strides", "ndim"] as const).filter((what) => used.has(`${name}_${what}`));
}

const layoutTypes = {
  shape: "const constant int*",
  strides: "const constant int64_t*",
  ndim: "const constant int&",
} as const;

/** Name of the kernel: what was given, the template's values, then the types. */
export function kernelName(
  name: string,
  template: readonly (readonly [string, TemplateValue])[],
  inputs: readonly InputType[],
  outputs: readonly OutputType[],
): string {
  const values = template.map(([, value]) => `${value}`.replace("-", "m"));
  const types = inputs.map(({ dtype, ndim, size }) =>
    dtype + (ndim === 0 ? "s" : size < CONSTANT_ELEMENTS ? "c" : "")
  );
  return ["custom_kernel", name, ...values, ...types, ...outputs.map(({ dtype }) => dtype)]
    .join("_");
}

/** The whole source. Errors count the lines of header and body apart. */
export function kernelSource(
  text: KernelText,
  hostName: string,
  template: readonly (readonly [string, TemplateValue])[],
  inputs: readonly InputType[],
  outputs: readonly OutputType[],
): string {
  const parameters = [
    ...bufferParameters(text, inputs, outputs),
    ...Object.entries(attributes).filter(([name]) => text.used.has(name))
      .map(([name, type]) => `${type} ${name} [[${name}]]`),
  ];
  const isTemplate = template.length > 0;
  const functionName = isTemplate ? `custom_kernel_${text.name}` : hostName;
  const lines = [kernelUtilities];
  if (text.header !== "") lines.push(`#line 1 "${text.name} header"`, text.header);
  if (isTemplate) {
    const declared = template.map(([name, value]) => `${templateKind(value)} ${name}`);
    lines.push(`template <${declared.join(", ")}>`);
  }
  lines.push(
    `[[kernel]] void ${functionName}(`,
    parameters.map((parameter) => `    ${parameter}`).join(",\n") + ") {",
    `#line 1 "${text.name}"`,
    text.source,
    "}",
  );
  if (isTemplate) {
    const instance = `${functionName}<${template.map(([, v]) => templateValue(v)).join(", ")}>`;
    lines.push(
      `template [[host_name("${hostName}")]] [[kernel]] decltype(${instance}) ${instance};`,
    );
  }
  return lines.join("\n") + "\n";
}

/** Parameters with a buffer index, in the order of indices. */
function bufferParameters(
  { used, atomicOutputs }: KernelText,
  inputs: readonly InputType[],
  outputs: readonly OutputType[],
): string[] {
  const parameters: string[] = [];
  const add = (type: string, name: string) =>
    parameters.push(`${type} ${name} [[buffer(${parameters.length})]]`);
  for (const input of inputs) {
    const space = input.size < CONSTANT_ELEMENTS ? "constant" : "device";
    add(`const ${space} ${dtypeMSL(input.dtype)}${input.ndim === 0 ? "&" : "*"}`, input.name);
    for (const what of layoutParameters(input, used)) {
      add(layoutTypes[what], `${input.name}_${what}`);
    }
  }
  for (const { name, dtype } of outputs) {
    const type = dtypeMSL(dtype);
    add(`device ${atomicOutputs ? `atomic<${type}>` : type}*`, name);
  }
  return parameters;
}

function templateKind(value: TemplateValue): string {
  return isDType(value) ? "typename" : typeof value === "boolean" ? "bool" : "int";
}

function templateValue(value: TemplateValue): string {
  return isDType(value) ? dtypeMSL(value) : `${value}`;
}
