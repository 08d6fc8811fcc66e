const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** The bits of a float32, for {@linkcode words}. */
export function floatBits(value: number): number {
  float[0] = value;
  return bits[0]!;
}

/** A kernel's parameters: 32-bit words in the order of its struct. */
export function words(...values: number[]): Uint32Array<ArrayBuffer> {
  return Uint32Array.from(values);
}
