import assert from "node:assert/strict";
import { VERSION } from "../ffi/paths.ts";

const root = new URL("../", import.meta.url);

/** Serves the checkout as a package host does, and gives its address to `body`. */
async function serve(
  body: (address: string) => Promise<void>,
  change: (path: string, bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer> = (_, b) => b,
): Promise<void> {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    const { pathname } = new URL(request.url);
    const bytes = await Deno.readFile(new URL(`.${pathname}`, root)).catch(() => undefined);
    if (bytes === undefined) return new Response(null, { status: 404 });
    const type = pathname.endsWith(".ts")
      ? "text/typescript"
      : pathname.endsWith(".json")
      ? "application/json"
      : "text/plain";
    return new Response(change(pathname, bytes), { headers: { "content-type": type } });
  });
  try {
    await body(`http://127.0.0.1:${server.addr.port}`);
  } finally {
    await server.shutdown();
  }
}

/** A stand-in for Swift, which takes a minute: checks the sources and writes a library. */
const fakeSwift = `#!/bin/sh
while [ $# -gt 1 ]; do shift; done
test -f "$1/Package.swift" && test -d "$1/Sources/CMetalFaiss" || exit 3
mkdir -p "$1/.build/release"
echo built > "$1/.build/release/libMetalFaiss.${Deno.build.os === "darwin" ? "dylib" : "so"}"
echo compiling
`;

async function setUp(address: string, folder: string): Promise<[string, number, string]> {
  await Deno.mkdir(`${folder}/bin`, { recursive: true });
  await Deno.writeTextFile(`${folder}/bin/swift`, fakeSwift, { mode: 0o755 });
  const { stdout, stderr, code } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-lock", "--reload", `${address}/lib/setup.ts`],
    env: { PATH: `${folder}/bin:${Deno.env.get("PATH")}`, XDG_CACHE_HOME: `${folder}/cache` },
  }).output();
  assert.equal(stdout.length, 0);
  return [`${folder}/cache/metalfaiss`, code, new TextDecoder().decode(stderr)];
}

Deno.test("setup() fetches the sources of a remote package and builds in the cache", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await serve(async (address) => {
      const [cache, code, stderr] = await setUp(address, folder);
      assert.equal(code, 0, stderr);
      const entries = [...Deno.readDirSync(cache)].map(({ name }) => name);
      assert.equal(entries.length, 1, `${entries}`);
      assert.match(entries[0]!, new RegExp(`^${VERSION}-[0-9a-f]{12}$`));
      const shader = await Deno.readTextFile(`${cache}/${entries[0]}/shaders/flat.metal`);
      assert.equal(shader, await Deno.readTextFile(new URL("shaders/flat.metal", root)));

      await Deno.writeTextFile(`${folder}/bin/swift`, "#!/bin/sh\nexit 1\n");
      const [, again, said] = await setUp(address, folder);
      assert.equal(again, 0, said);
      assert.doesNotMatch(said, /\$ swift build/);
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("setup() refuses a source that was tampered with and leaves nothing", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await serve(async (address) => {
      const [cache, code, stderr] = await setUp(address, folder);
      assert.equal(code, 1);
      assert.match(stderr, /abi\.c: it is not the file that was published/);
      assert.deepEqual([...Deno.readDirSync(cache)], []);
    }, (path, bytes) => path.endsWith("abi.c") ? new Uint8Array(bytes.length) : bytes);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
