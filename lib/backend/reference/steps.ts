/** Work that stops now and then, so that it can run at once or share the event loop. */
export type Steps<T> = Generator<void, T>;

/** Milliseconds between two looks at the event loop: an abort is seen within these. */
const SLICE = 20;

/** Runs work to its end on this turn of the event loop. */
export function runSync<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

/** Runs work, letting timers and aborts in about every 20 ms. */
export async function run<T>(steps: Steps<T>, signal?: AbortSignal): Promise<T> {
  signal?.throwIfAborted();
  let resumed = performance.now();
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
    if (performance.now() - resumed < SLICE) continue;
    await new Promise((resolve) => setTimeout(resolve, 0));
    signal?.throwIfAborted();
    resumed = performance.now();
  }
}
