// What is said under the steps to somebody who waits: why, or how long it may take.

import type { Outlook } from '../../api';

/** Null when there is nothing worth saying. */
export function waitingWords({ waiting_because, eta_ms, retrying }: Partial<Outlook>): string | null {
  const reason = waiting_because?.message ?? retrying ?? null;
  const time = eta_ms ? secondsWords(eta_ms.high) : null;
  return [reason, time].filter((words) => words !== null).join(' ') || null;
}

/** A few seconds pass without words. */
function secondsWords(ms: number): string | null {
  if (ms < 5_000) return null;
  const seconds = Math.ceil(ms / 5_000) * 5;
  return seconds < 90 ? `About ${seconds} seconds.` : `About ${Math.ceil(seconds / 60)} minutes.`;
}
