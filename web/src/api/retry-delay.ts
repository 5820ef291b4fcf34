// Delays that can be aborted or cut short, and how long to wait between retries.

export function abortError(): DOMException {
  return new DOMException('aborted', 'AbortError');
}

/** Resolves after `ms`; rejects at once when the signal aborts. */
export function delay(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(abortError());
    const stop = () => {
      clearTimeout(timer);
      reject(abortError());
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, ms);
    signal?.addEventListener('abort', stop, { once: true });
  });
}

/** A delay that ends early when `wake` dispatches `wake`. */
export async function delayUntilWake(ms: number, signal: AbortSignal, wake?: EventTarget): Promise<void> {
  const ended = new AbortController();
  const stop = () => ended.abort();
  signal.addEventListener('abort', stop, { once: true });
  wake?.addEventListener('wake', stop, { once: true });
  if (signal.aborted) stop();
  try {
    await delay(ms, ended.signal);
  } catch {
    if (signal.aborted) throw abortError();
  } finally {
    signal.removeEventListener('abort', stop);
    wake?.removeEventListener('wake', stop);
  }
}

/**
 * Dispatches `wake` when the page comes to the foreground or online again. Phones close the sockets of
 * background pages, so that is the time to retry.
 */
export const pageWake = new EventTarget();
if (typeof window !== 'undefined') {
  const wake = () => pageWake.dispatchEvent(new Event('wake'));
  window.addEventListener('online', wake);
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible') wake();
  });
}

/**
 * Exponential backoff with full jitter: anywhere from nothing to the capped exponential, so that the clients
 * of a restarted server do not reconnect all at once. The jitter is applied after the cap.
 */
export function backoffMs(attempt: number, random: () => number = Math.random): number {
  const BASE_MS = 500;
  const CAP_MS = 15_000;
  return random() * Math.min(CAP_MS, BASE_MS * 2 ** Math.min(attempt, 10));
}
