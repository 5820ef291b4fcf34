// Hands items from callbacks to one async iterator.

import { unlessAborted } from './delay.ts';

/** Bounded: what comes while it is full is dropped, and the reader gets `OVERFLOW` in its place. */
export class Queue<T> {
  readonly #limit: number;
  #items: T[] = [];
  #error: Error | null = null;
  #overflown = false;
  #notify: (() => void) | null = null;

  constructor(limit: number) {
    this.#limit = limit;
  }

  push(item: T): void {
    this.#overflown ||= this.#items.length === this.#limit;
    if (!this.#overflown) this.#items.push(item);
    this.#notify?.();
  }

  /** Replaces what waits: for readers that only need the newest. */
  replace(item: T): void {
    this.#items = [item];
    this.#notify?.();
  }

  /** The reader gets what waits, then the error. */
  fail(error: Error): void {
    this.#error ??= error;
    this.#notify?.();
  }

  async take(signal?: AbortSignal): Promise<T | typeof OVERFLOW> {
    for (;;) {
      signal?.throwIfAborted();
      if (this.#items.length > 0) return this.#items.shift() as T;
      if (this.#overflown) {
        this.#overflown = false;
        return OVERFLOW;
      }
      if (this.#error) throw this.#error;
      await unlessAborted(new Promise<void>((resolve) => (this.#notify = resolve)), signal);
    }
  }
}

export const OVERFLOW = Symbol('overflow');
