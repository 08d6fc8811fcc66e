/** Variables of the environment in tests. @module */

/** Does something while variables are set; then they are as they were. */
export async function withVariables<T>(
  values: Readonly<Record<string, string>>,
  body: () => T | Promise<T>,
): Promise<T> {
  const before = Object.keys(values).map((name) => [name, Deno.env.get(name)] as const);
  try {
    for (const [name, value] of Object.entries(values)) Deno.env.set(name, value);
    return await body();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) Deno.env.delete(name);
      else Deno.env.set(name, value);
    }
  }
}
