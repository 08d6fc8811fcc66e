import assert from "node:assert/strict";
import { Progress } from "../lib/notebook/mod.ts";
import {
  findScreen,
  formatSeconds,
  NotebookScreen,
  progressBundle,
  type ProgressState,
  TerminalScreen,
} from "../lib/notebook/progress_screen.ts";

/** What a kernel was given. */
interface Sent {
  bundle: Record<string, string>;
  options: { raw?: boolean; update?: boolean; display_id?: string };
  at: number;
}

/** A kernel that takes `ms` to send something. */
class FakeKernel {
  readonly sent: Sent[] = [];
  readonly #ms: number;
  #busy = false;

  constructor(ms = 0) {
    this.#ms = ms;
  }

  async display(bundle: unknown, options: Sent["options"] = {}): Promise<void> {
    assert.equal(this.#busy, false, "one at a time");
    this.#busy = true;
    this.sent.push({ bundle: bundle as Sent["bundle"], options, at: performance.now() });
    if (this.#ms > 0) await sleep(this.#ms);
    this.#busy = false;
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function state(share: number, more: Partial<ProgressState> = {}): ProgressState {
  return { label: "work", note: "", share, seconds: 1, ended: false, ...more };
}

const texts = (kernel: FakeKernel) => kernel.sent.map(({ bundle }) => bundle["text/plain"]!);

Deno.test("Progress changes one output of a notebook, ends with its time, and escapes", async () => {
  const kernel = new FakeKernel();
  {
    await using progress = new Progress("<b>work</b>", 4, new NotebookScreen(kernel));
    progress.update(1, "<i>");
    await sleep(130);
    progress.update(2);
    await sleep(130);
    progress.update(4);
  }
  const ids = new Set(kernel.sent.map(({ options }) => options.display_id));
  assert.equal(ids.size, 1);
  assert.deepEqual(
    kernel.sent.map(({ options }) => [options.raw, options.update]),
    [[true, false], ...Array(kernel.sent.length - 1).fill([true, true])],
  );
  const all = texts(kernel);
  assert.match(all[0]!, /^░{24} 0 % <b>work<\/b> 0 s$/);
  assert.ok(all.some((text) => /25 % <b>work<\/b>: <i> 0 s$/.test(text)), all.join("\n"));
  assert.match(all.at(-1)!, /^<b>work<\/b>: done in \d+ ms$/);
  for (const { bundle } of kernel.sent) assert.doesNotMatch(bundle["text/html"]!, /<[bi]>/);
});

Deno.test("Progress sends at most ten states a second, and the last in any case", async () => {
  const kernel = new FakeKernel();
  const start = performance.now();
  using progress = new Progress("work", 1e6, new NotebookScreen(kernel));
  let done = 0;
  while (performance.now() - start < 350) {
    for (let i = 0; i < 100; i++) progress.update(++done);
    await sleep(1);
  }
  progress.update(500_000, "the last");
  await sleep(150);
  assert.ok(kernel.sent.length >= 3 && kernel.sent.length <= 7, `${kernel.sent.length} sent`);
  kernel.sent.slice(1).forEach(({ at }, i) => {
    assert.ok(at - kernel.sent[i]!.at > 90, "a tenth of a second apart");
  });
  assert.match(texts(kernel).at(-1)!, /50 % work: the last/);
});

Deno.test("a slow kernel gets the newest state, and what waits is sent before the end", async () => {
  const kernel = new FakeKernel(120);
  const screen = new NotebookScreen(kernel);
  for (const share of [0, 0.1, 0.2, 0.3]) screen.show(state(share));
  screen.show(state(1, { ended: true }));
  await screen.flush();
  assert.deepEqual(texts(kernel).length, 2);
  assert.equal(texts(kernel)[1], "work: done in 1.0 s");
});

Deno.test("a state that comes as another was sent is not lost", async () => {
  const kernel = new FakeKernel();
  const screen = new NotebookScreen(kernel);
  for (let i = 0; i <= 100; i++) {
    screen.show(state(i / 100));
    // Every number of microtasks, so that some state comes in each gap.
    for (let turn = 0; turn < i % 7; turn++) await Promise.resolve();
  }
  await screen.flush();
  assert.match(texts(kernel).at(-1)!, /100 %/);
});

Deno.test("Progress goes on where the kernel refuses to show it", async () => {
  const broken = [
    () => Promise.reject(new Error("the kernel is gone")),
    () => {
      throw new Error("the kernel is gone");
    },
  ];
  for (const display of broken) {
    {
      await using progress = new Progress("work", 2, new NotebookScreen({ display }));
      progress.update(1);
    }
    using progress = new Progress("work", 2, new NotebookScreen({ display }));
    progress.update(2);
    await sleep(0);
  }
});

Deno.test("Progress that ends early says how far it came, once", async () => {
  const kernel = new FakeKernel();
  const progress = new Progress("work", 3, new NotebookScreen(kernel));
  progress.update(1);
  progress[Symbol.dispose]();
  progress[Symbol.dispose]();
  progress.update(3);
  await progress[Symbol.asyncDispose]();
  assert.match(texts(kernel).at(-1)!, /^work: ended at 33 % after \d+ ms$/);
  assert.equal(texts(kernel).filter((text) => text.includes("ended")).length, 1);
});

Deno.test("Progress takes totals and steps that make no sense", async () => {
  for (
    const [total, done, percent] of [[0, 0, 0], [NaN, 1, 100], [2, 9, 100], [2, -1, 0], [2, NaN, 0]]
  ) {
    const kernel = new FakeKernel();
    const progress = new Progress("work", total!, new NotebookScreen(kernel));
    progress.update(done!);
    await sleep(110);
    assert.match(texts(kernel).at(-1)!, new RegExp(` ${percent} % work`), `${done} of ${total}`);
    await progress[Symbol.asyncDispose]();
  }
});

Deno.test("Progress holds no script up that forgets to dispose of it", async () => {
  const url = (file: string) => JSON.stringify(new URL(`../lib/notebook/${file}`, import.meta.url));
  const code = `
    import { Progress } from ${url("progress.ts")};
    const screen = { show: () => console.log("shown"), clear() {}, flush: async () => {} };
    new Progress("work", 2, screen).update(1);`;
  const { code: status, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", code],
    stderr: "inherit",
  }).output();
  assert.deepEqual([status, new TextDecoder().decode(stdout)], [0, "shown\n"]);
});

Deno.test("on a terminal, Progress draws one line and takes it away", async () => {
  let written = "";
  const screen = new TerminalScreen((text) => written += text, () => 80);
  {
    await using progress = new Progress("work\n\x1b[31m", 2, screen);
    assert.equal(written, `\r\x1b[2K${"░".repeat(24)}   0 %  work\\n\\u001b[31m  0 s`);
    progress.clear();
    assert.ok(written.endsWith("\r\x1b[2K"));
    progress.update(1, "half");
    assert.match(written, /█{12}░{12} {2}50 % {2}work.*: half {2}0 s$/);
  }
  assert.ok(written.endsWith("\r\x1b[2K"));
});

Deno.test("a line of progress never wraps", () => {
  let written = "";
  const screen = new TerminalScreen((text) => written += text, () => 40);
  screen.show(state(0.5, { label: "日本".repeat(40) }));
  const line = written.split("\x1b[2K")[1]!;
  assert.ok(line.endsWith("…"));
  assert.ok([...line].length < 40);
});

Deno.test(
  "findScreen() finds none where stderr is a pipe",
  { ignore: Deno.stderr.isTerminal() },
  () => {
    assert.equal(findScreen(), false);
    using progress = new Progress("work", 10);
    progress.update(5);
  },
);

Deno.test("progressBundle() has a bar of the theme's own colours", () => {
  const html = progressBundle(state(0.25, { label: '"x"' }))["text/html"] as string;
  assert.match(html, /<progress value="0.2500" max="1" aria-label="&quot;x&quot;"><\/progress>/);
  assert.doesNotMatch(html, /color|style/);
});

Deno.test("formatSeconds() chooses the unit", () => {
  const expected = {
    0: "0 ms",
    0.9994: "999 ms",
    0.9996: "1.0 s",
    12.34: "12.3 s",
    59.96: "1 min 0 s",
  };
  for (const [seconds, text] of Object.entries(expected)) {
    assert.equal(formatSeconds(Number(seconds)), text);
  }
  assert.equal(formatSeconds(185), "3 min 5 s");
});
