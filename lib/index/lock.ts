interface Waiter {
  writes: boolean;
  start: () => void;
}

let locks = 0;

/** Lets many read, or one change; whoever comes first goes first. */
export class Lock {
  /** Orders locks, so that two calls that need the same two cannot wait for each other. */
  readonly order: number = locks++;
  #readers = 0;
  #writing = false;
  #waiters: Waiter[] = [];

  /** Whether a change is under way. */
  get changing(): boolean {
    return this.#writing;
  }

  /** Runs what reads. */
  read<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.#run(false, work, signal);
  }

  /** Runs what changes, alone. */
  write<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.#run(true, work, signal);
  }

  async #run<T>(writes: boolean, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    await this.#enter(writes, signal);
    try {
      return await work();
    } finally {
      if (writes) this.#writing = false;
      else this.#readers--;
      this.#wake();
    }
  }

  #enter(writes: boolean, signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const leave = () => {
      this.#waiters = this.#waiters.filter((other) => other !== waiter);
      reject(signal?.reason);
      this.#wake();
    };
    const start = () => {
      signal?.removeEventListener("abort", leave);
      if (writes) this.#writing = true;
      else this.#readers++;
      resolve();
    };
    const waiter: Waiter = { writes, start };
    signal?.addEventListener("abort", leave, { once: true });
    this.#waiters.push(waiter);
    this.#wake();
    return promise;
  }

  #wake(): void {
    for (;;) {
      const next = this.#waiters[0];
      if (next === undefined || this.#writing || (next.writes && this.#readers > 0)) return;
      this.#waiters.shift();
      next.start();
    }
  }
}

/** Runs what changes two indexes, alone on both. */
export function writeBoth<T>(a: Lock, b: Lock, work: () => Promise<T>): Promise<T> {
  const [first, second] = a.order < b.order ? [a, b] : [b, a];
  return first.write(() => second.write(work));
}
