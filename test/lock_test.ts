import assert from "node:assert/strict";
import { Lock, writeBoth } from "../lib/index/lock.ts";

/** Runs work that notes its start and end and waits in between. */
function noted(log: string[], name: string): () => Promise<string> {
  return async () => {
    log.push(`${name} starts`);
    await new Promise((resolve) => setTimeout(resolve, 2));
    log.push(`${name} ends`);
    return name;
  };
}

Deno.test("Lock runs readers together and a writer alone, in order of arrival", async () => {
  const lock = new Lock();
  const log: string[] = [];
  const results = await Promise.all([
    lock.read(noted(log, "a")),
    lock.read(noted(log, "b")),
    lock.write(noted(log, "w")),
    lock.read(noted(log, "c")),
  ]);
  assert.deepEqual(results, ["a", "b", "w", "c"]);
  assert.deepEqual(log, [
    "a starts",
    "b starts",
    "a ends",
    "b ends",
    "w starts",
    "w ends",
    "c starts",
    "c ends",
  ]);
});

Deno.test("Lock goes on after work that throws", async () => {
  const lock = new Lock();
  await assert.rejects(lock.write(() => Promise.reject(new Error("no"))), { message: "no" });
  assert.equal(lock.changing, false);
  assert.equal(await lock.read(() => Promise.resolve(3)), 3);
});

Deno.test("Lock lets a waiter go when it is aborted, and those behind it go on", async () => {
  const lock = new Lock();
  const log: string[] = [];
  const controller = new AbortController();
  const first = lock.read(noted(log, "a"));
  const waiting = lock.write(noted(log, "w"), controller.signal);
  const behind = lock.read(noted(log, "b"));
  const outcome = assert.rejects(waiting, { message: "enough" });
  await Promise.resolve();
  controller.abort(new Error("enough"));
  await outcome;
  await Promise.all([first, behind]);
  assert.deepEqual(log, ["a starts", "b starts", "a ends", "b ends"]);
});

Deno.test("writeBoth() crosswise at once does not hang", async () => {
  const [a, b] = [new Lock(), new Lock()];
  const log: string[] = [];
  await Promise.all([writeBoth(a, b, noted(log, "ab")), writeBoth(b, a, noted(log, "ba"))]);
  assert.deepEqual(log, ["ab starts", "ab ends", "ba starts", "ba ends"]);
});
