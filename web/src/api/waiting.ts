// Waiting that can be cancelled or cut short, and how long to wait between tries.

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

/** Waits, unless `wake` says that the page came back to the front or online. */
export async function pause(ms: number, signal: AbortSignal, wake?: EventTarget): Promise<void> {
  const waking = new AbortController();
  const stop = () => waking.abort();
  signal.addEventListener('abort', stop, { once: true });
  wake?.addEventListener('wake', stop, { once: true });
  if (signal.aborted) stop();
  try {
    await wait(ms, waking.signal);
  } catch {
    if (signal.aborted) throw aborted();
  } finally {
    signal.removeEventListener('abort', stop);
    wake?.removeEventListener('wake', stop);
  }
}

/** Phones cut sockets of pages in the background; coming back is the time to try again. */
export const pageWakes = new EventTarget();
if (typeof window !== 'undefined') {
  const wake = () => pageWakes.dispatchEvent(new Event('wake'));
  window.addEventListener('online', wake);
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible') wake();
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
