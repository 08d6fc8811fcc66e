import assert from "node:assert/strict";
import { cp } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { venvPython } from "../bench/venv.ts";
import { library } from "../ffi/library.ts";
import { joined, parseNotebook } from "../notebooks/tools/ipynb.ts";
import { replaysOf } from "../notebooks/tools/replays.ts";
import { formatted } from "../notebooks/tools/save.ts";
import { isNative } from "./native.ts";
import { notebookOf, put, run, texts, withFolder } from "./notebooks.ts";

const root = fileURLToPath(new URL("../", import.meta.url));
const JOURNAL = `import { openJournal } from "@metalfaiss/metalfaiss/journal";
import { show } from "@metalfaiss/metalfaiss/notebook";
const journal = await openJournal();
await show(journal);`;

/** Runs the command line from another folder. */
function command(cwd: string, ...args: string[]): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", join(root, "notebooks/tools/run.ts"), "--python", venvPython, ...args],
    cwd,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

Deno.test("a notebook that passes is rewritten with its outputs, formatted", async () => {
  await withFolder(async (folder) => {
    const notebook = notebookOf(
      "let n = 1;\nconsole.log(`\\x1b[31mred\\x1b[0m ${n}`);",
      "n+=1;\n`value ${n}`",
      "await Deno.readTextFile('beside.txt');",
    );
    await Deno.writeTextFile(join(folder, "beside.txt"), "in its own folder");
    const path = await put(folder, "good", notebook);
    assert.deepEqual((await run(path, { replace: true })).failures, []);
    const text = await Deno.readTextFile(path);
    const written = parseNotebook(text, path);
    assert.deepEqual(texts(written), ["red 1\n", '"value 2"', '"in its own folder"']);
    const counts = written.cells.map((cell) =>
      (cell as { execution_count?: number }).execution_count
    );
    assert.deepEqual(counts, [1, 2, 3]);
    assert.deepEqual(written.metadata, notebook.metadata);
    assert.equal(joined(written.cells[1]!.source), "n += 1;\n`value ${n}`;");
    assert.equal(await formatted(text), text);

    // Nothing is left that changes from run to run.
    assert.deepEqual((await run(path, { replace: true })).failures, []);
    assert.equal(await Deno.readTextFile(path), text);
    assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name).sort(), [
      "beside.txt",
      "good.ipynb",
    ]);
  });
});

Deno.test("outputs that come after a cell's end are kept", async () => {
  await withFolder(async (folder) => {
    const values = Array.from({ length: 40 }, (_, i) => `${i}`);
    const { notebook } = await run(await put(folder, "late", notebookOf(...values)));
    assert.deepEqual(texts(notebook!), values);
  });
});

Deno.test("a notebook that cannot be written has failed", async () => {
  await withFolder(async (folder) => {
    const path = await put(folder, "good", notebookOf("1"));
    const { failures } = await run(path, { out: path });
    assert.match(failures[0]!.text, /^Cannot write it: .*[Nn]ot a directory/);
  });
});

Deno.test("a notebook that fails says where and why, and stays as it was", async () => {
  await withFolder(async (folder) => {
    const cases: [source: string, text: RegExp][] = [
      ["throw new RangeError('no such tile');", /^RangeError: no such tile/],
      [
        "const x = ;",
        /^The cell failed before it ran: SyntaxError: Expression expected[^]*const x/,
      ],
      ["import { a } from './missing.ts';", /Module not found .*missing\.ts/],
      [
        "import { show } from '@metalfaiss/metalfaiss/notebook';\nawait show(journal);",
        /journal is not/,
      ],
      ["function show(x: unknown) { return void x; }\nshow(1);", /^It calls show\(\), and nothing/],
      [
        "const journal = { replay(_: string) {} };\njournal.replay('X1');",
        /^It replays X1, and no/,
      ],
      ["while (true) {}", /took longer than 2 s/],
      ["await new Promise((resolve) => setTimeout(resolve, 1e6));", /took longer than 2 s/],
      ["Deno.exit(3);", /^The kernel died/],
    ];
    await Promise.all([0, 1].map(async (part) => {
      for (const [i, [source, text]] of cases.entries()) {
        if (i % 2 !== part) continue;
        const path = await put(
          folder,
          `bad-${i}`,
          notebookOf("'first';", source, "'not reached';"),
        );
        const before = await Deno.readTextFile(path);
        const { failures, notebook } = await run(path, { replace: true, timeout: 2 });
        assert.equal(failures.length, 1, source);
        assert.equal(failures[0]!.cell, 1, source);
        assert.match(failures[0]!.text, text);
        if (!/^It /.test(failures[0]!.text)) assert.equal(texts(notebook!)[2], "", source);
        assert.equal(await Deno.readTextFile(path), before);
      }
    }));
  });
});

Deno.test("a file that is no notebook for Deno is refused", async () => {
  await withFolder(async (folder) => {
    const other = { ...notebookOf("1"), metadata: { kernelspec: { name: "python3" } } };
    const cases: [file: string, text: RegExp][] = [
      ["{", /^Cannot read bad\.ipynb: not JSON/],
      [JSON.stringify({ ...other, nbformat: 3 }), /nbformat 3, not 4/],
      [JSON.stringify(other), /the kernel must be "deno", and its own is "python3"/],
      [JSON.stringify({ ...other, metadata: {} }), /the kernel must be "deno", and it names none/],
    ];
    for (const [file, text] of cases) {
      const { failures } = await run(await put(folder, "bad", file));
      assert.match(failures[0]!.text, text);
    }
    assert.match((await run(join(folder, "none.ipynb"))).failures[0]!.text, /No such file/);
    const path = await put(folder, "good", notebookOf("1"));
    const { failures } = await run(path, { python: Deno.execPath() });
    assert.match(failures[0]!.text, /^Python ended early/);
  });
});

Deno.test("two quick runs of a notebook come to the same verdicts", async () => {
  await withFolder(async (folder) => {
    const ids = ["J0", "X1", "H1"];
    const sources = ids.map((id) => `await show(await journal.replay("${id}"));`);
    const path = await put(folder, "verdicts", notebookOf(JOURNAL, ...sources));
    const runs = [await run(path), await run(path)].map(({ failures, notebook }) => {
      assert.deepEqual(failures, []);
      return replaysOf(notebook!).map(({ ids: [id], outcome, text }) => [id, outcome, text]);
    });
    assert.deepEqual(runs[0]!.map(([id]) => id), ids);
    assert.deepEqual(runs[0], runs[1]);
  });
});

Deno.test("a kernel that is too old is told so", async () => {
  await withFolder(async (folder) => {
    const path = await put(
      folder,
      "old",
      notebookOf("Reflect.deleteProperty(Uint8Array.prototype, 'toBase64');", JOURNAL),
    );
    const [failure] = (await run(path)).failures;
    assert.match(failure!.text, /^UnsupportedError: Cannot open the journal: Deno .* is too old/);
  });
});

Deno.test("without the native library, the CPU's experiments run in TypeScript and others say why not", async () => {
  await withFolder(async (folder) => {
    const ids = ["J0", "X1", "M"];
    const sources = ids.map((id) => `await show(await journal.replay("${id}"));`);
    const path = await put(folder, "bare", notebookOf(JOURNAL, ...sources));
    const env = { METALFAISS_JOURNAL: "quick", METALFAISS_LIBRARY: join(folder, "none.so") };
    const { failures, notebook } = await run(path, { env });
    assert.deepEqual(failures, []);
    const replays = replaysOf(notebook!).map(({ ids: [id], outcome, engine }) => [
      id,
      outcome,
      engine,
    ]);
    assert.deepEqual(replays, [
      ["J0", "not testable", "typescript"],
      ["X1", "not testable", "typescript"],
      ["M", "not testable", "typescript"],
    ]);
  });
});

Deno.test("without npm, data come with the package and charts are tables", async () => {
  await withFolder(async (folder) => {
    const path = await put(
      folder,
      "offline",
      notebookOf(
        `import { loadDigits } from "@metalfaiss/metalfaiss/io";
import { barChart, show } from "@metalfaiss/metalfaiss/notebook";
const { n } = await loadDigits();
await show(barChart([{ name: "images", value: n }], { title: "Digits", unit: "" }));`,
      ),
    );
    // Nothing is in the cache, and nobody answers.
    const env = { DENO_DIR: join(folder, "cache"), NPM_CONFIG_REGISTRY: "http://127.0.0.1:9" };
    const { failures, notebook } = await run(path, { env });
    assert.deepEqual(failures, []);
    assert.match(texts(notebook!)[0]!, /1,?797[^]*The chart was not drawn: /);
  });
});

Deno.test("a wrong kernel makes its notebook fail", { ignore: !isNative }, async () => {
  const folder = await Deno.makeTempDir();
  try {
    const parts = ["deno.json", "deno.lock", "mod.ts", "lib", "ffi", "shaders", "data"];
    for (const part of [...parts, "swift/manifest.json", "notebooks/07_layers.ipynb"]) {
      await cp(join(root, part), join(folder, part), { recursive: true });
    }
    const env = { METALFAISS_JOURNAL: "quick", METALFAISS_LIBRARY: library().path };
    const path = join(folder, "notebooks/07_layers.ipynb");
    assert.deepEqual((await run(path, { env })).failures, []);

    // The variance of a sample in place of that of the row.
    const shader = join(folder, "shaders/layer_norm.h");
    const source = await Deno.readTextFile(shader);
    const wrong = source.replaceAll(
      "simd_sum(moments.squares) / n",
      "simd_sum(moments.squares) / (n - 1)",
    );
    assert.notEqual(wrong, source);
    await Deno.writeTextFile(shader, wrong);
    const { failures } = await run(path, { env });
    assert.match(failures[0]!.text, /^JournalError: Cannot trust X1: "one simdgroup a row" at /);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a notebook outside of the checkout is told to move", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const { failures } = await run(await put(folder, "far", notebookOf(JOURNAL)));
    assert.match(failures[0]!.text, /not a dependency[^]*outside of the checkout: run it inside/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("the command goes on after a failure, tells it, and exits with 1", async () => {
  await withFolder(async (folder) => {
    const slow = await put(folder, "slow", notebookOf("'first'", "// forever\nwhile (true) {}"));
    const good = await put(folder, "good", notebookOf("'fine'"));
    const before = await Deno.readTextFile(slow);
    const elsewhere = await Deno.makeTempDir();
    const child = command(
      elsewhere,
      "--timeout=2",
      "--verdicts=v.json",
      "--html=pages",
      slow,
      good,
    );
    const { code, stdout } = await child.output();
    const text = new TextDecoder().decode(stdout);
    assert.equal(code, 1);
    assert.match(text, /^slow +FAILED +[\d.]+ +2 +1$/m);
    assert.match(text, /^good +passed +[\d.]+ +1 +1$/m);
    assert.match(
      text,
      /^slow, cell \[2\]: \/\/ forever\n {2}It was stopped: it took longer than 2 s$/m,
    );
    assert.match(text, /\nnotebooks: 1 passed, 1 failed, in \d+ s\n$/);
    assert.equal(await Deno.readTextFile(slow), before);
    assert.deepEqual(texts(parseNotebook(await Deno.readTextFile(good), good)), ['"fine"']);
    assert.deepEqual(JSON.parse(await Deno.readTextFile(join(elsewhere, "v.json"))), {
      slow: [],
      good: [],
    });
    const pages = [...Deno.readDirSync(join(elsewhere, "pages"))].map(({ name }) => name).sort();
    assert.deepEqual(pages, ["good.html", "slow.html"]);
    await Deno.remove(elsewhere, { recursive: true });
  });
});

Deno.test("an interrupted run leaves the notebook whole and no process behind", async () => {
  await withFolder(async (folder) => {
    const mark = join(folder, "started");
    const path = await put(
      folder,
      "long",
      notebookOf(
        `await Deno.writeTextFile("started", String(Deno.pid));`,
        "await new Promise((resolve) => setTimeout(resolve, 1e6));",
      ),
    );
    const before = await Deno.readTextFile(path);
    const child = command(root, path);
    const output = child.output();
    let kernel = "";
    while (kernel === "") {
      await new Promise((resolve) => setTimeout(resolve, 50));
      kernel = await Deno.readTextFile(mark).catch(() => "");
    }
    child.kill("SIGINT");
    const { code, stderr } = await output;
    assert.equal(code, 130);
    assert.match(
      new TextDecoder().decode(stderr),
      /^Stopped; notebooks that were not done are as/m,
    );
    assert.equal(await Deno.readTextFile(path), before);
    // Signal 0 only asks whether it is there.
    assert.throws(() => process.kill(Number(kernel), 0), /ESRCH/);
  });
});
