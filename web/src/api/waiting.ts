// Waiting that can be cancelled, and how long to wait between tries.

export function aborted(): DOMException {
  return new DOMException('Cancelled', 'AbortError');
}

/** Resolves after `ms`, rejects at once when the signal aborts. */
export function wait(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(aborted());
    const stop = () => {
      clearTimeout(timer);
      reject(aborted());
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, ms);
    signal?.addEventListener('abort', stop, { once: true });
  });
}

/**
 * Full jitter: anywhere from nothing to the capped exponential, so that the clients of a
 * restarted server do not come back all at once. The jitter is applied after the cap.
 */
export function backoffMs(attempt: number, random: () => number = Math.random): number {
  const BASE_MS = 500;
  const CAP_MS = 15_000;
  return random() * Math.min(CAP_MS, BASE_MS * 2 ** Math.min(attempt, 10));
}
