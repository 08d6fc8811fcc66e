import type { CommandTimes, Submission } from "../../kernel/submission.ts";

/** Work that stops where it waits for the GPU, so that it can block or share the event loop. */
export type Steps<T> = Generator<Submission, T, CommandTimes>;

/** Runs work to its end on this turn of the event loop. */
export function runSync<T>(steps: Steps<T>): T {
  let step = steps.next();
  while (!step.done) {
    let times: CommandTimes;
    try {
      times = step.value.waitSync();
    } catch (error) {
      step = steps.throw(error);
      continue;
    }
    step = steps.next(times);
  }
  return step.value;
}

/** Runs work; an abort is seen between command buffers. */
export async function run<T>(steps: Steps<T>, signal?: AbortSignal): Promise<T> {
  signal?.throwIfAborted();
  let step = steps.next();
  while (!step.done) {
    let times: CommandTimes;
    try {
      times = await step.value.completed;
      signal?.throwIfAborted();
    } catch (error) {
      step = steps.throw(error);
      continue;
    }
    step = steps.next(times);
  }
  return step.value;
}
