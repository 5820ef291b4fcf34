// Delays that can be aborted or cut short, and how long to wait between retries.

export interface BackoffLimits {
  baseMs: number;
  capMs: number;
}

export const BACKOFF: BackoffLimits = { baseMs: 500, capMs: 15_000 };

/**
 * Exponential backoff with full jitter: anywhere from nothing to the capped exponential, so that the clients
 * of a restarted server do not come back all at once. The jitter is applied after the cap: with the cap after
 * the jitter, most clients of a long outage would wait for exactly the cap.
 */
export function backoffMs(failures: number, random: () => number, { baseMs, capMs }: BackoffLimits = BACKOFF): number {
  return random() * Math.min(capMs, baseMs * 2 ** Math.min(failures, 20));
}

/** Resolves after `ms`, or earlier when `wake` dispatches `wake`; rejects at once when the signal aborts. */
export function delay(ms: number, signal?: AbortSignal, wake?: EventTarget): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', end);
      wake?.removeEventListener('wake', end);
      if (signal?.aborted) reject(signal.reason);
      else resolve();
    };
    const timer = setTimeout(end, ms);
    signal?.addEventListener('abort', end);
    wake?.addEventListener('wake', end);
    if (signal?.aborted) end();
  });
}

/** Rejects when the signal aborts, without waiting for the promise. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort);
    if (signal.aborted) abort();
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

/**
 * Dispatches `wake` when the page comes to the foreground or online again. Phones close the sockets of
 * background pages, so that is the time to reconnect.
 */
export function pageWake(): EventTarget {
  const target = new EventTarget();
  if (typeof window === 'undefined' || typeof document === 'undefined') return target;
  const wake = () => target.dispatchEvent(new Event('wake'));
  window.addEventListener('online', wake);
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible') wake();
  });
  return target;
}
